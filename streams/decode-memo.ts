// One reading of an entry for everybody in this process: a transition is delivered to several consumers and projections, and reading it
// (envelope, JSON, schema) costs most of what each of them does with it. A reading is a pure function of subject, headers and body; it is
// given again only for an entry that is equal in all of them. Memory: at most {@link MOST_READINGS} small entries. Does no I/O.
import { RecentMap } from '#libs/kernel/recent-map.ts';
import type { EntryLike, Reading } from './entry.ts';

/** Readings kept: deliveries of one entry to different consumers are seldom further apart. */
const MOST_READINGS = 1024;
/** Larger bodies are read each time: what is kept stays below 16 MiB a codec. */
const MOST_BODY_BYTES = 16 * 1024;

const MESSAGE_ID = 'Nats-Msg-Id';

const haveSameHeaders = (a: EntryLike['headers'], b: EntryLike['headers']): boolean => {
  if (a === b) return true;
  let count = 0;
  for (const name in a) {
    if (a[name] !== b[name]) return false;
    count += 1;
  }
  for (const _name in b) count -= 1;
  return count === 0;
};

const areEqual = (a: EntryLike, b: EntryLike): boolean =>
  a.subject === b.subject &&
  a.body.byteLength === b.body.byteLength &&
  Buffer.compare(a.body, b.body) === 0 &&
  haveSameHeaders(a.headers, b.headers);

/** What several readers share none of them may change. */
const deepFrozen = <Value>(value: Value): Value => {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const member of Object.values(value)) deepFrozen(member);
  return Object.freeze(value);
};

/** `decode` (pure) with its last readings kept; they are frozen. */
export const rememberReadings = <Fields>(
  decode: (entry: EntryLike) => Reading<Fields>,
): ((entry: EntryLike) => Reading<Fields>) => {
  const kept = new RecentMap<{ readonly entry: EntryLike; readonly reading: Reading<Fields> }>();
  return (entry) => {
    const id = entry.headers[MESSAGE_ID];
    if (id === undefined || entry.body.byteLength > MOST_BODY_BYTES) return decode(entry);
    const known = kept.peek(id);
    if (known !== undefined && areEqual(known.entry, entry)) return known.reading;
    const reading = deepFrozen(decode(entry));
    // Not the delivery itself, which holds more than an entry; and a body of its own, not a part of a large buffer.
    const { subject, headers, body } = entry;
    kept.set(id, { entry: { subject, headers, body: new Uint8Array(body) }, reading });
    kept.trim(MOST_READINGS);
    return reading;
  };
};
