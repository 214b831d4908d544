// Cuts a stream of bytes into lines with bounded memory: of a line longer than the limit the beginning is kept and the rest counted.

export interface Line {
  /** Without its line end. */
  readonly bytes: Buffer;
  /** Bytes of the line beyond `bytes`. */
  readonly cutBytes: number;
}

const NEWLINE = 0x0a;

export class LineSplitter {
  readonly #maxBytes: number;
  #parts: Buffer[] = [];
  #keptBytes = 0;
  #cutBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The lines that `chunk` completes. */
  *push(chunk: Buffer): Generator<Line> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end));
      yield this.#take();
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
  }

  /** The last line, when the stream ended without a line end. */
  *end(): Generator<Line> {
    if (this.#keptBytes + this.#cutBytes > 0) yield this.#take();
  }

  #keep(part: Buffer): void {
    const kept = part.subarray(0, this.#maxBytes - this.#keptBytes);
    this.#cutBytes += part.byteLength - kept.byteLength;
    this.#keptBytes += kept.byteLength;
    if (kept.byteLength > 0) this.#parts.push(kept);
  }

  #take(): Line {
    const bytes = this.#parts.length === 1 && this.#parts[0] ? this.#parts[0] : Buffer.concat(this.#parts);
    const line = { bytes, cutBytes: this.#cutBytes };
    this.#parts = [];
    this.#keptBytes = 0;
    this.#cutBytes = 0;
    return line;
  }
}
