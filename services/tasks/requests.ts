// What the tasks service answers (streams/task-requests.ts), all of it to the control plane.
import type { z } from 'zod';
import type { ServedRequest } from '#libs/service/define-service.ts';
import type { Answer } from '#libs/service/request-answer.ts';
import { serveRequest } from '#libs/service/serve-request.ts';
import { controlPlaneOf, requestFilter, type Boundary } from '#streams/subjects.ts';
import {
  TASK_REQUESTS,
  type TaskOperation,
  type TaskRequestOf,
  type TaskResultOf,
} from '#streams/task-requests.ts';

type Handle<Op extends TaskOperation> = (
  boundary: Boundary,
  request: TaskRequestOf<Op>,
) => Promise<Answer<TaskResultOf<Op>>>;

const serve = <Op extends TaskOperation>(operation: Op, handle: Handle<Op>): ServedRequest =>
  serveRequest({
    subject: requestFilter('tasks', operation),
    askerOf: controlPlaneOf,
    means: TASK_REQUESTS[operation].means,
    schema: TASK_REQUESTS[operation].request as unknown as z.ZodType<TaskRequestOf<Op>>,
    handle,
  });

/** All operations of the service. */
export const taskRequests = (handlers: {
  readonly [Op in TaskOperation]: Handle<Op>;
}): readonly ServedRequest[] => [
  serve('create', handlers.create),
  serve('cancel', handlers.cancel),
  serve('retry', handlers.retry),
  serve('recall', handlers.recall),
  serve('assign', handlers.assign),
];
