// The HTTP API about policies and the agents that they keep: what is asked, what is answered.
import { z } from 'zod';
import { nameSchema } from '#streams/ids.ts';
import { policyInputSchema } from '#streams/policy-config.ts';
import { managedAgentSchema, policyViewSchema } from '#streams/policy-views.ts';
import { POLICY_STATES } from '#streams/policy-causes.ts';
import {
  boundaryShape,
  cursorQuery,
  listLimit,
  nextAnswer,
  oneOrMore,
  oneQuery,
  seqAnswer,
  type ApiRoute,
  type ApiTable,
} from './route.ts';

const version = z.int().nonnegative();
const note = z.string().min(1).max(500);
const policy = policyViewSchema.meta({ id: 'Policy' });
const agent = managedAgentSchema.meta({ id: 'ManagedAgent' });

const asked = z.strictObject({ ...boundaryShape, reason: z.string().min(1).max(500).optional() });
const moved = z.object({
  policy: nameSchema,
  seq: seqAnswer,
  version: z.int().positive(),
  state: z.enum(POLICY_STATES),
  /** Nothing was left to do. */
  unchanged: z.boolean(),
});

const word = (name: string, means: string) =>
  ({
    method: 'POST',
    path: `/api/v1/policies/:id/${name}`,
    means,
    body: asked,
    status: 202,
    answer: moved,
  }) as const satisfies ApiRoute;

export const POLICY_API = {
  applyPolicies: {
    method: 'POST',
    path: '/api/v1/policies',
    means:
      'Make or change policies by name. One that is at another version than `expectedVersions` says is refused; `dryRun` only says what would change.',
    body: z.strictObject({
      ...boundaryShape,
      policies: z.record(nameSchema, policyInputSchema),
      /** What the writer has seen; 0: there was none. A name that is left out may be at any version. */
      expectedVersions: z.record(nameSchema, version).optional(),
      note: note.optional(),
      dryRun: z.boolean().optional(),
    }),
    status: 202,
    answer: z.object({
      policies: z.array(
        z
          .object({
            policy: nameSchema,
            outcome: z.enum(['applied', 'unchanged', 'would-apply', 'refused']),
            /** After it; of one that was refused or only looked at, the one that there is. */
            version,
            seq: seqAnswer.nullable(),
            changed: z.array(z.string()),
            refusal: z.object({ code: z.string(), message: z.string() }).nullable(),
          })
          .meta({ id: 'AppliedPolicy' }),
      ),
    }),
  },
  listPolicies: {
    method: 'GET',
    path: '/api/v1/policies',
    means: 'List policies by name; removed ones with `removed=true`.',
    query: z.strictObject({
      ...boundaryShape,
      removed: z.enum(['true', 'false']).default('false'),
      limit: listLimit,
      cursor: cursorQuery.optional(),
    }),
    status: 200,
    answer: z.object({ policies: z.array(policy), next: nextAnswer }),
  },
  getPolicy: {
    method: 'GET',
    path: '/api/v1/policies/:id',
    means:
      'A policy with its last versions, and how its agent stands; with `afterSeq` at least as of that sequence.',
    query: oneQuery,
    status: 200,
    answer: z.object({ policy, agent: agent.nullable() }),
  },
  explainPolicy: {
    method: 'GET',
    path: '/api/v1/policies/:id/history',
    means: 'What happened to a policy and its agent, newest last, each in one sentence.',
    query: z.strictObject({ ...boundaryShape, limit: listLimit }),
    status: 200,
    answer: z.object({
      policy: nameSchema,
      agent: agent.nullable(),
      events: z.array(
        z.object({ seq: seqAnswer, at: z.int(), type: z.string(), by: z.string(), text: z.string() }),
      ),
      /** Earlier ones that are not among them. */
      earlier: z.int().nonnegative(),
    }),
  },
  removePolicy: {
    method: 'POST',
    path: '/api/v1/policies/:id/remove',
    means: 'Give a policy up; its agent is stopped. Its history stays.',
    body: asked.extend({ expectedVersion: version.optional() }),
    status: 202,
    answer: moved,
  },
  rollbackPolicy: {
    method: 'POST',
    path: '/api/v1/policies/:id/rollback',
    means: 'Apply the configuration of an earlier version again, as a new version.',
    body: z.strictObject({
      ...boundaryShape,
      toVersion: z.int().positive(),
      expectedVersion: version.optional(),
      note: note.optional(),
    }),
    status: 202,
    answer: moved,
  },
  startAgent: word('start', 'Have the agent run, whatever was asked before; a wait after a failure is kept.'),
  stopAgent: word('stop', 'Have the agent stopped until a start is asked for, whatever its mode.'),
  pausePolicy: word('pause', 'Set the policy aside: its agent is stopped and nothing starts it.'),
  resumePolicy: word('resume', 'Let a paused policy count again.'),
  resetPolicy: word('reset', 'Forget failures: closes the breaker, ends a wait.'),
  restartAgent: {
    method: 'POST',
    path: '/api/v1/policies/:id/restart',
    means: 'Start the agent anew.',
    body: asked,
    status: 202,
    answer: moved,
  },
  listManagedAgents: {
    method: 'GET',
    path: '/api/v1/managed-agents',
    means: 'List the agents that policies keep, by policy: state, host, failures, and why.',
    query: z.strictObject({
      ...boundaryShape,
      state: oneOrMore(POLICY_STATES).optional(),
      host: nameSchema.optional(),
      limit: listLimit,
      cursor: cursorQuery.optional(),
    }),
    status: 200,
    answer: z.object({ agents: z.array(agent), next: nextAnswer, generatedAt: z.int() }),
  },
} as const satisfies ApiTable;
