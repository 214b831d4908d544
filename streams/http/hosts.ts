// The HTTP API about hosts, the versions that everything runs, and new agents.
import { z } from 'zod';
import { hostPresenceSchema, hostViewSchema } from '#streams/host-views.ts';
import { addedAgentSchema, MOST_AGENTS_AT_ONCE } from '#streams/identity-requests.ts';
import { nameSchema } from '#streams/ids.ts';
import { HOST_STATES } from '#streams/host.ts';
import { boundaryQuery, boundaryShape, seqAnswer, type ApiTable } from './route.ts';

const host = hostViewSchema
  .extend({
    /** Null: nothing is heard of it. */
    presence: hostPresenceSchema.nullable(),
  })
  .meta({ id: 'Host' });

const reason = z.string().min(1).max(500);
const moved = z.object({
  host: z.string(),
  seq: seqAnswer,
  state: z.enum(HOST_STATES),
  repeated: z.boolean(),
});

const versioned = z.object({
  name: z.string(),
  version: z.string(),
  contract: z.int(),
  /** `same` as the control plane; `older`, `newer`; `unknown`: it says nothing of it. */
  skew: z.enum(['same', 'older', 'newer', 'unknown']),
});
export type Versioned = z.infer<typeof versioned>;

export const HOST_API = {
  listHosts: {
    method: 'GET',
    path: '/api/v1/hosts',
    means: 'Hosts by name: how they stand, what they run, what is left of memory and disk.',
    query: boundaryQuery,
    status: 200,
    answer: z.object({ hosts: z.array(host) }),
  },
  getHost: {
    method: 'GET',
    path: '/api/v1/hosts/:id',
    means: 'One host.',
    query: boundaryQuery,
    status: 200,
    answer: host,
  },
  drainHost: {
    method: 'POST',
    path: '/api/v1/hosts/:id/drain',
    means: 'Let a host take no new runners; those that it has go on.',
    body: z.strictObject({ ...boundaryShape, reason: reason.default('drain requested') }),
    status: 202,
    answer: moved,
  },
  undrainHost: {
    method: 'POST',
    path: '/api/v1/hosts/:id/undrain',
    means: 'Let a drained host take new runners again.',
    body: z.strictObject(boundaryShape),
    status: 202,
    answer: moved,
  },
  updateHost: {
    method: 'POST',
    path: '/api/v1/hosts/:id/update',
    means: 'Ask that the runners of a host become what is installed there, each when it is idle.',
    body: z.strictObject({
      ...boundaryShape,
      version: z.string().min(1).max(64).optional(),
      reason: reason.default('update requested'),
    }),
    status: 202,
    answer: moved,
  },
  retireHost: {
    method: 'POST',
    path: '/api/v1/hosts/:id/retire',
    means: 'Give a host up for good. Its name is not used again.',
    body: z.strictObject({ ...boundaryShape, reason: reason.default('retired') }),
    status: 202,
    answer: moved,
  },
  listVersions: {
    method: 'GET',
    path: '/api/v1/versions',
    means: 'What control plane, hosts and runners say that they are, and where they differ.',
    query: boundaryQuery,
    status: 200,
    answer: z.object({
      control: z.object({ version: z.string(), contract: z.int() }),
      hosts: z.array(versioned),
      runners: z.array(versioned.extend({ host: z.string().nullable() })),
    }),
  },
  addAgent: {
    method: 'POST',
    path: '/api/v1/agents',
    means:
      'Make what a new agent needs to have a runner: its password, its consumers, its user at the broker. What is there stays.',
    body: z.strictObject({ ...boundaryShape, agent: nameSchema }),
    status: 202,
    answer: z.object({ agent: z.string(), user: z.string(), credential: z.string(), repeated: z.boolean() }),
  },
  addAgents: {
    method: 'POST',
    path: '/api/v1/agents/batch',
    means: 'The same for many new agents at once: the broker takes all of them up together.',
    body: z.strictObject({ ...boundaryShape, agents: z.array(nameSchema).min(1).max(MOST_AGENTS_AT_ONCE) }),
    status: 202,
    answer: z.object({ agents: z.array(addedAgentSchema) }),
  },
} as const satisfies ApiTable;
