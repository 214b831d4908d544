// The HTTP API about runners and what is missing of their reports; and what is open to everybody.
import { z } from 'zod';
import { presenceSchema } from '#streams/buckets.ts';
import { sourceViewSchema } from '#streams/source-view.ts';
import { IDENTITY_KINDS } from '#streams/tokens.ts';
import { boundaryQuery, type ApiTable } from './route.ts';

export const READ_API = {
  health: {
    method: 'GET',
    path: '/healthz',
    means: 'Answers while the process does.',
    isOpen: true,
    status: 200,
    answer: z.object({ ok: z.literal(true) }),
  },
  describeApi: {
    method: 'GET',
    path: '/api/v1/openapi.json',
    means: 'This description.',
    status: 200,
    answer: z.looseObject({ openapi: z.string() }),
  },
  whoAmI: {
    method: 'GET',
    path: '/api/v1/me',
    means: 'Who asks, by the token that was sent: name, kind, roles, and what it opens.',
    status: 200,
    answer: z.object({
      name: z.string(),
      kind: z.enum(IDENTITY_KINDS),
      roles: z.array(z.string()),
      tenant: z.string(),
      project: z.string(),
    }),
  },
  listRunners: {
    method: 'GET',
    path: '/api/v1/runners',
    means: 'Agents that have a runner, and the runners that are alive.',
    query: boundaryQuery,
    status: 200,
    answer: z.object({
      agents: z.array(z.string()),
      runners: z.array(presenceSchema.meta({ id: 'Runner' })),
    }),
  },
  listSources: {
    method: 'GET',
    path: '/api/v1/sources',
    means: 'What the numbers of the reports of each runner say: what is missing, what came twice.',
    query: boundaryQuery,
    status: 200,
    answer: z.object({ sources: z.array(sourceViewSchema.meta({ id: 'Source' })) }),
  },
} as const satisfies ApiTable;
