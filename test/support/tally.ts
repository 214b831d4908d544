// A small domain for the tests of the loops: sums per key. `{ key, add }` is an event; a body that is no JSON cannot be
// decoded, `{ add: "boom" }` cannot be folded, `{ add: 0 }` changes nothing, and an event without a key concerns nobody.
import type { Decider } from '#libs/kernel/decider.ts';
import { accept, reject, unchanged } from '#libs/kernel/decider.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { defineProjection, splitValue } from '#libs/projections/projection.ts';

export interface Added {
  readonly key?: string;
  readonly add: number | 'boom';
}

export interface Tally {
  readonly sum: number;
  readonly count: number;
  /** Grows with the history: tells whether every entry was folded once and in order. */
  readonly trail: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const bytes = (text: string): Uint8Array => encoder.encode(text);
export const textOf = (value: Uint8Array): string => decoder.decode(value);
export const jsonBytes = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value));
export const jsonOf = (value: Uint8Array): unknown => JSON.parse(decoder.decode(value));

const decodeAdded = (entry: StoredEntry): Added => jsonOf(entry.body) as Added;

const parseTally = (value: unknown): Tally => {
  const { sum, count, trail } = value as Partial<Tally>;
  if (typeof sum !== 'number' || typeof count !== 'number' || typeof trail !== 'string')
    throw new Error(`not a tally: ${JSON.stringify(value)}`);
  return { sum, count, trail };
};

/** The fold under test; `variant` is another version of the code, with another result. */
export const tallyProjection = (names: {
  readonly stream: string;
  readonly bucket: string;
  readonly version?: number;
  readonly factor?: number;
}) =>
  defineProjection<Added, Tally>({
    name: 'tally',
    version: names.version ?? 1,
    stream: names.stream,
    subjects: [`${names.stream}.>`],
    bucket: names.bucket,
    decode: decodeAdded,
    key: (event) => event.key,
    initial: { sum: 0, count: 0, trail: '' },
    evolve: (state, { add }) => {
      if (add === 'boom') throw new Error('cannot be folded');
      if (add === 0) return state;
      const change = add * (names.factor ?? 1);
      return { sum: state.sum + change, count: state.count + 1, trail: `${state.trail}${change};` };
    },
    parse: parseTally,
  });

/** Appends one event on its key's subject. */
export const appendAdded = async (log: EventLog, event: Added, id?: string): Promise<number> => {
  const subject = `${log.stream}.${event.key ?? 'nobody'}`;
  count += 1;
  const outcome = await log.append({
    subject,
    id: id ?? `added-${count}`,
    headers: {},
    body: jsonBytes(event),
  });
  if (outcome.kind !== 'appended') throw new Error('an append without expectation conflicted');
  return outcome.seq;
};
let count = 0;

/** Every projected key with its value, in the order of keys. */
export const bucketContent = async (kv: KeyValue): Promise<Record<string, unknown>> => {
  const content: [string, unknown][] = [];
  for await (const key of kv.keys()) {
    const entry = key.startsWith('_') ? undefined : await kv.get(key);
    if (entry === undefined) continue;
    const { seq, state } = splitValue(entry.value);
    content.push([key, { seq, ...state }]);
  }
  return Object.fromEntries(content.sort(([a], [b]) => (a < b ? -1 : 1)));
};

/** A counter that may not pass a limit: the aggregate of the command tests. */
export type CounterCommand = { readonly kind: 'add'; readonly by: number } | { readonly kind: 'close' };
export type CounterEvent =
  | { readonly type: 'added'; readonly by: number; readonly at: number }
  | { readonly type: 'closed'; readonly at: number };
export interface Counter {
  readonly sum: number;
  readonly isClosed: boolean;
}
export const COUNTER_LIMIT = 1000;

export const counterDecider: Decider<
  CounterCommand,
  CounterEvent,
  Counter,
  'COUNTER_CLOSED' | 'COUNTER_FULL'
> = {
  initial: { sum: 0, isClosed: false },
  decide: (command, state, { now }) => {
    if (command.kind === 'close') return state.isClosed ? unchanged : accept({ type: 'closed', at: now });
    if (state.isClosed) return reject('COUNTER_CLOSED', 'the counter is closed');
    if (state.sum + command.by > COUNTER_LIMIT) return reject('COUNTER_FULL', 'the counter is full');
    return accept({ type: 'added', by: command.by, at: now });
  },
  evolve: (state, event) =>
    event.type === 'closed' ? { ...state, isClosed: true } : { ...state, sum: state.sum + event.by },
};
