// When this host says its word (presence.ts): now and then, at once when it has changed, and when somebody here has to know what the
// control plane wants. One word at a time, so that no older answer overrides a newer one.

/** Between those who want a word said, and the loop that says it. */
export class Telling {
  #bell = Promise.withResolvers<void>();
  #asked: PromiseWithResolvers<void>[] = [];
  #isOver = false;

  /** What the host tells of has changed. */
  ring(): void {
    this.#bell.resolve();
  }

  /** Resolves when a word that was begun after this call has been answered, or was not heard; at once where none is said any more. */
  ask(): Promise<void> {
    if (this.#isOver) return Promise.resolve();
    const answered = Promise.withResolvers<void>();
    this.#asked.push(answered);
    this.ring();
    return answered.promise;
  }

  /** A word begins: who rings from now on wants another one. The function is called when it is over. */
  begin(): () => void {
    const waiting = this.#asked;
    this.#asked = [];
    this.#bell = Promise.withResolvers<void>();
    return () => waiting.forEach(({ resolve }) => resolve());
  }

  /** Resolves when a word is wanted. */
  get wanted(): Promise<void> {
    return this.#bell.promise;
  }

  /** No more words. */
  end(): void {
    this.#isOver = true;
    this.begin()();
  }
}
