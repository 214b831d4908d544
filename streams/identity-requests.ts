// Requests about who may connect to the broker, at fleet-api.<tenant>.<project>.identity.<operation>. Answered by whoever holds the secrets
// of the deployment and may tell the broker: the stack of `npm start`, the service `identity` of the containers. Each may be repeated.
import { z } from 'zod';
import { nameSchema } from './ids.ts';
import { actorSchema, answering } from './requests.ts';

/** New agents in one request. */
export const MOST_AGENTS_AT_ONCE = 500;

/** What became of one of many. */
export const addedAgentSchema = z.object({
  agent: nameSchema,
  /** `taken`: a host has the name, nothing was made. */
  outcome: z.enum(['added', 'there', 'taken']),
  /** Its user at the broker. */
  user: z.string(),
  /** Where its password is, on the machine of the secrets; empty when the name is taken. */
  credential: z.string(),
});

export const IDENTITY_REQUESTS = {
  'add-agent': {
    means:
      'Make what a new agent needs to have a runner: its password, its consumers and its user at the broker. No connection is interrupted. What is there stays.',
    request: z.object({ agent: nameSchema, actor: actorSchema }),
    answer: answering(
      z.object({
        agent: nameSchema,
        /** Its user at the broker. */
        user: z.string(),
        /** Where its password is, on the machine of the secrets. */
        credential: z.string(),
        /** True: it was there. */
        repeated: z.boolean(),
      }),
    ),
  },
  'add-agents': {
    means: 'The same for many new agents at once: the broker takes all of them up together.',
    request: z.object({ agents: z.array(nameSchema).min(1).max(MOST_AGENTS_AT_ONCE), actor: actorSchema }),
    answer: answering(z.object({ agents: z.array(addedAgentSchema) })),
  },
} as const;

/** One request and what it gives, for the generated pages. */
export const IDENTITY_REQUEST_EXAMPLES = {
  'add-agent': {
    request: { agent: 'builder-2', actor: 'user:anna' },
    result: {
      agent: 'builder-2',
      user: 'runner-builder-2',
      credential: '.fleetlog/secrets/runner-builder-2-password',
      repeated: false,
    },
  },
  'add-agents': {
    request: { agents: ['builder-2'], actor: 'user:anna' },
    result: {
      agents: [
        {
          agent: 'builder-2',
          outcome: 'added' as const,
          user: 'runner-builder-2',
          credential: '.fleetlog/secrets/runner-builder-2-password',
        },
      ],
    },
  },
} as const;

/** Bucket `directory`: agents that were given a user at the broker. Key: <tenant>.<project>.<agent>. */
export interface DirectoryEntry {
  readonly agent: string;
  readonly addedBy: string;
  /** Epoch ms. */
  readonly addedAt: number;
}
