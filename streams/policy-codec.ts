// Policy events as entries of TRANSITIONS and back.
import { aggregateCodec } from './aggregate-codec.ts';
import { policyEventSchema, type PolicyEvent } from './policy.ts';

const codec = aggregateCodec<PolicyEvent>({
  family: 'policy',
  what: 'a policy',
  schema: policyEventSchema,
  options: policyEventSchema.options,
  idOf: ({ policy }) => ['policy', policy],
});

/** See {@link aggregateCodec}. */
export const { isType: isPolicyEventType, encode: encodePolicyEvent, decode: decodePolicyEvent } = codec;
