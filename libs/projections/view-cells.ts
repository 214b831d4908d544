// The values of a read view: kept as text, parsed when they are asked for, and in between no more than a few fields of each (its row), by
// which indexes order them. Values that come in quick succession under one key are looked at once: rows are brought up to date before they
// are read (`settle`), or when many wait. Knows no watch (read-view.ts does).
import type { KeyValueEntry } from '#libs/ports/key-value.ts';
import { decodeParsed, type Projection, type Stamped } from './projection.ts';

/** Told of each row that has come, changed (the one before is gone) or gone. Must not throw. */
export type RowListener<Row> = (before: Row | undefined, after: Row | undefined) => void;

export interface CellOptions<State extends object, Row extends object> {
  readonly projection: Pick<Projection<never, State>, 'name' | 'bucket' | 'parse'>;
  /** A value that is not one of the projection's: it reads as absent. */
  readonly onInvalid?: (key: string, error: unknown) => void;
  /** What indexes need of a value, `seq` included; throws for what is none. Small: it is kept. */
  readonly rowOf?: (value: unknown, key: string) => Row;
  /** Keys kept at most: those that were changed last. Absent: all. */
  readonly keepsLast?: number;
}

interface Cell<Row> {
  /** The value as JSON, or the values of its fields in the order of `names`; undefined: it is not one. */
  readonly text: string | undefined;
  /** The fields of the value, one list for all values that have the same: half of a value are names. */
  readonly names?: readonly string[];
  readonly row: Row | undefined;
}

/** Values that have come and not been looked at, at most. */
const MOST_WAITING = 500;

/** Sets of fields that are remembered. */
const MOST_SHAPES = 100;

const decoder = new TextDecoder();

/** The value of a cell, as it came. Throws when it is not JSON. */
const valueOf = ({ text = '', names }: Cell<object>): unknown => {
  const parsed: unknown = JSON.parse(text);
  if (names === undefined) return parsed;
  const values = parsed as readonly unknown[];
  return Object.fromEntries(names.map((name, at) => [name, values[at]]));
};

export class ViewCells<State extends object, Row extends object> {
  readonly #options: CellOptions<State, Row>;
  readonly #cells = new Map<string, Cell<Row>>();
  readonly #waiting = new Map<string, KeyValueEntry>();
  readonly #listeners = new Set<RowListener<Row>>();
  readonly #shapes = new Map<string, readonly string[]>();
  #lastNames: readonly string[] = [];
  /** Keys that wait and have no cell yet. */
  #fresh = 0;

  constructor(options: CellOptions<State, Row>) {
    this.#options = options;
  }

  get size(): number {
    return Math.min(this.#cells.size + this.#fresh, this.#options.keepsLast ?? Number.POSITIVE_INFINITY);
  }

  put(entry: KeyValueEntry): void {
    const { key } = entry;
    if (!this.#waiting.has(key) && !this.#cells.has(key)) this.#fresh += 1;
    // Last in the order of the map is what came last.
    this.#waiting.delete(key);
    this.#waiting.set(key, entry);
    if (this.#waiting.size >= MOST_WAITING) this.settle();
  }

  /** As {@link put}, looked at now: for values that come once each, such as all of a bucket at a start, waiting is of no use. */
  load(entry: KeyValueEntry): void {
    if (this.#waiting.has(entry.key)) return this.put(entry);
    if (!this.#cells.has(entry.key)) this.#fresh += 1;
    this.#look(entry);
  }

  remove(key: string): void {
    this.settle();
    this.#drop(key);
  }

  clear(): void {
    this.#waiting.clear();
    this.#fresh = 0;
    for (const key of this.#cells.keys()) this.#drop(key);
  }

  get(key: string): Stamped<State> | undefined {
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined && this.#look(waiting).text === undefined) return undefined;
    const cell = this.#cells.get(key);
    if (cell?.text === undefined) return undefined;
    try {
      return decodeParsed(this.#options.projection, { key }, () => valueOf(cell));
    } catch (error) {
      this.#cells.set(key, { ...cell, text: undefined });
      this.#options.onInvalid?.(key, error);
      return undefined;
    }
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

  #look(entry: KeyValueEntry): Cell<Row> {
    const { key, value } = entry;
    const { keepsLast } = this.#options;
    this.#waiting.delete(key);
    const before = this.#cells.get(key);
    if (before === undefined) this.#fresh -= 1;
    // Last in the order of the map is what was changed last.
    else if (keepsLast !== undefined) this.#cells.delete(key);
    const text = decoder.decode(value);
    const cell = this.#rowOf(key, text);
    this.#cells.set(key, cell);
    if (before?.row !== undefined || cell.row !== undefined) this.#tell(before?.row, cell.row);
    if (keepsLast !== undefined) this.#forget(keepsLast);
    return cell;
  }

  #rowOf(key: string, text: string): Cell<Row> {
    const { rowOf, onInvalid } = this.#options;
    if (rowOf === undefined) return { text, row: undefined };
    try {
      const value: unknown = JSON.parse(text);
      return { row: rowOf(value, key), ...this.#packed(value as object) };
    } catch (error) {
      onInvalid?.(key, error);
      return { text: undefined, row: undefined };
    }
  }

  #packed(value: object): Pick<Cell<Row>, 'text' | 'names'> {
    return { text: JSON.stringify(Object.values(value)), names: this.#namesOf(Object.keys(value)) };
  }

  /** Values of one bucket have one shape, or a few where versions meet: most often that of the value before. */
  #namesOf(own: readonly string[]): readonly string[] {
    const last = this.#lastNames;
    if (last.length === own.length && own.every((name, at) => name === last[at])) return last;
    const shape = own.join(' ');
    const names = this.#shapes.get(shape) ?? own;
    // A foreign one is not remembered.
    if (this.#shapes.size < MOST_SHAPES) this.#shapes.set(shape, names);
    this.#lastNames = names;
    return names;
  }

  #forget(most: number): void {
    for (const key of this.#cells.keys()) {
      if (this.#cells.size <= most) return;
      this.#drop(key);
    }
  }

  #drop(key: string): void {
    const row = this.#cells.get(key)?.row;
    this.#cells.delete(key);
    if (row !== undefined) this.#tell(row, undefined);
  }

  #tell(before: Row | undefined, after: Row | undefined): void {
    for (const listener of this.#listeners) listener(before, after);
  }
}
