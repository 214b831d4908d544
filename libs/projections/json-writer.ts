// JSON put together as bytes, from texts and from packed values (value-packer.ts), which are written out without being parsed: a page of a list
// costs little more than its bytes. One writer is good for one text at a time. Checks nothing: who adds knows what is JSON.
import { ByteArea } from './byte-area.ts';
import { endOfValue, listAt, LONG_FIELD, type Shape } from './value-packer.ts';

/** A character has three bytes at most for each of its units. */
const MOST_BYTES = 3;

/** Where a packed value is. */
interface PackedPlace {
  readonly area: ByteArea;
  readonly at: number;
  readonly length: number;
}

export class JsonWriter {
  #area = new ByteArea(65_536);
  #end = 0;

  /** Begins a text anew. */
  begin(text: string): void {
    this.#end = 0;
    this.text(text);
  }

  /** Adds a text as it is. */
  text(text: string): void {
    this.#reserve(text.length * MOST_BYTES);
    this.#end += this.#area.bytes.write(text, this.#end, 'utf8');
  }

  /**
   * Adds a packed value, which begins somewhere in an area, as an object that the fields of another one go on in, of which there is at least one
   * (`{"a":1}`), or none (`}`). Its list must be JSON, with as many values as the shape has names.
   */
  packed(shape: Shape, { area, at: from, length }: PackedPlace, more: string): void {
    const { marks, markEnds } = shape;
    this.#reserve(length + marks.bytes.length);
    const to = this.#area;
    let out = this.#end;
    // Behind the bracket.
    let at = from + listAt(shape) + 1;
    let mark = 0;
    for (let field = 0; field < markEnds.length; field += 1) {
      const markEnd = markEnds[field] ?? 0;
      to.put(marks, mark, markEnd - mark, out);
      out += markEnd - mark;
      mark = markEnd;
      const short = area.bytes[from + field] ?? 0;
      const size = short === LONG_FIELD ? endOfValue(area.bytes, at, from + length) - at : short;
      to.put(area, at, size, out);
      out += size;
      // Over the comma.
      at += size + 1;
    }
    this.#end = out;
    this.text(goingOn(more));
  }

  /** All of it since it was begun, in bytes of its own. */
  written(): Uint8Array<ArrayBuffer> {
    const written = new Uint8Array(this.#end);
    written.set(this.#area.bytes.subarray(0, this.#end));
    return written;
  }

  #reserve(length: number): void {
    const needed = this.#end + length;
    if (needed <= this.#area.bytes.length) return;
    const larger = new ByteArea(2 * needed);
    larger.bytes.set(this.#area.bytes.subarray(0, this.#end));
    this.#area = larger;
  }
}

/** The end of an object that more fields go on in; see {@link JsonWriter.packed}. */
export const goingOn = (more: string): string => (more.startsWith('{') ? `,${more.slice(1)}` : more);
