// The HTTP API about what happens as it happens: streams of server-sent events.
import { z } from 'zod';
import { boundaryShape, EVENT_STREAM, type ApiTable } from './route.ts';
import { feedItemAnswer } from './runs.ts';

const after = z.string().max(64).optional();

export const LIVE_API = {
  streamRun: {
    method: 'GET',
    path: '/api/v1/runs/:id/stream',
    means:
      'The record of a run as it comes. Resumes by `Last-Event-ID` or `after`; ends with the event `end`.',
    query: z.strictObject({ ...boundaryShape, after }),
    media: EVENT_STREAM,
    status: 200,
    answer: feedItemAnswer,
  },
  streamFleet: {
    method: 'GET',
    path: '/api/v1/stream',
    means: 'What happens in the whole fleet, from now on or from `after`, filtered by `subject`.',
    query: z.strictObject({ ...boundaryShape, after, subject: z.string().max(400).optional() }),
    media: EVENT_STREAM,
    status: 200,
    answer: feedItemAnswer,
  },
} as const satisfies ApiTable;
