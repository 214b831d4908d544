// Takes a stored value apart without parsing it: the values of its fields, one after another as a JSON list, and the names once for all values
// that have the same; half of a value are names. Values of one bucket have one shape, or a few where versions meet, so that the bytes of the
// names are compared and stepped over. What is written in another way (spaces, another order) is parsed once, and its shape is known then.
// A value that matches a shape is not checked to be JSON inside: who reads it finds out.

/** The fields of a value, in order. */
export interface Shape {
  readonly names: readonly string[];
  /** What stands before each field's value (`{"seq":`, `,"name":`), all in one, and where each ends in there. */
  readonly marks: Uint8Array;
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

/** How a byte outside of texts changes the depth. */
export const DEEPER = new Int8Array(256);
for (const byte of [OPEN_OBJECT, OPEN_LIST]) DEEPER[byte] = 1;
for (const byte of [CLOSE_OBJECT, CLOSE_LIST]) DEEPER[byte] = -1;

/** Where bytes are read and written in the value at work; all of this is synchronous. */
let readAt = 0;
let writeAt = 0;

/** Moves the text that begins here, up to its other quote. */
const moveText = (bytes: Uint8Array, end: number): void => {
  let at = readAt + 1;
  let out = writeAt;
  bytes[out++] = QUOTE;
  while (at < end) {
    const byte = bytes[at++] ?? 0;
    bytes[out++] = byte;
    if (byte === QUOTE) break;
    // What is escaped goes with it.
    if (byte === BACKSLASH) bytes[out++] = bytes[at++] ?? 0;
  }
  readAt = at;
  writeAt = out;
};

/** Moves one value, from where it is read to where it is written, in the same bytes: never further on. */
const moveValue = (bytes: Uint8Array, end: number): void => {
  let depth = 0;
  while (readAt < end) {
    const byte = bytes[readAt] ?? 0;
    if (byte === QUOTE) moveText(bytes, end);
    else if (depth === 0 && (byte === COMMA || byte === CLOSE_OBJECT)) return;
    else {
      depth += DEEPER[byte] ?? 0;
      bytes[writeAt++] = byte;
      readAt += 1;
    }
  }
};

const shapeOf = (names: readonly string[], wanted: ReadonlySet<string>): Shape => {
  const marks = names.map((name, at) => Buffer.from(`${at === 0 ? '{' : ','}${JSON.stringify(name)}:`));
  let end = 0;
  return {
    names,
    marks: new Uint8Array(Buffer.concat(marks)),
    markEnds: marks.map(({ length }) => (end += length)),
    wanted: names.flatMap((name, at) => (wanted.has(name) ? [at] : [])),
  };
};

/** What {@link ValuePacker.pack} leaves behind. */
export interface PackedValue {
  readonly shape: Shape;
  /** Of the list in {@link ValuePacker.bytes}. */
  readonly length: number;
}

export class ValuePacker {
  readonly #wanted: ReadonlySet<string>;
  /** The shape that matched last comes first. */
  readonly #shapes: Shape[] = [];
  /** By a hash of their bytes. */
  readonly #strings = new Map<number, string>();
  #bytes = Buffer.allocUnsafeSlow(4096);
  /** Of the fields of the value at work, as they were written: begin and end of each. */
  #extents: number[] = [];

  /** `wanted`: names of the fields that {@link fields} gives. */
  constructor(wanted: readonly string[]) {
    this.#wanted = new Set(wanted);
  }

  /** The packed value, up to its length; good until the next one is packed. */
  get bytes(): Buffer {
    return this.#bytes;
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

  /** The wanted fields of the value that was packed last; those that it does not have are left out. Throws when they are not JSON. */
  fields({ names, wanted }: Shape): Record<string, unknown> {
    const found: Record<string, unknown> = {};
    for (const at of wanted)
      found[names[at] ?? ''] = this.#fieldAt(this.#extents[2 * at] ?? 0, this.#extents[2 * at + 1] ?? 0);
    return found;
  }

  /** The length of the value in this shape; 0: it has another. */
  #packAs({ marks, markEnds }: Shape, value: Uint8Array): number {
    const end = value.length;
    if (this.#bytes.length < end + 2) this.#bytes = Buffer.allocUnsafeSlow(2 * end);
    const bytes = this.#bytes;
    const extents = this.#extents;
    bytes.set(value);
    readAt = 0;
    writeAt = 0;
    let mark = 0;
    for (let at = 0; at < markEnds.length; at += 1) {
      const markEnd = markEnds[at] ?? 0;
      let from = readAt;
      while (mark < markEnd) if (bytes[from++] !== marks[mark++]) return 0;
      readAt = from;
      bytes[writeAt++] = at === 0 ? OPEN_LIST : COMMA;
      extents[2 * at] = writeAt;
      moveValue(bytes, end);
      extents[2 * at + 1] = writeAt;
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
    const bytes = this.#bytes;
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
    const text = first === QUOTE ? this.#plainText(from + 1, to - 1) : undefined;
    return text ?? (JSON.parse(bytes.toString('utf8', from, to)) as unknown);
  }

  /** A text that is written as it is; undefined: not so. */
  #plainText(from: number, to: number): string | undefined {
    const bytes = this.#bytes;
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
      if (text.charCodeAt(at) !== this.#bytes[from + at]) return false;
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
