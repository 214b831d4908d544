// Task events as entries of TRANSITIONS and back.
import { aggregateCodec } from './aggregate-codec.ts';
import { taskEventSchema, type TaskEvent } from './task.ts';

export type TaskEventType = TaskEvent['type'];

const codec = aggregateCodec<TaskEvent>({
  family: 'task',
  what: 'a task',
  schema: taskEventSchema,
  options: taskEventSchema.options,
  idOf: ({ taskId }) => ['taskId', taskId],
});

/** See {@link aggregateCodec}. */
export const { isType: isTaskEventType, encode: encodeTaskEvent, decode: decodeTaskEvent } = codec;
