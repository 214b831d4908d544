// Run events as entries of TRANSITIONS and back.
import { aggregateCodec } from './aggregate-codec.ts';
import { runEventSchema, type RunEvent } from './run.ts';

export type RunEventType = RunEvent['type'];

const codec = aggregateCodec<RunEvent>({
  family: 'run',
  what: 'a run',
  schema: runEventSchema,
  options: runEventSchema.options,
  idOf: ({ runId }) => ['runId', runId],
});

/** See {@link aggregateCodec}. */
export const {
  isType: isRunEventType,
  encode: encodeRunEvent,
  read: readRunEvent,
  decode: decodeRunEvent,
} = codec;
