// Requests that the hosts service answers (requests.ts has what all services share), at fleet-api.<tenant>.<project>.hosts.<operation>.
// Hosts announce themselves, each under its own name; the rest is asked by the control plane. Each may be repeated.
import { z } from 'zod';
import { HOST_STATES } from './host.ts';
import { hostWordSchema } from './host-views.ts';
import { nameSchema } from './ids.ts';
import { actorSchema, answering, type RequestOf, type ResultOf } from './requests.ts';

const reason = z.string().min(1).max(500);
/** Where the host's transition stands in TRANSITIONS. */
const position = { host: nameSchema, seq: z.int().positive(), state: z.enum(HOST_STATES) };
const moved = answering(z.object({ ...position, repeated: z.boolean() }));
const asked = { host: nameSchema, actor: actorSchema };

export const HOST_REQUESTS = {
  announce: {
    means:
      'Say that a host is alive, what it is and what it runs; it counts as gone `ttlMs` after its last word (whole seconds).',
    request: hostWordSchema.extend({ ttlMs: z.int().min(2000).max(600_000) }),
    answer: answering(
      z.object({
        ttlMs: z.int().positive(),
        /** It is to take no new runners. */
        isDraining: z.boolean(),
        /** What the control plane speaks. */
        version: z.string().max(64),
        contract: z.int().nonnegative(),
      }),
    ),
  },
  drain: {
    means: 'Let a host take no new runners; those that it has go on.',
    request: z.object({ ...asked, reason }),
    answer: moved,
  },
  undrain: {
    means: 'Let a drained host take new runners again.',
    request: z.object(asked),
    answer: moved,
  },
  update: {
    means:
      'Ask that the runners of a host become what is installed there: each is started anew when it is idle.',
    request: z.object({ ...asked, version: z.string().min(1).max(64).nullable(), reason }),
    answer: moved,
  },
  retire: {
    means: 'Give a host up for good. Its name is not used again.',
    request: z.object({ ...asked, reason }),
    answer: moved,
  },
} as const;

export type HostOperation = keyof typeof HOST_REQUESTS;
/** What hosts ask for, each under its own name; the rest is asked by the control plane. */
export const HOST_OPERATIONS = ['announce'] as const satisfies readonly HostOperation[];
export type HostRequestOf<Op extends HostOperation> = RequestOf<typeof HOST_REQUESTS, Op>;
export type HostResultOf<Op extends HostOperation> = ResultOf<typeof HOST_REQUESTS, Op>;
