// What the contract of the log asks of whoever runs it, and how its tests write entries.
import type { EventLog, NewEntry, StoredEntry } from '#libs/ports/event-log.ts';
import { all } from './reading.ts';

export interface LogHarness {
  /** The log of a stream of its own: empty, nothing was ever stored in it. */
  readonly log: EventLog;
  /** A literal subject of the stream that ends in `.<name>` (or a filter, when the name holds wildcards); the same for the same name. */
  readonly subject: (name: string) => string;
  readonly dispose: () => Promise<void>;
  /** Makes the stream forget the ids that it has seen, as if its duplicate window had passed. Left out: those tests are skipped. */
  readonly forgetIds?: () => Promise<void>;
  /** Moves time on by at least 5 ms, so that what is stored next is stored later. */
  readonly moment: () => Promise<void>;
}

/** Makes a harness. Called once per test. */
export type MakeLog = () => Promise<LogHarness>;

/** Runs a test on a harness of its own. */
export const withLog =
  (make: MakeLog, body: (harness: LogHarness) => Promise<void>): (() => Promise<void>) =>
  async () => {
    const harness = await make();
    try {
      await body(harness);
    } finally {
      await harness.dispose();
    }
  };

const encoder = new TextEncoder();

/** An entry with a body that names its id. Give `id` to repeat an append. */
export const entry = (
  subject: string,
  id: string,
  more: Partial<Pick<NewEntry, 'headers' | 'body' | 'expectedSeq'>> = {},
): NewEntry => ({ subject, id, headers: { 'X-Kind': 'test' }, body: encoder.encode(id), ...more });

/** The id that a stored entry was appended with. */
export const idOf = (stored: StoredEntry | undefined): string | undefined => stored?.headers['Nats-Msg-Id'];

const decoder = new TextDecoder();

export const textOf = (body: Uint8Array): string => decoder.decode(body);

/** Ids of what is read. */
export const ids = async (source: ReturnType<EventLog['replay']>): Promise<(string | undefined)[]> =>
  (await all(source)).map(idOf);

/** a.1 b.1 a.2 b.2 … in turn, `pairs` times; ids are `<letter><n>`. */
export const fill = async ({ log, subject }: LogHarness, pairs: number): Promise<void> => {
  const batch = Array.from({ length: pairs }, (_, n) => [
    entry(subject(`a.${n + 1}`), `a${n + 1}`),
    entry(subject(`b.${n + 1}`), `b${n + 1}`),
  ]);
  await log.appendTogether(batch.flat());
};
