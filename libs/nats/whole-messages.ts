// Reads messages in one pass over their first line, the last one of what a socket brought when its rest has come; everything else (a line that is not
// whole, pings, errors) is left to the client's own parser, which goes byte by byte and makes a dozen objects a message: half of what it costs to
// receive one. What comes out is the same, message by message, whatever the pieces (test/integration/nats-whole-messages.test.ts).
// The client's parser is a field of its own (version pinned); should its fields change, it reads as it always did.
import type { NatsConnection } from '@nats-io/transport-node';

/** A message's first line, as the client has it. */
interface MessageArguments {
  readonly sid: number;
  /** Bytes of its headers, which its data begins with; -1: none. */
  readonly hdr: number;
  readonly size: number;
  readonly subject: Uint8Array;
  readonly reply: Uint8Array | undefined;
}

/** What is looked at of the client's parser. */
export interface ClientParser {
  parse(bytes: Uint8Array): void;
  readonly state: number;
  readonly ma?: { readonly size: number } | undefined;
  readonly msgBuf?: { readonly length: number } | undefined;
  readonly dispatcher: {
    push(event: { readonly kind: number; readonly msg: MessageArguments; readonly data: Uint8Array }): void;
  };
}

/** Of the client's parser: it is between two things; it has a part of a message's data. */
const BETWEEN = 0;
const IN_DATA = 15;
/** An event of the client: a message. */
const MESSAGE = 2;
/** As the client has it. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Behind the data of a message. */
const LINE_END_BYTES = 2;
const LETTER_H = 72;
const LETTER_M = 77;
const LETTER_S = 83;
const LETTER_G = 71;
const SPACE = 32;
const CARRIAGE_RETURN = 13;
const LINE_FEED = 10;
const ZERO = 48;
const MOST_DIGITS = 15;
/** Of a line: subject, subscription, where to answer, size of the headers, size. */
const MOST_WORDS = 5;

/** Where the words of the line at work begin, and behind the last where the line ends; all of this is synchronous. */
const words = new Int32Array(MOST_WORDS + 1);

/** Finds the words of a line that single spaces part; gives how many. 0: it is written in another way, or its end is not here. */
const findWords = (bytes: Uint8Array, from: number): number => {
  let count = 1;
  words[0] = from;
  for (let at = from; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte > SPACE) continue;
    if (byte === CARRIAGE_RETURN && bytes[at + 1] === LINE_FEED && at !== words[count - 1]) {
      words[count] = at + 1;
      return count;
    }
    if (byte !== SPACE || count === MOST_WORDS || at === words[count - 1]) return 0;
    words[count] = at + 1;
    count += 1;
  }
  return 0;
};

