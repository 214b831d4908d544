// Both outputs of a process, read no faster than they are taken, to their end. Outputs end with their last holder: those that somebody holds
// whom we may not end are closed from our side, once they are silent. Does not know what they mean.
import type { Readable } from 'node:stream';
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';

export interface OutputReader {
  /** Takes a piece; the next one is read when it resolves. */
  take(chunk: Buffer): Promise<void>;
}

/** A stream and who reads it. */
interface Output {
  readonly stream: Readable;
  readonly reader: OutputReader;
}

/** How long outputs may stay open after the process and everything marked has gone. */
const OUTPUT_GRACE_MS = 1000;

export class ProcessOutputs {
  readonly #clock: Pick<Clock, 'timer'>;
  readonly #onReaderFailed: (error: unknown) => void;
  readonly #outputs: readonly Output[];
  /** Pieces being taken now, and pieces read so far: what tells a slow reader from a silent writer. */
  #taking = 0;
  #read = 0;
  #isClosing = false;

  /** `onReaderFailed`: a reader rejected; of its output nothing more is read. */
  constructor(
    clock: Pick<Clock, 'timer'>,
    outputs: readonly Output[],
    onReaderFailed: (error: unknown) => void,
  ) {
    this.#clock = clock;
    this.#outputs = outputs;
    this.#onReaderFailed = onReaderFailed;
  }

  /** To be called once. Each of what it gives resolves when that output has ended and all of it is taken; in the order given. */
  read(): readonly Promise<void>[] {
    return this.#outputs.map((output) => this.#readOne(output));
  }

  /** The process has gone: outputs that are silent for a while are closed, until what it gives is called. */
  endSilent(): CancelTimer {
    let seen = this.#read;
    let cancel = (): void => undefined;
    const look = (): void => {
      if (this.#taking === 0 && seen === this.#read) return this.#close();
      seen = this.#read;
      arm();
    };
    const arm = (): void => {
      cancel = this.#clock.timer(OUTPUT_GRACE_MS, look, { keepAlive: true });
    };
    arm();
    return () => cancel();
  }

  #close(): void {
    this.#isClosing = true;
    for (const { stream } of this.#outputs) stream.destroy();
  }

  /** Piece by piece: an iterator over a stream costs more than most outputs. */
  #readOne({ stream, reader }: Output): Promise<void> {
    return new Promise((resolve) => {
      const fail = (error: unknown): void => {
        if (!this.#isClosing) this.#onReaderFailed(error);
        stream.destroy();
      };
      const take = async (chunk: Buffer): Promise<void> => {
        this.#taking += 1;
        try {
          await reader.take(chunk);
        } catch (error) {
          return fail(error);
        }
        this.#taking -= 1;
        this.#read += 1;
        stream.resume();
      };
      let last = Promise.resolve();
      stream.on('data', (chunk: Buffer) => {
        stream.pause();
        last = take(chunk);
      });
      stream.once('error', fail);
      // What is still being taken is waited for, in every way a stream can end.
      const end = (): void => void last.then(resolve);
      stream.once('end', end);
      stream.once('close', end);
    });
  }
}
