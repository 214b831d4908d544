// The gateway's side of the requests to a service: asks, reads the answer, tells a refusal from a fault.
// Does not retry: every request may be repeated by the caller of the gateway, with the same idempotency key.
import { Fault } from '#libs/kernel/fault.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import { REJECTIONS, type RejectionCode } from '#streams/rejections.ts';
import type { RequestOf, RequestTable, ResultOf } from '#streams/requests.ts';
import { requestSubject, type Boundary } from '#streams/subjects.ts';

export interface ServiceClient<Table extends RequestTable> {
  /** Faults: those of the requests port, those that the owner answered with, `ANSWER_INVALID` (never). */
  ask<Op extends keyof Table & string>(
    operation: Op,
    request: RequestOf<Table, Op>,
  ): Promise<Answer<ResultOf<Table, Op>, RejectionCode>>;
}

const isKnown = (code: string): code is RejectionCode => code in REJECTIONS;

/** Asks `service`, which answers the operations of `table` to the control plane. */
export const createServiceClient = <Table extends RequestTable>(
  client: RequestClient,
  options: {
    readonly boundary: Boundary;
    readonly service: string;
    readonly table: Table;
    readonly timeoutMs: number;
  },
): ServiceClient<Table> => ({
  ask: async <Op extends keyof Table & string>(operation: Op, request: RequestOf<Table, Op>) => {
    const { boundary, service, table, timeoutMs } = options;
    const answer = await askRequest<ResultOf<Table, Op>>(client, {
      subject: requestSubject(boundary, service, operation),
      request,
      answer: (table[operation] as RequestTable[string]).answer,
      timeoutMs,
    });
    if (answer.outcome === 'ok') return ok(answer.result);
    const { code, message } = answer;
    if (answer.outcome === 'fault') throw new Fault({ code, retry: answer.retry, message });
    if (isKnown(code)) return refused(rejection(code, message, answer.detail));
    throw new Fault({
      code: 'ANSWER_INVALID',
      retry: 'never',
      message: `the ${service} service refused with ${code}, which is not known here`,
    });
  },
});
