// Byte strings of any length outside of the engine's heap, where they cost no garbage collection: places in slabs of a megabyte. A place that
// was given up is used again for one of the same size, so nothing is ever moved. Does not remember lengths: who keeps a place keeps its length.

const SLAB_BYTES = 1024 * 1024;
/** Sizes are rounded up to this many bytes, so that there are few of them. */
const UNIT_BYTES = 32;
const SLAB_UNITS = SLAB_BYTES / UNIT_BYTES;
/** What is larger than this has a slab of its own, which is let go of with it. */
const LARGE_UNITS = SLAB_UNITS / 4;
const NOTHING = Buffer.alloc(0);

const unitsOf = (length: number): number => Math.max(1, Math.ceil(length / UNIT_BYTES));

export class ByteStore {
  #slabs: Buffer[] = [];
  /** The slab that is being filled, and the first free unit of it. */
  #filling = -1;
  #nextUnit = SLAB_UNITS;
  /** Places that were given up, by size in units. */
  readonly #free = new Map<number, number[]>();
  readonly #emptySlabs: number[] = [];

  /** Bytes taken from the system. */
  get bytesHeld(): number {
    return this.#slabs.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Copies the first `length` bytes; gives their place. */
  add(bytes: Uint8Array, length: number): number {
    const place = this.#placeFor(unitsOf(length));
    const slab = this.#slabs[Math.floor(place / SLAB_UNITS)] ?? NOTHING;
    slab.set(length === bytes.length ? bytes : bytes.subarray(0, length), (place % SLAB_UNITS) * UNIT_BYTES);
    return place;
  }

  /** The bytes of a place themselves, good until it is given up. */
  bytes(place: number, length: number): Uint8Array {
    const from = (place % SLAB_UNITS) * UNIT_BYTES;
    return (this.#slabs[Math.floor(place / SLAB_UNITS)] ?? NOTHING).subarray(from, from + length);
  }

  /** The bytes of a place as UTF-8 text. */
  text(place: number, length: number): string {
    const from = (place % SLAB_UNITS) * UNIT_BYTES;
    return (this.#slabs[Math.floor(place / SLAB_UNITS)] ?? NOTHING).toString('utf8', from, from + length);
  }

  /** Gives a place up. */
  remove(place: number, length: number): void {
    const units = unitsOf(length);
    const slab = Math.floor(place / SLAB_UNITS);
    if (units > LARGE_UNITS) {
      this.#slabs[slab] = NOTHING;
      this.#emptySlabs.push(slab);
      return;
    }
    const free = this.#free.get(units);
    if (free === undefined) this.#free.set(units, [place]);
    else free.push(place);
  }

  clear(): void {
    this.#slabs = [];
    this.#filling = -1;
    this.#nextUnit = SLAB_UNITS;
    this.#free.clear();
    this.#emptySlabs.length = 0;
  }

  #placeFor(units: number): number {
    if (units > LARGE_UNITS) return this.#newSlab(units * UNIT_BYTES) * SLAB_UNITS;
    const again = this.#free.get(units)?.pop();
    if (again !== undefined) return again;
    if (this.#nextUnit + units > SLAB_UNITS) {
      this.#filling = this.#newSlab(SLAB_BYTES);
      this.#nextUnit = 0;
    }
    const place = this.#filling * SLAB_UNITS + this.#nextUnit;
    this.#nextUnit += units;
    return place;
  }

  #newSlab(bytes: number): number {
    const slab = this.#emptySlabs.pop() ?? this.#slabs.length;
    this.#slabs[slab] = Buffer.allocUnsafeSlow(bytes);
    return slab;
  }
}
