// The HTTP API about sessions, runners and what is missing of their reports; and what is open to everybody.
import { z } from 'zod';
import { presenceSchema } from '#streams/buckets.ts';
import { sessionViewSchema } from '#streams/session-view.ts';
import { nameSchema } from '#streams/ids.ts';
import { sourceViewSchema } from '#streams/source-view.ts';
import { IDENTITY_KINDS } from '#streams/tokens.ts';
import { boundaryQuery, boundaryShape, cursorQuery, listLimit, nextAnswer, type ApiTable } from './route.ts';

const session = sessionViewSchema.meta({ id: 'Session' });

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
  listSessions: {
    method: 'GET',
    path: '/api/v1/sessions',
    means: 'List sessions, newest first.',
    query: z.strictObject({
      ...boundaryShape,
      agent: nameSchema.optional(),
      cursor: cursorQuery.optional(),
      limit: listLimit,
    }),
    status: 200,
    answer: z.object({ sessions: z.array(session), next: nextAnswer }),
  },
  getSession: {
    method: 'GET',
    path: '/api/v1/sessions/:id',
    means: 'The summary of a session.',
    query: boundaryQuery,
    status: 200,
    answer: session,
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
