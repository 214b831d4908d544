// The events of a program on their way to being reports: in order, with a bounded number not yet on disk (backpressure).
import type { Note } from '#libs/outbox/outbox.ts';
import type { ProviderEvent } from './providers/provider.ts';
import type { ReportWriter, TurnScope } from './report-writer.ts';

/** Reports that may wait for the disk together; more make the program wait. */
const WINDOW = 256;

export class ProgramEvents {
  readonly #writer: ReportWriter;
  readonly #scope: TurnScope;
  readonly #notesOf: (event: ProviderEvent) => readonly Note[];
  readonly #onDisk = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;
  #isSilent = false;

  /** `notesOf`: what is kept in the same transaction as the report of an event. */
  constructor(
    writer: ReportWriter,
    scope: TurnScope,
    notesOf: (event: ProviderEvent) => readonly Note[] = () => [],
  ) {
    this.#writer = writer;
    this.#scope = scope;
    this.#notesOf = notesOf;
  }

  /** From now on nothing is reported: the run is somebody else's. */
  silence(): void {
    this.#isSilent = true;
  }

  /** Takes an event; resolves when there is room for the next. Rejects when reports can no longer be kept. */
  async take(event: ProviderEvent): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#isSilent) return;
    const { kind, ...payload } = event;
    // The payload of an event is that of the report of the same name; a mapped type cannot say so.
    const writing: Promise<void> = this.#writer
      .write(this.#scope, kind, payload as never, { notes: this.#notesOf(event) })
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .then(() => void this.#onDisk.delete(writing));
    this.#onDisk.add(writing);
    if (this.#onDisk.size >= WINDOW) await Promise.race(this.#onDisk);
  }
}
