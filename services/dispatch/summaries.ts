// Where a dispatcher begins: the summaries of tasks and runs, read once. They may be behind the log, each by a stretch of its own, and
// single keys may be ahead of their position; what they have seen is known exactly, so that the log is taken up without gap or repeat.
import { aborted } from '#libs/service/aborted.ts';
import { nextTurn } from '#libs/service/next-turn.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { createReadView } from '#libs/projections/read-view.ts';
import { runViewSchema, viewKey } from '#streams/buckets.ts';
import type { Boundary } from '#streams/subjects.ts';
import { taskViewSchema } from '#streams/task-view.ts';
import type { z } from 'zod';

/** What a dispatcher needs of a task. */
const taskSchema = taskViewSchema.pick({
  tenant: true,
  project: true,
  taskId: true,
  queue: true,
  lane: true,
  priority: true,
  provider: true,
  agent: true,
  labels: true,
  state: true,
  attempts: true,
  attemptCount: true,
  queuedSeq: true,
  endedAt: true,
});
type RestoredTask = z.infer<typeof taskSchema>;

const runSchema = runViewSchema.pick({
  tenant: true,
  project: true,
  runId: true,
  agent: true,
  provider: true,
  failure: true,
  endedAt: true,
});
type RestoredRun = z.infer<typeof runSchema>;

interface Summary<State> {
  /** Every entry up to this sequence is in `values`. */
  readonly position: number;
  readonly values: readonly { readonly seq: number; readonly state: State }[];
}

export interface Summaries {
  readonly tasks: Summary<RestoredTask>;
  readonly runs: Summary<RestoredRun>;
}

interface Parts {
  readonly bucket: (name: string) => KeyValue;
  readonly clock: Clock;
  /** Tasks, and runs, that a summary may hold. */
  readonly maxKeys: number;
}

/** The services beside this one answer meanwhile: 100,000 summaries take seconds. */
const VALUES_A_TURN = 200;

const read = async <State extends object>(
  { bucket, clock, maxKeys }: Parts,
  { name, schema }: { readonly name: string; readonly schema: z.ZodType<State> },
  signal: AbortSignal,
): Promise<Summary<State>> => {
  const view = createReadView({
    projection: { name, bucket: name, parse: (value) => schema.parse(value) },
    kv: bucket(name),
    clock,
    maxKeys,
    // Whoever waits for it to be ready is told.
    onFatal: () => undefined,
  });
  try {
    await Promise.race([view.ready, aborted(signal)]);
    // Before the values: those that are looked at later know more, and each says how much.
    const position = view.position();
    const values: Summary<State>['values'][number][] = [];
    for (const [, value] of view.list()) {
      values.push(value);
      if (values.length % VALUES_A_TURN === 0) await nextTurn();
    }
    return { position, values };
  } finally {
    await view.stop();
  }
};

/** Reads both. Faults: those of the buckets, `VIEW_TOO_LARGE` (never). */
export const readSummaries = async (parts: Parts, signal: AbortSignal): Promise<Summaries> => {
  const tasks = await read(parts, { name: 'tasks', schema: taskSchema }, signal);
  const runs = await read(parts, { name: 'runs', schema: runSchema }, signal);
  return { tasks, runs };
};

/** Tells which entries the summaries have seen already. */
export const seenBy = ({
  tasks,
  runs,
}: Summaries): ((entry: {
  readonly family: 'task' | 'run';
  readonly boundary: Boundary;
  readonly id: string;
  readonly seq: number;
}) => boolean) => {
  const ahead = new Map<string, number>();
  for (const { seq, state } of tasks.values)
    if (seq > tasks.position) ahead.set(viewKey(state, state.taskId), seq);
  for (const { seq, state } of runs.values)
    if (seq > runs.position) ahead.set(viewKey(state, state.runId), seq);
  const position = { task: tasks.position, run: runs.position };
  return ({ family, boundary, id, seq }) =>
    seq <= position[family] || seq <= (ahead.get(viewKey(boundary, id)) ?? 0);
};
