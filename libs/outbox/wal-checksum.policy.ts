// The checksum of SQLite's write-ahead log and of its index (sqlite.org/fileformat2.html, "Checksum Algorithm").

/** Two sums that run on over words; the order of a word's bytes is that of the log (its magic number) or of the machine (its index). */
export class Checksum {
  readonly #isLittleEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(isLittleEndian: boolean) {
    this.#isLittleEndian = isLittleEndian;
  }

  /** Of what was added so far. */
  get sums(): readonly [number, number] {
    return [this.#first, this.#second];
  }

  /** Adds whole pairs of words. */
  add(bytes: DataView): void {
    let first = this.#first;
    let second = this.#second;
    for (let at = 0; at + 8 <= bytes.byteLength; at += 8) {
      first = (first + bytes.getUint32(at, this.#isLittleEndian) + second) >>> 0;
      second = (second + bytes.getUint32(at + 4, this.#isLittleEndian) + first) >>> 0;
    }
    this.#first = first;
    this.#second = second;
  }

  /** Whether the two words at `at` are this sum; in a log they are stored big-endian always. */
  isAt(bytes: DataView, at: number, isLittleEndian = false): boolean {
    return (
      bytes.getUint32(at, isLittleEndian) === this.#first &&
      bytes.getUint32(at + 4, isLittleEndian) === this.#second
    );
  }
}

/** A part of `bytes`, to be read as words. */
export const viewOf = (bytes: Buffer, from = 0, length = bytes.byteLength - from): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset + from, length);