/** The number that a word is; -1: it is none. */
const numberAt = (bytes: Uint8Array, word: number): number => {
  const from = words[word] ?? 0;
  const to = (words[word + 1] ?? 0) - 1;
  if (to <= from || to - from > MOST_DIGITS) return -1;
  let number = 0;
  for (let at = from; at < to; at += 1) {
    const digit = (bytes[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
};

/** Behind the name of a message with headers or of one without, and a space; 0: something else begins here. */
const afterName = (bytes: Uint8Array, from: number): number => {
  const at = bytes[from] === LETTER_H ? from + 1 : from;
  const isMessage =
    bytes[at] === LETTER_M &&
    bytes[at + 1] === LETTER_S &&
    bytes[at + 2] === LETTER_G &&
    bytes[at + 3] === SPACE;
  return isMessage ? at + 4 : 0;
};

/** What the line of so many words says; undefined: it is no message's. */
const argumentsOf = (bytes: Uint8Array, count: number, hasHeaders: boolean): MessageArguments | undefined => {
  // Subject, subscription, perhaps where to answer, perhaps the size of the headers, the size.
  const replies = count - (hasHeaders ? 4 : 3);
  if (replies !== 0 && replies !== 1) return undefined;
  const sid = numberAt(bytes, 1);
  const size = numberAt(bytes, count - 1);
  const hdr = hasHeaders ? numberAt(bytes, count - 2) : -1;
  if (sid < 0 || size < 0 || size > MOST_BYTES || hdr > size || (hasHeaders && hdr < 0)) return undefined;
  const word = (at: number): Uint8Array => {
    const begin = words[at] ?? 0;
    return new Uint8Array(bytes.buffer, bytes.byteOffset + begin, (words[at + 1] ?? 0) - 1 - begin);
  };
  return { sid, hdr, size, subject: word(0), reply: replies === 1 ? word(2) : undefined };
};

/** Where the message ends whose line was read last and is whole, or -1 when the end of it has not come. */
let endOfMessage = -1;

/** Hands on the message that begins here; gives where it ends. 0: it is not whole, or nothing that is read here. */
const takeMessage = ({ dispatcher }: ClientParser, bytes: Uint8Array, from: number): number => {
  endOfMessage = -1;
  const begin = afterName(bytes, from);
  const count = begin === 0 ? 0 : findWords(bytes, begin);
  const msg = count === 0 ? undefined : argumentsOf(bytes, count, bytes[from] === LETTER_H);
  if (msg === undefined) return 0;
  const start = (words[count] ?? 0) + 1;
  const end = start + msg.size;
  endOfMessage = end + LINE_END_BYTES;
  if (bytes[end] !== CARRIAGE_RETURN || bytes[end + 1] !== LINE_FEED) return 0;
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset + start, msg.size);
  dispatcher.push({ kind: MESSAGE, msg, data });
  return endOfMessage;
};

/** A message whose line has come and whose end has not: its bytes so far, in as many as it has. */
class BegunMessage {
  #bytes: Buffer | undefined;
  #length = 0;

  get isThere(): boolean {
    return this.#bytes !== undefined;
  }

  begin(bytes: Uint8Array, length: number): void {
    this.#bytes = Buffer.allocUnsafeSlow(length);
    this.#bytes.set(bytes);
    this.#length = bytes.length;
  }

  /** Adds what is its; gives how much that was, and the message when it is whole. */
  goOn(bytes: Uint8Array): { readonly taken: number; readonly whole: Uint8Array | undefined } {
    const all = this.#bytes ?? Buffer.alloc(0);
    const taken = Math.min(all.length - this.#length, bytes.length);
    all.set(bytes.subarray(0, taken), this.#length);
    this.#length += taken;
    if (this.#length < all.length) return { taken, whole: undefined };
    this.#bytes = undefined;
    return { taken, whole: all };
  }
}

/** Where what the client's parser is in the middle of ends, at the latest. */
const restOf = ({ state, ma, msgBuf }: ClientParser, bytes: Uint8Array, from: number): number => {
  if (state === IN_DATA && ma !== undefined && msgBuf !== undefined)
    return from + ma.size - msgBuf.length + LINE_END_BYTES;
  const lineEnd = bytes.indexOf(LINE_FEED, from);
  return lineEnd < 0 ? bytes.length : lineEnd + 1;
};

/** Makes a parser of the client read whole messages in one pass. */
export const readWholeMessages = (parser: ClientParser): void => {
  const parseBytewise = parser.parse.bind(parser);
  const begun = new BegunMessage();
  const goOn = (bytes: Uint8Array): number => {
    const { taken, whole } = begun.goOn(bytes);
    if (whole !== undefined && takeMessage(parser, whole, 0) === 0) parseBytewise(whole);
    return taken;
  };
  parser.parse = (bytes) => {
    let at = begun.isThere ? goOn(bytes) : 0;
    while (at < bytes.length) {
      const isBetween = parser.state === BETWEEN;
      const end = isBetween ? takeMessage(parser, bytes, at) : 0;
      // The last one that a socket brings is seldom whole: its beginning waits for the rest.
      if (end === 0 && isBetween && endOfMessage > bytes.length)
        return begun.begin(bytes.subarray(at), endOfMessage - at);
      const next = end > 0 ? end : restOf(parser, bytes, at);
      if (end === 0) parseBytewise(bytes.subarray(at, next));
      at = next;
    }
  };
};

const isKnown = (parser: Partial<ClientParser> | undefined): parser is ClientParser =>
  typeof parser?.parse === 'function' &&
  typeof parser.state === 'number' &&
  typeof parser.dispatcher?.push === 'function';

/** Changes how `nc` reads, also after it has reconnected: it has another parser then. */
export const readTogether = (nc: NatsConnection): void => {
  const { protocol } = nc as unknown as { readonly protocol?: { parser?: Partial<ClientParser> } };
  let parser = protocol?.parser;
  if (protocol === undefined || parser === undefined) return;
  const adopt = (next: Partial<ClientParser>): void => {
    parser = next;
    if (isKnown(next)) readWholeMessages(next);
  };
  adopt(parser);
  Object.defineProperty(protocol, 'parser', {
    get: () => parser,
    set: adopt,
    configurable: true,
    enumerable: true,
  });
};
