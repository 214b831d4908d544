// Requests that the sessions service answers (requests.ts has what all services share), at fleet-api.<tenant>.<project>.sessions.<operation>.
// Asked by the control plane; each may be repeated.
import { z } from 'zod';
import { nameSchema, sessionIdSchema, taskIdSchema } from './ids.ts';
import { actorSchema, answering, type RequestOf, type ResultOf } from './requests.ts';
import { providerSchema } from './run.ts';
import { sessionDetailsSchema, sessionStorageSchema } from './session.ts';

/** Where the session's transition stands in TRANSITIONS: pass it to a read to see at least this. */
const position = { sessionId: sessionIdSchema, seq: z.int().positive(), repeated: z.boolean() };

/** Made by whoever asks: what is repeated under it is one request. */
const requestId = z.string().min(1).max(128);

/** What a reader has read, and of what. */
const readable = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('session'), id: sessionIdSchema }),
  z.object({ kind: z.literal('task'), id: taskIdSchema }),
]);
export type Readable = z.infer<typeof readable>;

export const SESSION_REQUESTS = {
  upsert: {
    means:
      'Make a session, or say something about one: title, metadata, conversation, the program’s own id, expiry. What is left out stays as it is. Refused across agents and providers.',
    request: z.object({
      sessionId: sessionIdSchema,
      agent: nameSchema,
      provider: providerSchema,
      details: sessionDetailsSchema,
      requestId,
      actor: actorSchema,
    }),
    answer: answering(z.object(position)),
  },
  store: {
    means: 'Say where what a session wrote is kept, and how much it is.',
    request: z.object({
      sessionId: sessionIdSchema,
      storage: sessionStorageSchema,
      subfolder: sessionDetailsSchema.shape.subfolder,
      requestId,
      actor: actorSchema,
    }),
    answer: answering(z.object(position)),
  },
  evict: {
    means:
      'Give up the storage of a session. Refused while a run of it has not ended, and when the storage named is not the current one any more.',
    request: z.object({
      sessionId: sessionIdSchema,
      name: z.string().min(1).max(500),
      reason: z.string().min(1).max(500),
      requestId,
      actor: actorSchema,
    }),
    answer: answering(z.object(position)),
  },
  collect: {
    means:
      'Evict the storage of every session whose time is over and that has no run under way, as the collector does by itself now and then.',
    request: z.object({ isTrial: z.boolean(), actor: actorSchema }),
    answer: answering(
      z.object({
        /** Evicted; with `isTrial` those that would be. */
        evicted: z.array(z.object({ sessionId: sessionIdSchema, name: z.string(), expiresAt: z.int() })),
        /** There are more: ask again. */
        hasMore: z.boolean(),
      }),
    ),
  },
  'mark-read': {
    means:
      'Note up to which version a reader has seen a session or a task. The note only moves forward; the answer says where it stands.',
    request: z.object({
      of: readable,
      reader: nameSchema,
      /** The version that the reader saw, which is a sequence of TRANSITIONS. */
      version: z.int().positive(),
    }),
    answer: answering(
      z.object({
        reader: nameSchema,
        version: z.int().positive(),
        readAt: z.int().nonnegative(),
        moved: z.boolean(),
      }),
    ),
  },
} as const;

export type SessionOperation = keyof typeof SESSION_REQUESTS;
export type SessionRequestOf<Op extends SessionOperation> = RequestOf<typeof SESSION_REQUESTS, Op>;
export type SessionResultOf<Op extends SessionOperation> = ResultOf<typeof SESSION_REQUESTS, Op>;
