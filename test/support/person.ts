// A person who answers what a run asks, for tests.
import type { Ports } from '#libs/service/context.ts';
import type { RunEvent } from '#streams/run.ts';
import { ask, transition } from './scripted-runner.ts';

type Asked = Extract<RunEvent, { readonly type: 'fleetlog.run.approval-asked.v1' }>;

/** Waits until the run asks for the first time. */
export const askedIn = (ports: Ports, runId: string): Promise<Asked> =>
  transition(ports, runId, 'fleetlog.run.approval-asked.v1');

/** Answers the first question of a run, once it is there; gives the question. */
export const answerIn = async (
  ports: Ports,
  runId: string,
  decision: 'approve' | 'reject',
): Promise<Asked> => {
  const asked = await askedIn(ports, runId);
  const { approvalId } = asked;
  const answerId = `${approvalId} by test`;
  const answer = await ask(ports, 'answer-approval', {
    runId,
    approvalId,
    answerId,
    decision,
    actor: 'user:test',
  });
  if (answer.outcome !== 'ok') throw new Error(`answer: ${JSON.stringify(answer)}`);
  return asked;
};
