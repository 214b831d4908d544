// Takes a stored value apart without parsing it: the values of its fields, one after another as a JSON list, before which stands how long each is (a byte
// a field), and the names once for all values that have the same; half of a value are names. Values of one bucket have one shape, or a few where versions meet, so that the bytes of the
// names are compared and stepped over. What is written in another way (spaces, another order) is parsed once, and its shape is known then.
// A value that matches a shape is not checked to be JSON inside: who reads it finds out.
import { ByteArea } from './byte-area.ts';

/** The fields of a value, in order. */
export interface Shape {
  readonly names: readonly string[];
  /** What stands before each field's value (`{"seq":`, `,"name":`), all in one, and where each ends in there. */
  readonly marks: ByteArea;
  readonly markEnds: readonly number[];
  /** Which of the fields are wanted. */
  readonly wanted: readonly number[];
}

/** Shapes that are remembered. */
const MOST_SHAPES = 16;
/** Short strings occur again and again: one of each is kept. */
const MOST_STRINGS = 1000;
const SHORT_STRING = 24;

const QUOTE = 34;
const COMMA = 44;
const ZERO = 48;
const NINE = 57;
const OPEN_LIST = 91;
const BACKSLASH = 92;
const CLOSE_LIST = 93;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const FIRST_BEYOND_ASCII = 128;
/** Digits that a double holds exactly, all of them. */
const EXACT_DIGITS = 15;

/** An empty list: most lists of most values are. */
const NOTHING: readonly unknown[] = Object.freeze([]);

/** The length of a field that does not fit a byte: it is looked for. */
export const LONG_FIELD = 255;

/** How a byte outside of texts changes the depth. */
const DEEPER = new Int8Array(256);
for (const byte of [OPEN_OBJECT, OPEN_LIST]) DEEPER[byte] = 1;
for (const byte of [CLOSE_OBJECT, CLOSE_LIST]) DEEPER[byte] = -1;

/** Where the text that begins here ends, behind its other quote. */
const endOfText = (bytes: Uint8Array, from: number, end: number): number => {
  let at = from + 1;
  while (at < end) {
    const byte = bytes[at++];
    if (byte === QUOTE) return at;
    // What is escaped goes with it.
    if (byte === BACKSLASH) at += 1;
  }
  return end;
};

/** Where a number or a word ends: at the next comma, or with what it stands in. */
const endOfWord = (bytes: Uint8Array, from: number, end: number): number => {
  let at = from;
  for (; at < end; at += 1) {
    const byte = bytes[at];
    if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_LIST) break;
  }
  return at;
};

/** Where the value that begins here ends. */
export const endOfValue = (bytes: Uint8Array, from: number, end: number): number => {
  const first = bytes[from] ?? 0;
  if (first === QUOTE) return endOfText(bytes, from, end);
  if (first !== OPEN_LIST && first !== OPEN_OBJECT) return endOfWord(bytes, from, end);
  let depth = 0;
  let at = from;
  while (at < end) {
    const byte = bytes[at] ?? 0;
    if (byte === QUOTE) at = endOfText(bytes, at, end);
    else {
      depth += DEEPER[byte] ?? 0;
      at += 1;
      if (depth === 0) return at;
    }
  }
  return end;
};

const shapeOf = (names: readonly string[], wanted: ReadonlySet<string>): Shape => {
  const parts = names.map((name, at) => Buffer.from(`${at === 0 ? '{' : ','}${JSON.stringify(name)}:`));
  const all = Buffer.concat(parts);
  const marks = new ByteArea(all.length);
  marks.bytes.set(all);
  let end = 0;
  return {
    names,
    marks,
    markEnds: parts.map(({ length }) => (end += length)),
    wanted: names.flatMap((name, at) => (wanted.has(name) ? [at] : [])),
  };
};

/** What {@link ValuePacker.pack} leaves behind. */
export interface PackedValue {
  readonly shape: Shape;
  /** Of all of it in {@link ValuePacker.bytes}: the lengths of the fields, and from {@link listAt} on the list. */
  readonly length: number;
}

/** Where in a packed value the list begins. */
export const listAt = ({ names }: Shape): number => names.length;

export class ValuePacker {
  readonly #wanted: ReadonlySet<string>;
  /** The shape that matched last comes first. */
  readonly #shapes: Shape[] = [];
  /** What {@link fields} gives, one object for all values: with fields that come and go an object costs more than what is in it. */
  readonly #found: Record<string, unknown>;
  /** By a hash of their bytes. */
  readonly #strings = new Map<number, string>();
  #area = new ByteArea(4096);
  /** Of the fields of the value at work, as they were written: begin and end of each. */
  #extents: number[] = [];

  /** `wanted`: names of the fields that {@link fields} gives. */
  constructor(wanted: readonly string[]) {
    this.#wanted = new Set(wanted);
    this.#found = Object.fromEntries(wanted.map((name) => [name, undefined]));
  }

  /** The packed value, up to its length; good until the next one is packed. */
  get bytes(): Buffer {
    return this.#area.bytes;
  }

  /** Throws when it is not a JSON object. */
  pack(value: Uint8Array): PackedValue {
    const shapes = this.#shapes;
    for (let at = 0; at < shapes.length; at += 1) {
      const shape = shapes[at];
      const length = shape === undefined ? 0 : this.#packAs(shape, value);
      if (shape === undefined || length === 0) continue;
      if (at > 0) shapes.unshift(...shapes.splice(at, 1));
      return { shape, length };
    }
    return this.#learn(value);
  }

