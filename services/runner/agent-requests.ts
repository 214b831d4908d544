// The requests of a runner to the services of the control plane, in the name of its agent. Tells "no" from "nobody answers"; repeats
// nothing by itself.
import { toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import type { WireAnswer } from '#libs/service/request-answer.ts';
import type { RequestOf, RequestTable, ResultOf } from '#streams/requests.ts';
import { agentRequestSubject, type AgentPlace } from '#streams/subjects.ts';

/** `refused`: a rule said no. `away`: nobody could be asked, or the answer was lost: ask again, with the same words. */
export type AgentAnswer<Result> =
  | { readonly kind: 'ok'; readonly result: Result }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | { readonly kind: 'away'; readonly message: string };

export interface AgentRequests<Table extends RequestTable> {
  /** Never rejects but for a broken invariant. `timeoutMs` is for the one answer. */
  ask<Op extends keyof Table & string>(
    operation: Op,
    request: RequestOf<Table, Op>,
    options?: { readonly timeoutMs?: number },
  ): Promise<AgentAnswer<ResultOf<Table, Op>>>;
}

/** For one answer. */
const TIMEOUT_MS = 5000;

const read = <Result>(answer: WireAnswer<Result>): AgentAnswer<Result> => {
  if (answer.outcome === 'ok') return { kind: 'ok', result: answer.result };
  const { code, message } = answer;
  if (answer.outcome === 'fault' && answer.retry !== 'never')
    return { kind: 'away', message: `${code}: ${message}` };
  return { kind: 'refused', code, message };
};

/** Asks `service` for the operations of `table` in the name of one agent; its broker user may ask in no other. */
export const createAgentRequests = <Table extends RequestTable>(
  client: RequestClient,
  place: AgentPlace,
  { service, table }: { readonly service: string; readonly table: Table },
): AgentRequests<Table> => ({
  ask: async <Op extends keyof Table & string>(
    operation: Op,
    request: RequestOf<Table, Op>,
    { timeoutMs = TIMEOUT_MS } = {},
  ) => {
    try {
      const subject = agentRequestSubject(place, service, operation);
      const { answer } = table[operation] as RequestTable[string];
      return read(await askRequest<ResultOf<Table, Op>>(client, { subject, request, answer, timeoutMs }));
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      // An answer that cannot be read says nothing of what was asked: a newer service will be asked again.
      return { kind: 'away', message: toFault(error).message };
    }
  },
});
