// Doing the work of an ended run once more: a new run of its session with the same request, which names the one that it repeats. The new id
// is made by whoever asks, so a repeat of the request finds the run that the first one made.
import { rejection } from '#libs/kernel/rejection.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { ok, refused } from '#libs/service/request-answer.ts';
import type { RunRequestOf, RunResultOf } from '#streams/run-requests.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { RunAnswer } from './claims.ts';
import { isEnded } from './run-state.policy.ts';
import type { RunLog } from './run-log.ts';

interface Parts {
  readonly runLog: RunLog;
  readonly redactor: Redactor;
  readonly create: (
    boundary: Boundary,
    request: RunRequestOf<'create'>,
  ) => Promise<RunAnswer<RunResultOf<'create'>>>;
}

/** The operation `retry`. */
export const retryRequest =
  ({ runLog, redactor, create }: Parts) =>
  async (boundary: Boundary, asked: RunRequestOf<'retry'>): Promise<RunAnswer<RunResultOf<'retry'>>> => {
    const { runId, newRunId, conversation, prompt, actor } = redactor.value(asked).value as typeof asked;
    const { state: run } = await runLog.load({ boundary, runId, actor });
    if (run === undefined) return refused(rejection('RUN_UNKNOWN', 'no run has this id'));
    if (!isEnded(run.state))
      return refused(
        rejection('RUN_NOT_ENDED', `run ${runId} has not ended (${run.state}): cancel it first`),
      );
    const {
      request,
      task,
      commandId: _command,
      requestHash: _hash,
      createdAt: _at,
      startedBy: _by,
      ...rest
    } = run.created;
    if (task !== undefined)
      return refused(
        rejection('RUN_OF_TASK', `run ${runId} is attempt ${task.attempt} of task ${task.taskId}`, {
          taskId: task.taskId,
        }),
      );
    // How the ended run began its conversation says nothing of this one.
    const { conversation: _conversation, ...again } = request;
    const answer = await create(boundary, {
      ...rest,
      runId: newRunId,
      request: {
        ...again,
        ...(conversation !== undefined && { conversation }),
        ...(prompt !== undefined && { prompt }),
      },
      retryOf: runId,
      mayOpenSession: true,
      actor,
    });
    if (answer.kind === 'refused') return answer;
    const { turnId: _turn, ...made } = answer.result;
    return ok({ ...made, retryOf: runId });
  };
