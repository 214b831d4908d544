// Dispatch's side of the requests to the tasks service: asks, reads the answer, tells a refusal from a fault. Does not retry.
// Faults: those of the requests port, those that the owner answered with, `ANSWER_INVALID` (never).
import type { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { issuesOf, jsonBytes, parseJson } from '#streams/entry.ts';
import { requestSubject, type Boundary } from '#streams/subjects.ts';
import {
  TASK_REQUESTS,
  type TaskAnswerOf,
  type TaskOperation,
  type TaskRequestOf,
} from '#streams/task-requests.ts';

type Said<Op extends TaskOperation> = Exclude<TaskAnswerOf<Op>, { readonly outcome: 'fault' }>;

export interface TasksClient {
  ask<Op extends 'assign' | 'recall'>(
    boundary: Boundary,
    operation: Op,
    request: TaskRequestOf<Op>,
  ): Promise<Said<Op>>;
}

export const createTasksClient = (client: RequestClient, timeoutMs: number): TasksClient => ({
  ask: async <Op extends 'assign' | 'recall'>(
    boundary: Boundary,
    operation: Op,
    request: TaskRequestOf<Op>,
  ) => {
    const message = await client.request(requestSubject(boundary, 'tasks', operation), jsonBytes(request), {
      timeoutMs,
    });
    const schema = TASK_REQUESTS[operation].answer as unknown as z.ZodType<TaskAnswerOf<Op>>;
    const parsed = schema.safeParse(parseJson(message.body));
    if (!parsed.success)
      throw new Fault({
        code: 'ANSWER_INVALID',
        retry: 'never',
        message: `the tasks service answered unreadably: ${issuesOf(parsed.error)}`,
      });
    const answer: TaskAnswerOf<'assign' | 'recall'> = parsed.data;
    if (answer.outcome === 'fault') throw new Fault(answer);
    return answer as Said<Op>;
  },
});
