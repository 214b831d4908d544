// Keeps what a broker says: the last lines in memory, for error messages, and everything in a file that is turned over
// once it is large. Losing the file (full disk) never disturbs the broker; the lines in memory stay.
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';

const KEPT_LINES = 400;
const LINE_CHARS = 2000;
const TURN_OVER_BYTES = 8 * 1024 * 1024;

export interface LogTail {
  /** Takes output as it comes, in any pieces. */
  write(text: string): void;
  /** The last complete lines, oldest first, at most 400. */
  lines(): readonly string[];
  close(): void;
}

/** An append-only file that becomes `<path>.1` when it has grown large. */
class TurningFile {
  readonly #path: string;
  #descriptor: number | undefined;
  #sizeBytes = 0;
  #isOver = false;

  constructor(path: string) {
    this.#path = path;
    this.#open();
  }

  #open(): void {
    try {
      this.#descriptor = openSync(this.#path, 'a', 0o600);
      this.#sizeBytes = fstatSync(this.#descriptor).size;
    } catch {
      this.#descriptor = undefined;
    }
  }

  append(text: string): void {
    // Lost to a full disk: perhaps there is room again.
    if (this.#descriptor === undefined && !this.#isOver) this.#open();
    if (this.#descriptor === undefined) return;
    try {
      this.#sizeBytes += writeSync(this.#descriptor, text);
      if (this.#sizeBytes < TURN_OVER_BYTES) return;
      this.#close();
      renameSync(this.#path, `${this.#path}.1`);
      this.#open();
    } catch {
      this.#close();
    }
  }

  close(): void {
    this.#isOver = true;
    this.#close();
  }

  #close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** Memory and file of one broker's output. `path` is created with mode 0600 and appended to. */
export const createLogTail = (path: string): LogTail => {
  const file = new TurningFile(path);
  const kept: string[] = [];
  let partial = '';
  return {
    write: (text) => {
      file.append(text);
      const pieces = (partial + text).split('\n');
      partial = (pieces.pop() ?? '').slice(0, LINE_CHARS);
      for (const line of pieces) kept.push(line.slice(0, LINE_CHARS));
      if (kept.length > KEPT_LINES) kept.splice(0, kept.length - KEPT_LINES);
    },
    lines: () => (partial === '' ? [...kept] : [...kept, partial]),
    close: () => file.close(),
  };
};
