// Dispatch's side of the requests to the tasks service. Does not retry: what is asked next follows from what is on the log by then.
import { Fault } from '#libs/kernel/fault.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import type { WireAnswer } from '#libs/service/request-answer.ts';
import { requestSubject, type Boundary } from '#streams/subjects.ts';
import { TASK_REQUESTS, type TaskRequestOf, type TaskResultOf } from '#streams/task-requests.ts';

type Said<Result> = Exclude<WireAnswer<Result>, { readonly outcome: 'fault' }>;

/** Faults: those of the requests port, those that the owner answered with, `ANSWER_INVALID` (never). */
export type AskTasks = <Op extends 'assign' | 'recall'>(
  boundary: Boundary,
  operation: Op,
  request: TaskRequestOf<Op>,
) => Promise<Said<TaskResultOf<Op>>>;

export const askTasksBy =
  (client: RequestClient, timeoutMs: number): AskTasks =>
  async <Op extends 'assign' | 'recall'>(boundary: Boundary, operation: Op, request: TaskRequestOf<Op>) => {
    const { answer: schema } = TASK_REQUESTS[operation];
    const subject = requestSubject(boundary, 'tasks', operation);
    const answer = await askRequest<TaskResultOf<Op>>(client, {
      subject,
      request,
      answer: schema,
      timeoutMs,
    });
    if (answer.outcome !== 'fault') return answer;
    const { code, retry, message } = answer;
    throw new Fault({ code, retry, message });
  };
