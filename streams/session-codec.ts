// Session events as entries of TRANSITIONS and back.
import { aggregateCodec } from './aggregate-codec.ts';
import { sessionEventSchema, type SessionEvent } from './session.ts';

export type SessionEventType = SessionEvent['type'];

const codec = aggregateCodec<SessionEvent>({
  family: 'session',
  what: 'a session',
  schema: sessionEventSchema,
  options: sessionEventSchema.options,
  idOf: ({ sessionId }) => ['sessionId', sessionId],
});

/** See {@link aggregateCodec}. */
export const { isType: isSessionEventType, encode: encodeSessionEvent, decode: decodeSessionEvent } = codec;
