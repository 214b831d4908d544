// Notes that are written behind the back of who changes them: the newest of each key, one transaction at a time. What a crash takes
// away was never promised. Does not retry: the next change of the key writes it again.
import { toFault } from '#libs/kernel/fault.ts';
import type { Note, Outbox } from '#libs/outbox/outbox.ts';

export class BackgroundNotes {
  readonly #outbox: Pick<Outbox, 'commit'>;
  readonly #onFailure: (message: string) => void;
  #waiting = new Map<string, Note>();
  #isWriting = false;

  constructor(outbox: Pick<Outbox, 'commit'>, onFailure: (message: string) => void) {
    this.#outbox = outbox;
    this.#onFailure = onFailure;
  }

  keep(notes: readonly Note[]): void {
    for (const note of notes) this.#waiting.set(note.key, note);
    if (!this.#isWriting) void this.#write();
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.size > 0) {
      const notes = [...this.#waiting.values()];
      this.#waiting = new Map();
      try {
        await this.#outbox.commit({ notes });
      } catch (error) {
        this.#onFailure(toFault(error).message);
      }
    }
    this.#isWriting = false;
  }
}
