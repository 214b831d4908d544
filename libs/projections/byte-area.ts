// Bytes that short pieces are copied from and to, four at a time: the pieces are the values and names of fields, of a dozen bytes each, and a copy by
// the engine costs more to call than to do.

const STEP = 4;
/** Of what is longer the engine copies the whole. */
const SHORT = 256;

/** An area is a few bytes longer than what was asked for: copies read and write a little further than they have to. */
export class ByteArea {
  /** Not cleared. */
  readonly bytes: Buffer;
  readonly #view: DataView;

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafeSlow(length + STEP);
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
  }

  /** Whether `size` bytes from a place of an area on also stand at a place of this one. */
  has(piece: ByteArea, at: number, size: number, place: number): boolean {
    const theirs = piece.#view;
    const ours = this.#view;
    let step = 0;
    for (; step + STEP <= size; step += STEP)
      if (theirs.getUint32(at + step, true) !== ours.getUint32(place + step, true)) return false;
    for (; step < size; step += 1) if (piece.bytes[at + step] !== this.bytes[place + step]) return false;
    return true;
  }

  /**
   * Copies `size` bytes from a place of an area to a place of this one, and may write up to three more behind them. Within one area the place that is
   * copied to is not behind the one that is copied from, and what is in the three bytes behind the copy is not needed any more.
   */
  put(from: ByteArea, at: number, size: number, out: number): void {
    if (size > SHORT) {
      this.bytes.set(from.bytes.subarray(at, at + size), out);
      return;
    }
    const source = from.#view;
    const target = this.#view;
    for (let step = 0; step < size; step += STEP)
      target.setUint32(out + step, source.getUint32(at + step, true), true);
  }
}
