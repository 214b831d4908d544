// The values of a read view: kept as bytes outside of the heap, parsed when they are asked for, and in between no more than a few fields of
// each (its row), by which indexes order them. Values that come in quick succession under one key are looked at once: rows are brought up to date before they
// are read (`settle`), or when many wait. Knows no watch (read-view.ts does).
import type { KeyValueEntry } from '#libs/ports/key-value.ts';
import { ByteStore } from './byte-store.ts';
import { isPlainList } from './json-check.ts';
import { goingOn, type JsonWriter } from './json-writer.ts';
import { decodeParsed, type Projection, type Stamped } from './projection.ts';
import { isList, listAt, unpack, ValuePacker, type Shape } from './value-packer.ts';

/** Told of each row that has come, changed (the one before is gone) or gone. Must not throw. */
export type RowListener<Row> = (before: Row | undefined, after: Row | undefined) => void;

export interface CellOptions<State extends object, Row extends object> {
  readonly projection: Pick<Projection<never, State>, 'name' | 'bucket' | 'parse'>;
  /** A value that is not one of the projection's: it reads as absent. */
  readonly onInvalid?: (key: string, error: unknown) => void;
  /** What indexes need of a value, `seq` included; throws for what is none. Small: it is kept. */
  readonly rowOf?: (value: unknown, key: string) => Row;
  /** The fields that `rowOf` looks at: it is given no others, which then need no parsing. Absent: all. */
  readonly rowFields?: readonly string[];
  /** Keys kept at most: those that were changed last. Absent: all. */
  readonly keepsLast?: number;
  /**
   * All fields of a value as `parse` gives it, `seq` included: a value that has just these is written out as it is stored, since it was checked
   * before it was stored. Absent: each is parsed first.
   */
  readonly fields?: readonly string[];
}

/** What stands around a value that is written: a text before it, and the fields it goes on with (see {@link JsonWriter.packed}). */
export interface Around {
  readonly before: string;
  readonly more: string;
}

interface Cell<Row> {
  /** Where the values of its fields are, and how long they are; no shape: it is not a value. */
  readonly place: number;
  readonly length: number;
  readonly shape: Shape | undefined;
  readonly row: Row | undefined;
  /** Its list is JSON: looked at when it is first written out. */
  isSound: boolean;
}

/** Values that have come and not been looked at, at most. */
const MOST_WAITING = 500;

const INVALID = { place: 0, length: 0, shape: undefined, row: undefined, isSound: false };

export class ViewCells<State extends object, Row extends object> {
  readonly #options: CellOptions<State, Row>;
  readonly #cells = new Map<string, Cell<Row>>();
  readonly #waiting = new Map<string, KeyValueEntry>();
  readonly #listeners = new Set<RowListener<Row>>();
  readonly #packer: ValuePacker;
  readonly #bytes = new ByteStore();
  /** Shapes of values that are written out as they are. */
  readonly #wholeShapes = new WeakMap<Shape, boolean>();
  /** Keys that wait and have no cell yet. */
  #fresh = 0;

  constructor(options: CellOptions<State, Row>) {
    this.#options = options;
    this.#packer = new ValuePacker(options.rowFields ?? []);
  }

