// The fold of the tasks service as a projection: bucket `tasks` from the transitions.
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import { Fault } from '#libs/kernel/fault.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineProjection } from '#libs/projections/projection.ts';
import { viewKey } from '#streams/buckets.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { decodeTaskEvent } from '#streams/task-codec.ts';
import { taskViewSchema } from '#streams/task-view.ts';
import { foldTask, type PlacedTaskEvent, type TaskSummary } from './task.view.ts';

type Nothing = Record<string, never>;
const nothing: Nothing = {};
const isTask = (state: TaskSummary | Nothing): state is TaskSummary => 'taskId' in state;

const decode = (entry: StoredEntry): PlacedTaskEvent | undefined => {
  const reading = decodeTaskEvent(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'ENTRY_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind === 'unknown') return undefined;
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, seq: entry.seq, event: reading.event };
};

const summarySchema = taskViewSchema.omit({ seq: true });

/** Bucket `tasks`. */
export const tasksProjection = defineProjection<PlacedTaskEvent, TaskSummary | Nothing>({
  name: 'tasks',
  version: 1,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('task')],
  bucket: 'tasks',
  decode,
  key: ({ boundary, event }) => viewKey(boundary, event.taskId),
  initial: nothing,
  evolve: (state, placed) => foldTask(isTask(state) ? state : undefined, placed) ?? state,
  parse: (value) => summarySchema.parse(value),
});
