// Host events as entries of TRANSITIONS and back.
import { aggregateCodec } from './aggregate-codec.ts';
import { hostEventSchema, type HostEvent } from './host.ts';

const codec = aggregateCodec<HostEvent>({
  family: 'host',
  what: 'a host',
  schema: hostEventSchema,
  options: hostEventSchema.options,
  idOf: ({ host }) => ['host', host],
});

/** See {@link aggregateCodec}. */
export const { isType: isHostEventType, encode: encodeHostEvent, decode: decodeHostEvent } = codec;
