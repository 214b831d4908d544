// Parks entries that could not be processed into a log of their own: why, where it came from, how often it was tried,
// and the original headers and body, so that it can be read and put back. Storing is idempotent: the id is derived from
// stream, sequence and consumer. Does not acknowledge anything: the consumer does, once the letter is stored.
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { EventLog, Headers, StoredEntry } from '#libs/ports/event-log.ts';
import type { ParkReason } from './disposition.ts';

/** An entry that is beyond help, and why. */
export interface Parked {
  readonly reason: ParkReason;
  /** Code of the fault; `UNEXPECTED_ERROR` for a defect. */
  readonly code: string;
  readonly message: string;
  readonly stream: string;
  readonly consumer: string;
  /** The service whose consumer it is. */
  readonly service: string;
  /** How often it was run or delivered, whichever is more. */
  readonly attempts: number;
  /** Epoch ms. */
  readonly parkedAt: number;
  readonly entry: StoredEntry;
}

export interface DeadLetters {
  /** Stores the letter; repeating it stores nothing. Throws the log's faults; a letter too large for the log is stored without its body. */
  park(parked: Parked): Promise<{ readonly seq: number }>;
}

export interface DeadLettersOptions {
  readonly log: EventLog;
  /** Subject and envelope of the letter; its headers win over those written here. `id` is the letter's id. */
  readonly build: (parked: Parked, id: string) => { readonly subject: string; readonly headers: Headers };
}

const FACT = 'Dead-';
const ORIGIN = 'Dead-Origin-';
const BODY_OMITTED = `${FACT}Body-Omitted`;

/** A header value is one line: anything else is made a blank, and the rest cut off. */
const oneLine = (text: string): string => {
  let line = '';
  for (const char of text.slice(0, 500)) line += char < ' ' || char === '\u007F' ? ' ' : char;
  return line.trim();
};

const factHeaders = (parked: Parked): Record<string, string> => {
  const headers: Record<string, string> = {
    [`${FACT}Reason`]: parked.reason,
    [`${FACT}Code`]: parked.code,
    [`${FACT}Message`]: oneLine(parked.message),
    [`${FACT}Service`]: parked.service,
    [`${FACT}Consumer`]: parked.consumer,
    [`${FACT}Attempts`]: String(parked.attempts),
    [`${FACT}Stream`]: parked.stream,
    [`${FACT}Seq`]: String(parked.entry.seq),
    [`${FACT}Subject`]: parked.entry.subject,
    [`${FACT}Stored-At`]: String(parked.entry.storedAt),
  };
  for (const [name, value] of Object.entries(parked.entry.headers)) headers[ORIGIN + name] = value;
  return headers;
};

/** The id of the letter: `<stream>:<seq>:<consumer>`. */
const deadLetterId = (parked: Pick<Parked, 'stream' | 'consumer'>, seq: number): string =>
  `${parked.stream}:${seq}:${parked.consumer}`;

export const createDeadLetters = ({ log, build }: DeadLettersOptions): DeadLetters => ({
  park: async (parked) => {
    const id = deadLetterId(parked, parked.entry.seq);
    const built = build(parked, id);
    const headers = { ...factHeaders(parked), ...built.headers };
    // No expectation: letters of one subject come from many consumers, and their order does not matter.
    const letter = { subject: built.subject, id, headers, body: parked.entry.body };
    const stored = await log.append(letter).catch((error: unknown) => {
      const fault = toFault(error);
      if (fault.code !== 'LOG_REFUSED') throw fault;
      const reduced = { ...headers, [BODY_OMITTED]: String(parked.entry.body.byteLength) };
      return log.append({ ...letter, headers: reduced, body: new Uint8Array() });
    });
    if (stored.kind === 'appended') return { seq: stored.seq };
    throw new Fault({
      code: 'DEAD_LETTER_CONFLICT',
      retry: 'later',
      message: `the log answered a conflict to a letter that expects nothing: ${id}`,
    });
  },
});
