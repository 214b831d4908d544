// What the sessions service answers (streams/session-requests.ts), all of it to the control plane.
import type { z } from 'zod';
import type { ServedRequest } from '#libs/service/define-service.ts';
import { serveRequest } from '#libs/service/serve-request.ts';
import { SESSION_REQUESTS, type SessionOperation, type SessionRequestOf } from '#streams/session-requests.ts';
import { controlPlaneOf, requestFilter } from '#streams/subjects.ts';
import type { Asked } from './orders.ts';

const serve = <Op extends SessionOperation>(operation: Op, handle: Asked<Op>): ServedRequest =>
  serveRequest({
    subject: requestFilter('sessions', operation),
    askerOf: controlPlaneOf,
    means: SESSION_REQUESTS[operation].means,
    schema: SESSION_REQUESTS[operation].request as unknown as z.ZodType<SessionRequestOf<Op>>,
    handle,
  });

/** All operations of the service. */
export const sessionRequests = (handlers: {
  readonly [Op in SessionOperation]: Asked<Op>;
}): readonly ServedRequest[] => [
  serve('upsert', handlers.upsert),
  serve('store', handlers.store),
  serve('evict', handlers.evict),
  serve('collect', handlers.collect),
  serve('mark-read', handlers['mark-read']),
];
