// What the tasks service answers (streams/task-requests.ts). Input that breaks the contract is refused before anything is read.
import type { z } from 'zod';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { ServedRequest } from '#libs/service/define-service.ts';
import { issuesOf, jsonBytes, parseJson } from '#streams/entry.ts';
import { parseRequestSubject, requestFilter, type Boundary } from '#streams/subjects.ts';
import {
  TASK_REQUESTS,
  type TaskOperation,
  type TaskRequestOf,
  type TaskResultOf,
} from '#streams/task-requests.ts';
import type { Answer } from './answer.ts';

type Handlers = {
  readonly [Op in TaskOperation]: (
    boundary: Boundary,
    request: TaskRequestOf<Op>,
  ) => Promise<Answer<TaskResultOf<Op>>>;
};

const invalid = (why: string): Fault =>
  new Fault({ code: 'REQUEST_INVALID', retry: 'never', message: `the request breaks its contract: ${why}` });

const serve = <Op extends TaskOperation>(operation: Op, handle: Handlers[Op]): ServedRequest => ({
  subject: requestFilter('tasks', operation),
  handle: async (message) => {
    try {
      const place = parseRequestSubject(message.subject);
      if (place === undefined || place.agent !== undefined) throw invalid(`subject ${message.subject}`);
      const schema = TASK_REQUESTS[operation].request as unknown as z.ZodType<TaskRequestOf<Op>>;
      const parsed = schema.safeParse(parseJson(message.body));
      if (!parsed.success) throw invalid(issuesOf(parsed.error));
      const { tenant, project } = place;
      const answer = await handle({ tenant, project }, parsed.data);
      if (answer.kind === 'ok') return { body: jsonBytes({ outcome: 'ok', result: answer.result }) };
      return { body: jsonBytes({ outcome: 'refused', ...answer.rejection }) };
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      const { code, message: text, retry } = toFault(error);
      return { body: jsonBytes({ outcome: 'fault', code, message: text, retry }) };
    }
  },
});

/** All operations of the service. */
export const taskRequests = (handlers: Handlers): readonly ServedRequest[] => [
  serve('create', handlers.create),
  serve('cancel', handlers.cancel),
  serve('retry', handlers.retry),
  serve('recall', handlers.recall),
  serve('assign', handlers.assign),
];