  get size(): number {
    return Math.min(this.#cells.size + this.#fresh, this.#options.keepsLast ?? Number.POSITIVE_INFINITY);
  }

  /** The entry's value may be a window on a larger buffer: it is copied. */
  put(entry: KeyValueEntry): void {
    const { key } = entry;
    if (!this.#waiting.has(key) && !this.#cells.has(key)) this.#fresh += 1;
    // Last in the order of the map is what came last.
    this.#waiting.delete(key);
    this.#waiting.set(key, { ...entry, value: entry.value.slice() });
    if (this.#waiting.size >= MOST_WAITING) this.settle();
  }

  /** As {@link put}, looked at now: for values that come once each, such as all of a bucket at a start, waiting is of no use. */
  load(entry: KeyValueEntry): void {
    if (this.#waiting.size > 0 && this.#waiting.has(entry.key)) return this.put(entry);
    this.#keep(entry, this.#cells.get(entry.key));
  }

  remove(key: string): void {
    this.settle();
    this.#drop(key);
  }

  clear(): void {
    this.#waiting.clear();
    this.#fresh = 0;
    for (const key of this.#cells.keys()) this.#drop(key);
    this.#bytes.clear();
  }

  get(key: string): Stamped<State> | undefined {
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) this.#look(waiting);
    const cell = this.#cells.get(key);
    if (cell?.shape === undefined) return undefined;
    const { place, length, shape, row } = cell;
    try {
      return decodeParsed(this.#options.projection, { key }, () =>
        unpack(shape, this.#bytes.text(place, length, listAt(shape))),
      );
    } catch (error) {
      this.#bytes.remove(place, length);
      this.#cells.set(key, { ...INVALID, row });
      this.#options.onInvalid?.(key, error);
      return undefined;
    }
  }

  /** See {@link ReadView.write} of read-view.ts. */
  write(key: string, writer: JsonWriter, { before, more }: Around): boolean {
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined) this.#look(waiting);
    const cell = this.#cells.get(key);
    if (cell?.shape !== undefined && this.#isWhole(cell.shape)) {
      const { place, length, shape } = cell;
      const store = this.#bytes;
      const area = store.area(place);
      const at = store.at(place);
      cell.isSound ||=
        isPlainList(area.bytes, at + listAt(shape), at + length, shape.names.length) ||
        isList(store.text(place, length, listAt(shape)), shape);
      if (cell.isSound) {
        writer.text(before);
        writer.packed(shape, { area, at, length }, more);
        return true;
      }
    }
    const found = this.get(key);
    if (found === undefined) return false;
    const json = JSON.stringify({ seq: found.seq, ...found.state });
    writer.text(before + json.slice(0, -1) + goingOn(more));
    return true;
  }

  #isWhole(shape: Shape): boolean {
    const known = this.#wholeShapes.get(shape);
    if (known !== undefined) return known;
    const { fields = [] } = this.#options;
    const isWhole =
      fields.length === shape.names.length && fields.every((name) => shape.names.includes(name));
    this.#wholeShapes.set(shape, isWhole);
    return isWhole;
  }

  /** The row of a key; see {@link settle}. */
  row(key: string): Row | undefined {
    return this.#cells.get(key)?.row;
  }

  keys(): Iterable<string> {
    this.settle();
    return this.#cells.keys();
  }

  /** Looks at everything that has come: rows and indexes are then as of the last change. */
  settle(): void {
    for (const entry of this.#waiting.values()) this.#look(entry);
  }

  /** Tells of every row there is now, and then of each change of one. */
  follow(listener: RowListener<Row>): void {
    this.settle();
    for (const { row } of this.#cells.values()) if (row !== undefined) listener(undefined, row);
    this.#listeners.add(listener);
  }

  #look(entry: KeyValueEntry): void {
    this.#waiting.delete(entry.key);
    const before = this.#cells.get(entry.key);
    if (before === undefined) this.#fresh -= 1;
    this.#keep(entry, before);
  }

  #keep({ key, value }: KeyValueEntry, before: Cell<Row> | undefined): void {
    const { keepsLast } = this.#options;
    // Last in the order of the map is what was changed last.
    if (before !== undefined && keepsLast !== undefined) this.#cells.delete(key);
    if (before?.shape !== undefined) this.#bytes.remove(before.place, before.length);
    const cell = this.#cellOf(key, value);
    this.#cells.set(key, cell);
    if (before?.row !== undefined || cell.row !== undefined) this.#tell(before?.row, cell.row);
    if (keepsLast !== undefined) this.#forget(keepsLast);
  }

  #cellOf(key: string, value: Uint8Array): Cell<Row> {
    const { rowOf, rowFields, onInvalid } = this.#options;
    const packer = this.#packer;
    try {
      const { shape, length } = packer.pack(value);
      const fields = (): unknown =>
        rowFields === undefined
          ? unpack(shape, packer.bytes.toString('utf8', listAt(shape), length))
          : packer.fields(shape);
      const row = rowOf === undefined ? undefined : rowOf(fields(), key);
      return { place: this.#bytes.add(packer.bytes, length), length, shape, row, isSound: false };
    } catch (error) {
      onInvalid?.(key, error);
      return INVALID;
    }
  }

  #forget(most: number): void {
    for (const key of this.#cells.keys()) {
      if (this.#cells.size <= most) return;
      this.#drop(key);
    }
  }

  #drop(key: string): void {
    const cell = this.#cells.get(key);
    this.#cells.delete(key);
    if (cell?.shape !== undefined) this.#bytes.remove(cell.place, cell.length);
    if (cell?.row !== undefined) this.#tell(cell.row, undefined);
  }

  #tell(before: Row | undefined, after: Row | undefined): void {
    for (const listener of this.#listeners) listener(before, after);
  }
}
