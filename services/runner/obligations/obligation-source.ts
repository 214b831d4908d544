// Where the runner hears what its agent owes: the value of one key of a bucket, as an entry of the stream behind it. Every change is
// pushed to a consumer of its own; the last one can be looked up.
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import { parseJson } from '#streams/entry.ts';
import { obligationsSchema, obligationsSubject } from '#streams/mail-views.ts';
import type { AgentPlace } from '#streams/subjects.ts';
import type { OwedValue } from './obligation-snapshot.policy.ts';

const NOTHING: OwedValue = { seq: 0, revision: 0, owed: [] };

/** The value of an entry. Faults: `OBLIGATIONS_UNREADABLE` (never). */
export const readOwedValue = ({ seq: revision, headers, body }: StoredEntry): OwedValue => {
  // The key was deleted: the bucket is being made anew.
  if (headers['KV-Operation'] !== undefined) return { ...NOTHING, revision };
  const parsed = obligationsSchema.safeParse(parseJson(body));
  if (!parsed.success)
    throw new Fault({
      code: 'OBLIGATIONS_UNREADABLE',
      retry: 'never',
      message: 'what the agent owes cannot be read: it was written by another version',
    });
  const { seq, owed } = parsed.data;
  return {
    seq,
    revision,
    owed: owed.map(({ messageId, from, subject, sentAt, deliveredAt, injectedAt }) => ({
      messageId,
      from,
      subject,
      sentAt,
      deliveredAt,
      injectedAt,
    })),
  };
};

/** Looks the last value up. */
export const fetchOwedValue =
  (log: EventLog, { agent, ...boundary }: AgentPlace) =>
  async (): Promise<OwedValue> => {
    const entry = await log.lastSeen(obligationsSubject(boundary, agent));
    return entry === undefined ? NOTHING : readOwedValue(entry);
  };
