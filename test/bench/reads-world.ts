// What the reads bench reads: sessions, tasks and cursors in their buckets as a busy fleet leaves them, written straight into the buckets
// in atomic batches, since folding them from a log would take the bench minutes and measure nothing more.
import { openKeyValue } from '#libs/nats/key-value.ts';
import { encodePosition, POSITION_KEY } from '#libs/projections/position.ts';
import { viewKey } from '#streams/buckets.ts';
import { jsonBytes } from '#streams/entry.ts';
import { SESSION_VIEW_EXAMPLE } from '#streams/generate-session-examples.ts';
import { TASK_VIEW_EXAMPLE } from '#streams/generate-task-examples.ts';
import { cursorKey, type SessionView } from '#streams/session-view.ts';
import type { TaskView } from '#streams/task-view.ts';
import { TASK_STATES } from '#streams/task.ts';
import type { FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision } from '#test/support/control-plane.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { COUNT, idOf } from './reads-size.ts';

/** Sessions that the reader `anna` has seen. */
const READ = 20_000;

const sessionOf = (n: number): SessionView => ({
  ...SESSION_VIEW_EXAMPLE,
  ...BOUNDARY,
  seq: n + 1,
  version: n + 1,
  sessionId: idOf('ses', n),
  agent: `builder-${n % 20}`,
  activeRuns: n % 50 === 0 ? [idOf('run', n)] : [],
  lastRunId: idOf('run', n),
  lastOutcome: 'completed',
  lastActivityAt: SESSION_VIEW_EXAMPLE.createdAt + ((n * 7919) % COUNT) * 1000,
});
const taskOf = (n: number): TaskView => ({
  ...TASK_VIEW_EXAMPLE,
  ...BOUNDARY,
  seq: n + 1,
  queuedSeq: n + 1,
  taskId: idOf('tsk', n),
  queue: `queue-${n % 10}`,
  priority: n % 7,
  // Most have ended, some wait, few are under way.
  state: n % 10 === 0 ? 'pending' : (TASK_STATES[n % 100 === 1 ? 2 : 4 + (n % 4)] ?? 'completed'),
  createdAt: TASK_VIEW_EXAMPLE.createdAt + n,
});

/** Of one batch: the broker's own limit. */
const BATCH = 1000;

type Put = { readonly key: string; readonly value: Uint8Array };

/** Provisions the broker and fills its buckets. */
export const fillReads = async (broker: FreshBroker): Promise<void> => {
  await provision(broker);
  const connection = await connectTo({ ...broker, urls: [broker.url] });
  const putAll = async (bucket: string, count: number, entryOf: (n: number) => Put): Promise<void> => {
    const kv = openKeyValue(connection, { bucket, groupCommit: 'always' });
    for (let from = 0; from < count; from += BATCH)
      await kv.putMany(
        Array.from({ length: Math.min(BATCH, count - from) }, (_, at) => ({
          ...entryOf(from + at),
          // What expects a revision can go as one batch.
          options: { expectedRevision: 0 },
        })),
      );
    const position = { seq: count, projection: bucket, version: 1, owner: 'bench' };
    await kv.put(POSITION_KEY, encodePosition(position));
  };
  await putAll('sessions', COUNT, (n) => {
    const session = sessionOf(n);
    return { key: viewKey(BOUNDARY, session.sessionId), value: jsonBytes(session) };
  });
  await putAll('tasks', COUNT, (n) => {
    const task = taskOf(n);
    return { key: viewKey(BOUNDARY, task.taskId), value: jsonBytes(task) };
  });
  await putAll('cursors', READ, (n) => {
    const of = { kind: 'session', reader: 'anna', id: idOf('ses', n * 3) } as const;
    return { key: cursorKey(BOUNDARY, of), value: jsonBytes({ ...of, seq: COUNT, readAt: 1 }) };
  });
  await connection.close();
};
