// The gateway's side of the requests to the runs service: asks, reads the answer, tells a refusal from a fault.
// Does not retry: every request may be repeated by the caller of the gateway, with the same idempotency key.
import type { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
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

/** A result, or a refusal by a rule of the owner. */
type Asked<Result> =
  | { readonly kind: 'ok'; readonly result: Result }
  | { readonly kind: 'refused'; readonly rejection: Rejection<RejectionCode> };

export interface RunsClient {
  /** Faults: those of the requests port, those that the owner answered with, `ANSWER_INVALID` (never). */
  ask<Op extends RunOperation>(operation: Op, request: RunRequestOf<Op>): Promise<Asked<RunResultOf<Op>>>;
}

const isKnown = (code: string): code is RejectionCode => code in REJECTIONS;

const invalid = (why: string): Fault =>
  new Fault({
    code: 'ANSWER_INVALID',
    retry: 'never',
    message: `the runs service answered unreadably: ${why}`,
  });

export const createRunsClient = (
  client: RequestClient,
  options: { readonly boundary: Boundary; readonly timeoutMs: number },
): RunsClient => ({
  ask: async <Op extends RunOperation>(operation: Op, request: RunRequestOf<Op>) => {
    const subject = requestSubject(options.boundary, 'runs', operation);
    const message = await client.request(subject, jsonBytes(request), { timeoutMs: options.timeoutMs });
    const schema = RUN_REQUESTS[operation].answer as unknown as z.ZodType<RunAnswerOf<Op>>;
    const parsed = schema.safeParse(parseJson(message.body));
    if (!parsed.success) throw invalid(issuesOf(parsed.error));
    const answer: RunAnswerOf<RunOperation> = parsed.data;
    if (answer.outcome === 'ok') return { kind: 'ok', result: answer.result };
    const { code, message: text } = answer;
    if (answer.outcome === 'fault') throw new Fault({ code, retry: answer.retry, message: text });
    if (!isKnown(code)) throw invalid(`refusal ${code} is not known here`);
    return { kind: 'refused', rejection: rejection(code, text, answer.detail) };
  },
});
