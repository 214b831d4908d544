// Requests that the lifecycle service answers (requests.ts has what all services share), at
// fleet-api.<tenant>.<project>.lifecycle.<operation>. Asked by the control plane for people. Each may be repeated.
import { z } from 'zod';
import { nameSchema } from './ids.ts';
import { policyConfigSchema } from './policy-config.ts';
import { POLICY_STATES } from './policy-causes.ts';
import { actorSchema, answering, type AnswerOf, type RequestOf, type ResultOf } from './requests.ts';

const reason = z.string().min(1).max(500);
/** Made by whoever asks: what is repeated under it is one request. */
const requestId = z.string().min(1).max(128);
/** The version that the writer has seen; 0: there was none. Null: whatever there is. */
const expectedVersion = z.int().nonnegative().nullable();
const about = { policy: nameSchema, requestId, actor: actorSchema };

/** Where the policy's last transition stands in TRANSITIONS, and how the policy stands. */
const position = {
  policy: nameSchema,
  seq: z.int().positive(),
  version: z.int().positive(),
  state: z.enum(POLICY_STATES),
  /** Nothing was left to do. */
  unchanged: z.boolean(),
};
const moved = answering(z.object(position));
const asked = { request: z.object({ ...about, reason }), answer: moved };

export const POLICY_REQUESTS = {
  apply: {
    means:
      'Make or change a policy. Refused when it is at another version than the writer has seen. A start takes the newest version; one that runs goes on with its own.',
    request: z.object({
      ...about,
      config: policyConfigSchema,
      expectedVersion,
      note: z.string().max(500).nullable(),
    }),
    answer: moved,
  },
  rollback: {
    means: 'Apply the configuration of an earlier version again, as a new version.',
    request: z.object({
      ...about,
      toVersion: z.int().positive(),
      expectedVersion,
      note: z.string().max(500).nullable(),
    }),
    answer: moved,
  },
  remove: {
    means: 'Give a policy up; its agent is stopped. Its history stays.',
    request: z.object({ ...about, expectedVersion, reason }),
    answer: moved,
  },
  start: {
    means: 'Have the agent run, whatever was asked before; a wait after a failure is kept.',
    ...asked,
  },
  stop: { means: 'Have the agent stopped until a start is asked for, whatever its mode.', ...asked },
  restart: {
    means: 'Start the agent anew: at once, or when it has been idle for so long.',
    request: z.object({ ...about, reason, idleMs: z.int().nonnegative() }),
    answer: moved,
  },
  pause: { means: 'Set the policy aside: its agent is stopped and nothing starts it.', ...asked },
  resume: { means: 'Let a paused policy count again.', ...asked },
  reset: { means: 'Forget failures: closes the breaker, ends a wait.', ...asked },
} as const;

export type PolicyOperation = keyof typeof POLICY_REQUESTS;
export type PolicyRequestOf<Op extends PolicyOperation> = RequestOf<typeof POLICY_REQUESTS, Op>;
export type PolicyAnswerOf<Op extends PolicyOperation> = AnswerOf<typeof POLICY_REQUESTS, Op>;
export type PolicyResultOf<Op extends PolicyOperation> = ResultOf<typeof POLICY_REQUESTS, Op>;
