// The requests of a runner to the service that owns runs. Tells "no" from "nobody answers"; repeats nothing by itself.
import { toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import {
  RUN_REQUESTS,
  type RunAnswerOf,
  type RunnerOperation,
  type RunRequestOf,
  type RunResultOf,
} from '#streams/run-requests.ts';
import { agentRequestSubject, type AgentPlace } from '#streams/subjects.ts';

/** `refused`: a rule said no. `away`: nobody could be asked, or the answer was lost: ask again, with the same words. */
export type RunsAnswer<Result> =
  | { readonly kind: 'ok'; readonly result: Result }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string }
  | { readonly kind: 'away'; readonly message: string };

export interface RunsClient {
  ask<Op extends RunnerOperation>(
    operation: Op,
    request: RunRequestOf<Op>,
  ): Promise<RunsAnswer<RunResultOf<Op>>>;
}

/** For one answer. */
const TIMEOUT_MS = 5000;

const readAnswer = <Op extends RunnerOperation>(
  operation: Op,
  body: Uint8Array,
): RunsAnswer<RunResultOf<Op>> => {
  const parsed = RUN_REQUESTS[operation].answer.safeParse(parseJson(body));
  // An answer that cannot be read says nothing about the run: a newer service will be asked again.
  if (!parsed.success) return { kind: 'away', message: `the answer to ${operation} cannot be read` };
  const answer = parsed.data as RunAnswerOf<Op>;
  if (answer.outcome === 'ok') return { kind: 'ok', result: answer.result };
  const { code, message } = answer;
  if (answer.outcome === 'fault' && answer.retry !== 'never')
    return { kind: 'away', message: `${code}: ${message}` };
  return { kind: 'refused', code, message };
};

/** Asks in the name of one agent; its broker user may ask in no other. */
export const createRunsClient = (client: RequestClient, place: AgentPlace): RunsClient => ({
  ask: async (operation, request) => {
    try {
      const subject = agentRequestSubject(place, 'runs', operation);
      const { body } = await client.request(subject, jsonBytes(request), { timeoutMs: TIMEOUT_MS });
      return readAnswer(operation, body);
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      return { kind: 'away', message: toFault(error).message };
    }
  },
});
