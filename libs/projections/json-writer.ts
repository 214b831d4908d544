// JSON put together as bytes, from texts and from packed values (value-packer.ts), which are written out without being parsed: a page of a list
// costs little more than its bytes. One writer is good for one text at a time. Checks nothing: who adds knows what is JSON.
import { DEEPER, type Shape } from './value-packer.ts';

const QUOTE = 34;
const COMMA = 44;
const BACKSLASH = 92;
/** A character has three bytes at most for each of its units. */
const MOST_BYTES = 3;

export class JsonWriter {
  #bytes = Buffer.allocUnsafeSlow(65_536);
  #end = 0;

  /** Begins a text anew. */
  begin(text: string): void {
    this.#end = 0;
    this.text(text);
  }

  /** Adds a text as it is. */
  text(text: string): void {
    this.#reserve(text.length * MOST_BYTES);
    this.#end += this.#bytes.write(text, this.#end, 'utf8');
  }

  /**
   * Adds a packed value as an object that the fields of another one go on in, of which there is at least one (`{"a":1}`), or none (`}`). The list must
   * be JSON, with as many values as the shape has names.
   */
  packed({ marks, markEnds }: Shape, list: Uint8Array, more: string): void {
    this.#reserve(list.length + marks.length);
    const bytes = this.#bytes;
    let out = this.#end;
    let at = 1;
    let mark = 0;
    for (const markEnd of markEnds) {
      while (mark < markEnd) bytes[out++] = marks[mark++] ?? 0;
      const valueEnd = copyValue(list, at, bytes, out);
      out += valueEnd - at;
      // Over the comma.
      at = valueEnd + 1;
    }
    this.#end = out;
    this.text(goingOn(more));
  }

  /** All of it since it was begun, in bytes of its own. */
  written(): Uint8Array<ArrayBuffer> {
    const written = new Uint8Array(this.#end);
    written.set(this.#bytes.subarray(0, this.#end));
    return written;
  }

  #reserve(length: number): void {
    const needed = this.#end + length;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * needed);
    larger.set(this.#bytes.subarray(0, this.#end));
    this.#bytes = larger;
  }
}

/** The end of an object that more fields go on in; see {@link JsonWriter.packed}. */
export const goingOn = (more: string): string => (more.startsWith('{') ? `,${more.slice(1)}` : more);

/** Copies the value that begins somewhere in a list; gives where it ends: at the next comma of its own level, or at the end of the list. */
const copyValue = (list: Uint8Array, from: number, bytes: Uint8Array, out: number): number => {
  const end = list.length - 1;
  const shift = out - from;
  let depth = 0;
  let isText = false;
  for (let at = from; at < end; at += 1) {
    const byte = list[at] ?? 0;
    if (byte === QUOTE) isText = !isText;
    else if (byte === BACKSLASH) {
      // What is escaped goes with it.
      bytes[at + shift] = byte;
      at += 1;
    } else if (!isText) {
      if (byte === COMMA && depth === 0) return at;
      depth += DEEPER[byte] ?? 0;
    }
    bytes[at + shift] = list[at] ?? 0;
  }
  return end;
};
