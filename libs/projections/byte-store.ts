// Byte strings of any length outside of the engine's heap, where they cost no garbage collection: places in slabs of a megabyte. A place that
// was given up is used again for one of the same size, so nothing is ever moved. Does not remember lengths: who keeps a place keeps its length.
import { ByteArea } from './byte-area.ts';

const SLAB_BYTES = 1024 * 1024;
/** Sizes are rounded up to this many bytes, so that there are few of them. */
const UNIT_BYTES = 32;
/** One less than there is room for: an area is a little longer than what it is asked for. */
const SLAB_UNITS = SLAB_BYTES / UNIT_BYTES - 1;
/** What is larger than this has a slab of its own, which is let go of with it. */
const LARGE_UNITS = SLAB_UNITS / 4;
const NOTHING = new ByteArea(0);

const unitsOf = (length: number): number => Math.max(1, Math.ceil(length / UNIT_BYTES));

export class ByteStore {
  #slabs: ByteArea[] = [];
  /** The slab that is being filled, and the first free unit of it. */
  #filling = -1;
  #nextUnit = SLAB_UNITS;
  /** Places that were given up, by size in units. */
  readonly #free = new Map<number, number[]>();
  readonly #emptySlabs: number[] = [];

  /** Bytes taken from the system. */
  get bytesHeld(): number {
    return this.#slabs.reduce((sum, slab) => sum + (slab === NOTHING ? 0 : slab.bytes.byteLength), 0);
  }

  /** Copies the first `length` bytes; gives their place. */
  add(bytes: Uint8Array, length: number): number {
    const place = this.#placeFor(unitsOf(length));
    const { bytes: slab } = this.area(place);
    slab.set(length === bytes.length ? bytes : bytes.subarray(0, length), this.at(place));
    return place;
  }

  /** What a place is in, good until it is given up. */
  area(place: number): ByteArea {
    return this.#slabs[Math.floor(place / SLAB_UNITS)] ?? NOTHING;
  }

  /** Where in its area a place begins. */
  at(place: number): number {
    return (place % SLAB_UNITS) * UNIT_BYTES;
  }

  /** The bytes of a place as UTF-8 text, without the first ones of them. */
  text(place: number, length: number, without = 0): string {
    const at = this.at(place);
    return this.area(place).bytes.toString('utf8', at + without, at + length);
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
      this.#filling = this.#newSlab(SLAB_UNITS * UNIT_BYTES);
      this.#nextUnit = 0;
    }
    const place = this.#filling * SLAB_UNITS + this.#nextUnit;
    this.#nextUnit += units;
    return place;
  }

  #newSlab(bytes: number): number {
    const slab = this.#emptySlabs.pop() ?? this.#slabs.length;
    this.#slabs[slab] = new ByteArea(bytes);
    return slab;
  }
}
