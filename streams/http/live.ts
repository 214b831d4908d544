// The HTTP API about what happens as it happens: streams of server-sent events.
import { z } from 'zod';
import { nameSchema, taskIdSchema } from '#streams/ids.ts';
import { boundaryShape, EVENT_STREAM, limitUpTo, type ApiTable } from './route.ts';
import { feedItemAnswer } from './runs.ts';

const SLOW =
  'Written as fast as the client reads. A client that takes nothing of what there is for it for a minute (`gateway.streamStallMs`) is cut off;';
const RESUMES = `${SLOW} it goes on without loss by \`Last-Event-ID\`.`;

const after = z.string().max(64).optional();

const place = z.int().positive().nullable();

export const LIVE_API = {
  streamRun: {
    method: 'GET',
    path: '/api/v1/runs/:id/stream',
    means:
      'The record of a run as it comes. Resumes by `Last-Event-ID` or `after`; ends with the event `end`.',
    details: RESUMES,
    query: z.strictObject({ ...boundaryShape, after }),
    media: EVENT_STREAM,
    status: 200,
    answer: feedItemAnswer,
  },
  streamFleet: {
    method: 'GET',
    path: '/api/v1/stream',
    means: 'What happens in the whole fleet, from now on or from `after`, filtered by `subject`.',
    details: RESUMES,
    query: z.strictObject({ ...boundaryShape, after, subject: z.string().max(400).optional() }),
    media: EVENT_STREAM,
    status: 200,
    answer: feedItemAnswer,
  },
  streamOrder: {
    method: 'GET',
    path: '/api/v1/queues/:queue/stream',
    means:
      'The order of a queue as it changes: events `order` with the tasks whose place is another, first with all that wait. Positions count from 1; null is outside of the first `limit`.',
    details: `${SLOW} when it comes again it is told the whole order first.`,
    query: z.strictObject({ ...boundaryShape, limit: limitUpTo(1000).default(100) }),
    media: EVENT_STREAM,
    status: 200,
    answer: z
      .object({
        queue: nameSchema,
        seq: z.int().nonnegative(),
        changes: z.array(z.object({ taskId: taskIdSchema, from: place, to: place })),
      })
      .meta({ id: 'OrderNews' }),
  },
} as const satisfies ApiTable;
