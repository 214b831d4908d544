// Who may work now: so many turns at once, and one at a time in each workspace. First come, first served among those who could go.

interface Waiting {
  readonly workspace: string;
  readonly start: () => void;
}

/** Gives the slot back. Harmless when repeated. */
export type ReleaseSlot = () => void;

export class WorkSlots {
  readonly #most: number;
  readonly #busy = new Set<string>();
  readonly #waiting: Waiting[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether one more would have to wait wherever it is. */
  get isFull(): boolean {
    return this.#busy.size >= this.#most;
  }

  /** Resolves when a turn may begin in `workspace`; undefined when `signal` aborts first. */
  async take(workspace: string, signal: AbortSignal): Promise<ReleaseSlot | undefined> {
    if (signal.aborted) return undefined;
    if (this.#waiting.length === 0 && this.#isFree(workspace)) {
      this.#busy.add(workspace);
      return this.#releaseOnce(workspace);
    }
    const turn = Promise.withResolvers<boolean>();
    const entry: Waiting = { workspace, start: () => turn.resolve(true) };
    const onAbort = (): void => turn.resolve(false);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiting.push(entry);
    this.#admit();
    const isAdmitted = await turn.promise;
    signal.removeEventListener('abort', onAbort);
    const release = this.#releaseOnce(workspace);
    if (!isAdmitted) {
      const at = this.#waiting.indexOf(entry);
      if (at === -1) release();
      else this.#waiting.splice(at, 1);
      return undefined;
    }
    return release;
  }

  #isFree(workspace: string): boolean {
    return this.#busy.size < this.#most && !this.#busy.has(workspace);
  }

  #releaseOnce(workspace: string): ReleaseSlot {
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#busy.delete(workspace);
      this.#admit();
    };
  }

  #admit(): void {
    for (let at = 0; at < this.#waiting.length && this.#busy.size < this.#most;) {
      const next = this.#waiting[at];
      if (next === undefined || this.#busy.has(next.workspace)) {
        at += 1;
        continue;
      }
      this.#waiting.splice(at, 1);
      this.#busy.add(next.workspace);
      next.start();
    }
  }
}
