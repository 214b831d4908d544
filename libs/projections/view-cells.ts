// The values of a read view: kept as text, parsed when they are asked for, and in between no more than a few fields of each (its row), by
// which indexes order them. Values that come in quick succession under one key are looked at once: rows are brought up to date before they
// are read (`settle`), or when many wait. Knows no watch (read-view.ts does).
import type { KeyValueEntry } from '#libs/ports/key-value.ts';
import { decodeText, type Projection, type Stamped } from './projection.ts';

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
  /** The value as it came; undefined: it is not one. */
  readonly text: string | undefined;
  readonly row: Row | undefined;
}

/** Values that have come and not been looked at, at most. */
const MOST_WAITING = 500;

const decoder = new TextDecoder();

export class ViewCells<State extends object, Row extends object> {
  readonly #options: CellOptions<State, Row>;
  readonly #cells = new Map<string, Cell<Row>>();
  readonly #waiting = new Map<string, KeyValueEntry>();
  readonly #listeners = new Set<RowListener<Row>>();
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
    this.#waiting.set(key, entry);
    if (this.#waiting.size >= MOST_WAITING) this.settle();
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
      return decodeText(this.#options.projection, { key, text: cell.text });
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
      return { text, row: rowOf(JSON.parse(text), key) };
    } catch (error) {
      onInvalid?.(key, error);
      return { text: undefined, row: undefined };
    }
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
