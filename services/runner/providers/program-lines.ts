// What became of a program's lines in one turn: how many there were, how many of them were not understood, and how the last of these looked. A
// flood of such lines stays a few events.
import type { ProviderEvent } from './provider.ts';
import type { LinesSeen } from './turn-facts.ts';

/** Told one by one; from then on they are joined as raw output. */
const TOLD = 64;
const SHOWN_CHARACTERS = 200;

type UnknownLine = Extract<ProviderEvent, { readonly kind: 'unknown-line' }>;

export class ProgramLines {
  #read = 0;
  #strange = 0;
  #last: LinesSeen['last'] = null;

  /** One more was read; empty ones do not count. */
  count({ byteLength }: Uint8Array): void {
    if (byteLength > 0) this.#read += 1;
  }

  /** One of them was not understood. Gives what is told of it. */
  strange(event: UnknownLine): ProviderEvent {
    this.#strange += 1;
    const { line, reason, cutBytes } = event;
    this.#last = { line: line.trim().slice(0, SHOWN_CHARACTERS), reason: reason.slice(0, SHOWN_CHARACTERS) };
    if (this.#strange <= TOLD || cutBytes > 0) return event;
    return { kind: 'output', stream: 'stdout', text: `${line}\n` };
  }

  get seen(): LinesSeen {
    return { read: this.#read, strange: this.#strange, last: this.#last };
  }
}
