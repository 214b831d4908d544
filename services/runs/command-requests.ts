// Commands to a run as requests: what was written is redacted, the rules decide, the answer is the command as it stands. Safe to repeat: ids
// follow from the key, or from the id that whoever asks has made. Does not tell runners (instructions.ts).
import type { Redactor } from '#libs/redaction/redactor.ts';
import { ok, refused } from '#libs/service/request-answer.ts';
import type { RunRequestOf, RunResultOf } from '#streams/run-requests.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { RunAnswer } from './claims.ts';
import { knownCommand } from './run.commands.decider.ts';
import { hashOf, type RunLog, type RunTarget } from './run-log.ts';

interface Parts {
  readonly runLog: RunLog;
  readonly redactor: Redactor;
}

type Placed = RunResultOf<'cancel-command'>;

/** The command as the log has it now. */
const place = async (
  { runLog }: Parts,
  target: RunTarget,
  {
    key,
    commandId,
    atLeast,
  }: { readonly key: string | null; readonly commandId: string; readonly atLeast: number },
): Promise<Placed> => {
  const { state: run, seq } = await runLog.load(target);
  const command = run === undefined ? undefined : knownCommand(run, { key, commandId });
  // Nothing takes a command out of its run.
  if (run === undefined || command === undefined) throw new Error(`command ${commandId} is not in its run`);
  const { seq: commandSeq, type, state } = command;
  const { runId } = target;
  return {
    runId,
    seq: Math.max(seq, atLeast),
    commandId: command.commandId,
    commandSeq,
    type,
    state,
    runState: run.state,
  };
};

/** The operation `create-command`. */
export const createCommandRequest =
  (parts: Parts) =>
  async (
    boundary: Boundary,
    request: RunRequestOf<'create-command'>,
  ): Promise<RunAnswer<RunResultOf<'create-command'>>> => {
    const { actor, ...asked } = parts.redactor.value(request).value as typeof request;
    const { runId, commandId, key = null, type: commandType, text = null, reason, otherwise } = asked;
    const target = { boundary, runId, actor };
    const hash = hashOf([commandType, text, reason ?? null, otherwise ?? null]);
    const command = {
      kind: 'create-command',
      commandId,
      commandType,
      key,
      hash,
      text,
      reason,
      otherwise,
    } as const;
    // The content is part of the id: the same command finds its event, another one under its key meets the rule.
    const id = `${runId}.command.${hashOf([key ?? commandId, hash]).slice(0, 32)}`;
    const outcome = await parts.runLog.handle(target, command, { id });
    if (outcome.kind === 'rejected') return refused(outcome.rejection);
    const repeated = outcome.kind === 'unchanged' || outcome.repeated;
    return ok({ ...(await place(parts, target, { key, commandId, atLeast: outcome.seq })), repeated });
  };

/** The operation `cancel-command`. */
export const cancelCommandRequest =
  (parts: Parts) =>
  async (boundary: Boundary, request: RunRequestOf<'cancel-command'>): Promise<RunAnswer<Placed>> => {
    const { runId, commandId, actor } = request;
    const target = { boundary, runId, actor };
    const reason = parts.redactor.text(request.reason).value.slice(0, 500);
    // A command is taken back at most once.
    const id = `${runId}.cancel-command.${commandId}`;
    const outcome = await parts.runLog.handle(target, { kind: 'cancel-command', commandId, reason }, { id });
    if (outcome.kind === 'rejected') return refused(outcome.rejection);
    return ok(await place(parts, target, { key: null, commandId, atLeast: outcome.seq }));
  };
