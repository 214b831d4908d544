// Cuts a stream of text into pieces that end at a line end where possible (what is redacted piece by piece must not be cut in the
// middle of a word), with bounded memory. Bytes that are no UTF-8 become U+FFFD.
import { StringDecoder } from 'node:string_decoder';

export class TextChunks {
  readonly #maxCharacters: number;
  readonly #decoder = new StringDecoder('utf8');
  #held = '';

  constructor(maxCharacters: number) {
    this.#maxCharacters = maxCharacters;
  }

  /** The pieces that are complete now: whole lines, and pieces of lines longer than the limit. */
  *push(chunk: Buffer): Generator<string> {
    this.#held += this.#decoder.write(chunk);
    const end = this.#held.lastIndexOf('\n') + 1;
    yield* this.#slices(this.#held.slice(0, end));
    this.#held = this.#held.slice(end);
    while (this.#held.length > this.#maxCharacters) {
      yield this.#held.slice(0, this.#maxCharacters);
      this.#held = this.#held.slice(this.#maxCharacters);
    }
  }

  /** What is left at the end of the stream. */
  *end(): Generator<string> {
    yield* this.#slices(this.#held + this.#decoder.end());
    this.#held = '';
  }

  *#slices(text: string): Generator<string> {
    for (let at = 0; at < text.length; at += this.#maxCharacters)
      yield text.slice(at, at + this.#maxCharacters);
  }
}