  /**
   * The wanted fields of the value that was packed last; those that it does not have are undefined. Good until the next call. Throws when they are not
   * JSON.
   */
  fields({ names, wanted }: Shape): Readonly<Record<string, unknown>> {
    const found = this.#found;
    if (wanted.length < this.#wanted.size) for (const name of this.#wanted) found[name] = undefined;
    for (const at of wanted)
      found[names[at] ?? ''] = this.#fieldAt(this.#extents[2 * at] ?? 0, this.#extents[2 * at + 1] ?? 0);
    return found;
  }

  /** The length of the value in this shape; 0: it has another. */
  #packAs({ marks, markEnds }: Shape, value: Uint8Array): number {
    const count = markEnds.length;
    const end = count + value.length;
    if (this.#area.bytes.length < end + 2) this.#area = new ByteArea(2 * end);
    const area = this.#area;
    const { bytes } = area;
    const extents = this.#extents;
    bytes.set(value, count);
    // Read and written in the same bytes: what is written is never further on.
    let readAt = count;
    let writeAt = count;
    let mark = 0;
    for (let at = 0; at < count; at += 1) {
      const markEnd = markEnds[at] ?? 0;
      const markSize = markEnd - mark;
      // Beyond the end stands what was there before.
      if (readAt + markSize > end || !area.has(marks, mark, markSize, readAt)) return 0;
      mark = markEnd;
      readAt += markSize;
      bytes[writeAt++] = at === 0 ? OPEN_LIST : COMMA;
      const valueEnd = endOfValue(bytes, readAt, end);
      const size = valueEnd - readAt;
      area.put(area, readAt, size, writeAt);
      bytes[at] = Math.min(size, LONG_FIELD);
      extents[2 * at] = writeAt;
      writeAt += size;
      extents[2 * at + 1] = writeAt;
      readAt = valueEnd;
    }
    if (mark === 0 || readAt !== end - 1 || bytes[readAt] !== CLOSE_OBJECT) return 0;
    bytes[writeAt++] = CLOSE_LIST;
    return writeAt;
  }

  #learn(value: Uint8Array): PackedValue {
    const parsed: unknown = JSON.parse(Buffer.from(value).toString('utf8'));
    if (typeof parsed !== 'object' || parsed === null) throw new Error('not a JSON object');
    const shape = shapeOf(Object.keys(parsed), this.#wanted);
    if (shape.names.length === 0 || shape.names.includes('__proto__'))
      throw new Error('no object with fields');
    // In our own writing it matches its shape.
    const length = this.#packAs(shape, Buffer.from(JSON.stringify(parsed)));
    const isKnown = this.#shapes.some(({ names }) => names.join(' ') === shape.names.join(' '));
    if (!isKnown && this.#shapes.length < MOST_SHAPES) this.#shapes.unshift(shape);
    return { shape, length };
  }

  #fieldAt(from: number, to: number): unknown {
    const { bytes } = this.#area;
    const first = bytes[from] ?? 0;
    if (first >= ZERO && first <= NINE && to - from <= EXACT_DIGITS) {
      let whole = 0;
      let at = from;
      for (; at < to; at += 1) {
        const digit = (bytes[at] ?? 0) - ZERO;
        if (digit < 0 || digit > 9) break;
        whole = whole * 10 + digit;
      }
      if (at === to) return whole;
    }
    if (first === OPEN_LIST && to - from === 2) return NOTHING;
    const text = first === QUOTE ? this.#plainText(from + 1, to - 1) : undefined;
    return text ?? (JSON.parse(bytes.toString('utf8', from, to)) as unknown);
  }

  /** A text that is written as it is; undefined: not so. */
  #plainText(from: number, to: number): string | undefined {
    const { bytes } = this.#area;
    let hash = 0;
    for (let at = from; at < to; at += 1) {
      const byte = bytes[at] ?? 0;
      if (byte === BACKSLASH || byte >= FIRST_BEYOND_ASCII) return undefined;
      hash = (Math.imul(hash, 31) + byte) | 0;
    }
    if (to - from > SHORT_STRING) return bytes.toString('latin1', from, to);
    const kept = this.#strings.get(hash);
    if (kept !== undefined && this.#isText(kept, from, to)) return kept;
    const text = bytes.toString('latin1', from, to);
    if (kept === undefined && this.#strings.size < MOST_STRINGS) this.#strings.set(hash, text);
    return text;
  }

  #isText(text: string, from: number, to: number): boolean {
    if (text.length !== to - from) return false;
    for (let at = 0; at < text.length; at += 1)
      if (text.charCodeAt(at) !== this.#area.bytes[from + at]) return false;
    return true;
  }
}

/** Whether a packed list is JSON, with a value for each name. */
export const isList = (list: string, { names }: Shape): boolean => {
  try {
    const values: unknown = JSON.parse(list);
    return Array.isArray(values) && values.length === names.length;
  } catch {
    return false;
  }
};

/** The value of a packed list, as it was. Throws when it is not JSON. */
export const unpack = ({ names }: Shape, list: string): Record<string, unknown> => {
  const values = JSON.parse(list) as readonly unknown[];
  if (values.length !== names.length) throw new Error('not a JSON object');
  const value: Record<string, unknown> = {};
  for (const [at, name] of names.entries()) value[name] = values[at];
  return value;
};
