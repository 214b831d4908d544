// This service's side of the requests to the runs service: asks, reads the answer, tells a refusal from a fault. Does not retry: the
// consumer that asks does. Faults: those of the requests port, those that the owner answered with, `ANSWER_INVALID` (never).
import type { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { issuesOf, jsonBytes, parseJson } from '#streams/entry.ts';
import { REJECTIONS, type RejectionCode } from '#streams/rejections.ts';
import {
  RUN_REQUESTS,
  type RunAnswerOf,
  type RunOperation,
  type RunRequestOf,
  type RunResultOf,
} from '#streams/run-requests.ts';
import { requestSubject, type Boundary } from '#streams/subjects.ts';
import { ok, refused, type Answer } from './answer.ts';
import type { RunsClient } from './attempts.ts';

const invalid = (why: string): Fault =>
  new Fault({
    code: 'ANSWER_INVALID',
    retry: 'never',
    message: `the runs service answered unreadably: ${why}`,
  });

export const createRunsClient = (client: RequestClient, timeoutMs: number): RunsClient => {
  const ask = async <Op extends RunOperation>(
    boundary: Boundary,
    operation: Op,
    request: RunRequestOf<Op>,
  ): Promise<Answer<RunResultOf<Op>>> => {
    const message = await client.request(requestSubject(boundary, 'runs', operation), jsonBytes(request), {
      timeoutMs,
    });
    const schema = RUN_REQUESTS[operation].answer as unknown as z.ZodType<RunAnswerOf<Op>>;
    const parsed = schema.safeParse(parseJson(message.body));
    if (!parsed.success) throw invalid(issuesOf(parsed.error));
    const answer: RunAnswerOf<RunOperation> = parsed.data;
    if (answer.outcome === 'ok') return ok(answer.result as RunResultOf<Op>);
    if (answer.outcome === 'fault') throw new Fault(answer);
    if (!(answer.code in REJECTIONS)) throw invalid(`refusal ${answer.code} is not known here`);
    return refused(rejection(answer.code as RejectionCode, answer.message, answer.detail));
  };
  return {
    create: (boundary, request) => ask(boundary, 'create', request),
    cancel: (boundary, request) => ask(boundary, 'cancel', request),
  };
};
