// The fold of the tasks service as a projection: bucket `tasks` from the transitions.
// What cannot be read is parked by the loop and skipped; what a newer version wrote is passed over.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineSummary } from '#libs/projections/summary.ts';
import { viewKey } from '#streams/buckets.ts';
import { foldedOf } from '#streams/entry.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { decodeTaskEvent } from '#streams/task-codec.ts';
import { taskViewSchema } from '#streams/task-view.ts';
import { foldTask, type PlacedTaskEvent, type TaskSummary } from './task.view.ts';

const decode = (entry: StoredEntry): PlacedTaskEvent | undefined => {
  const reading = foldedOf(decodeTaskEvent(entry));
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, seq: entry.seq, event: reading.event };
};

const summarySchema = taskViewSchema.omit({ seq: true });

/** Bucket `tasks`. */
export const tasksProjection = defineSummary<PlacedTaskEvent, TaskSummary>({
  name: 'tasks',
  version: 1,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('task')],
  bucket: 'tasks',
  decode,
  key: ({ boundary, event }) => viewKey(boundary, event.taskId),
  begins: ({ event }) => event.type === 'fleetlog.task.created.v1',
  fold: foldTask,
  parse: (value) => summarySchema.parse(value),
});
