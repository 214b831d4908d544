// The rules of a run's commands: who may tell it what and when, and what its runner's reports about them mean. Pure; part of run.decider.ts.
// Guarantees: a command is found by its key before anything else is looked at, so a repeat gets the first one also after the end of
// the run; numbers grow by one; the first end of a command counts. Tells nobody (see instructions.ts) and ends no turn (run.turns.decider.ts).
//
// pending ─acknowledge→ acknowledged ─finish | end of its turn→ completed | failed;  any open ─end of the run→ see run-commands.policy.ts
// pending ─cancel→ cancelled;  acknowledged ─lost lease→ pending;  steer: pending ─finish(failed)→ pending, for the next turn
import { accept, reject, unchanged } from '#libs/kernel/decider.ts';
import { COMMANDS_LIMIT, OPEN_COMMANDS_LIMIT } from '#streams/commands.ts';
import { isOpen, withCommand } from './run-commands.policy.ts';
import {
  endedRefusal,
  isEnded,
  isHeld,
  refusalOf,
  type CommandOf,
  type CommandRecord,
  type EventOf,
  type Run,
  type RunDecision,
} from './run-state.policy.ts';

type Create = CommandOf<'create-command'>;

/** The command that was made under this key or id. */
export const knownCommand = (
  { commands }: Pick<Run, 'commands'>,
  { key, commandId }: { readonly key?: string | null; readonly commandId: string },
): CommandRecord | undefined =>
  commands.find(
    (command) => command.commandId === commandId || (command.key !== null && command.key === key),
  );

/** True while a program can be told something: it runs, or waits for a person. */
const isTurnUnderWay = (run: Run): boolean =>
  isHeld(run) && (run.state === 'running' || run.state === 'waiting');

/** Why the run takes no further command; undefined when it does. */
const notTaken = ({ commandType }: Create, run: Run): RunDecision | undefined => {
  const { runId } = run.created;
  if (isEnded(run.state)) return endedRefusal(run);
  if (run.state === 'cancelling') return reject('RUN_CANCELLED', `run ${runId} is being cancelled`);
  if (run.commands.length >= COMMANDS_LIMIT)
    return reject('RUN_COMMANDS_FULL', `run ${runId} has had ${COMMANDS_LIMIT} commands: create another run`);
  if (run.commands.filter(isOpen).length >= OPEN_COMMANDS_LIMIT)
    return reject('RUN_COMMANDS_FULL', `run ${runId} has ${OPEN_COMMANDS_LIMIT} open commands`);
  if (commandType === 'interrupt' && !isHeld(run)) {
    const instead = run.state === 'waiting' ? 'answer its approval' : 'cancel it';
    return reject('RUN_NOT_RUNNING', `no turn of run ${runId} runs (${run.state}): ${instead} instead`);
  }
  return undefined;
};

/** The claim that is told of it at once; null: its turn comes later, or has not begun. */
const fenceFor = ({ commandType }: Create, run: Run): number | null => {
  if (commandType === 'interrupt') return run.claims;
  return commandType === 'steer' && isTurnUnderWay(run) ? run.claims : null;
};

export const createCommand = (command: Create, run: Run, now: number): RunDecision => {
  const { kind: _kind, reason, otherwise, ...order } = command;
  const { runId, sessionId } = run.created;
  const known = knownCommand(run, command);
  if (known !== undefined && known.hash === order.hash) return unchanged;
  if (known !== undefined)
    return reject('RUN_COMMAND_CONFLICTING', `run ${runId} was given another command under this key`, {
      commandId: known.commandId,
    });
  const refusal = notTaken(command, run);
  if (refusal !== undefined) return refusal;
  return accept({
    type: 'fleetlog.run.command-created.v1',
    runId,
    sessionId,
    ...order,
    commandSeq: run.commands.length + 1,
    ...(reason !== undefined && { reason }),
    ...(order.commandType === 'steer' && { otherwise: otherwise ?? 'next-turn' }),
    fence: fenceFor(command, run),
    createdAt: now,
  });
};

const unknown = (run: Run, commandId: string): RunDecision =>
  reject('RUN_COMMAND_UNKNOWN', `run ${run.created.runId} has no command ${commandId}`);

export const cancelCommand = (
  { commandId, reason }: CommandOf<'cancel-command'>,
  run: Run,
  now: number,
): RunDecision => {
  const command = knownCommand(run, { commandId });
  if (command === undefined) return unknown(run, commandId);
  if (!isOpen(command)) return unchanged;
  const { runId, sessionId } = run.created;
  if (commandId === run.turnCommandId)
    return reject(
      'RUN_COMMAND_UNDER_WAY',
      `command ${commandId} is the turn of run ${runId}: interrupt it, or cancel the run`,
    );
  // What a runner has been told cannot be taken back.
  if (command.fence !== null)
    return reject('RUN_COMMAND_UNDER_WAY', `the runner of run ${runId} has been told of ${commandId}`);
  return accept({
    type: 'fleetlog.run.command-cancelled.v1',
    runId,
    sessionId,
    commandId,
    reason,
    cancelledAt: now,
  });
};

/** Why a report about a command changes nothing, or the command. */
const reported = (
  run: Run,
  report: CommandOf<'acknowledge-command'> | CommandOf<'finish-command'>,
): RunDecision | CommandRecord => {
  const command = knownCommand(run, report);
  if (command === undefined) return unknown(run, report.commandId);
  if (!isOpen(command)) return unchanged;
  const refusal = refusalOf(run, report);
  if (refusal !== undefined) return refusal;
  if (command.type !== 'turn' && command.commandId !== run.turnCommandId && !command.isDeferred)
    return command;
  return reject(
    'RUN_COMMAND_NOT_DUE',
    `command ${command.commandId} is a turn: it goes by what is reported of the turn`,
  );
};

export const acknowledgeCommand = (report: CommandOf<'acknowledge-command'>, run: Run): RunDecision => {
  const command = reported(run, report);
  if ('kind' in command) return command;
  if (command.state === 'acknowledged') return unchanged;
  const { runId, sessionId } = run.created;
  const { commandId, turnId, fence, acknowledgedAt } = report;
  return accept({
    type: 'fleetlog.run.command-acknowledged.v1',
    runId,
    sessionId,
    commandId,
    turnId,
    fence,
    acknowledgedAt,
  });
};

/** What the report makes of the command: words that failed may wait for the next turn. */
const stateAfter = (
  { state }: CommandOf<'finish-command'>,
  { type, otherwise, text }: CommandRecord,
): 'completed' | 'failed' | 'deferred' | 'unchanged' => {
  if (type === 'steer') return state === 'failed' && otherwise === 'next-turn' ? 'deferred' : state;
  // Its words are still to be done; that the turn has ended is told by the end of the turn.
  return text === null ? state : 'unchanged';
};

export const finishCommand = (report: CommandOf<'finish-command'>, run: Run): RunDecision => {
  const command = reported(run, report);
  if ('kind' in command) return command;
  const state = stateAfter(report, command);
  if (state === 'unchanged') return unchanged;
  const { runId, sessionId } = run.created;
  const { commandId, fence, code, message, finishedAt } = report;
  return accept({
    type: 'fleetlog.run.command-finished.v1',
    runId,
    sessionId,
    commandId,
    state,
    ...(code !== undefined && { code }),
    ...(message !== undefined && { message }),
    fence,
    finishedAt,
  });
};

type Changed = Partial<Run>;

export const evolveCommandCreated = (
  run: Run,
  event: EventOf<'fleetlog.run.command-created.v1'>,
): Changed => {
  const { commandId, commandSeq: seq, commandType: type, key, hash, text, reason, otherwise, fence } = event;
  const record = { commandId, seq, type, key, hash, text, reason, otherwise, fence };
  return { commands: [...run.commands, { ...record, state: 'pending', isDeferred: false }] };
};

export const evolveCommandAcknowledged = (
  { commands }: Run,
  { commandId, fence }: EventOf<'fleetlog.run.command-acknowledged.v1'>,
): Changed => ({ commands: withCommand(commands, commandId, { state: 'acknowledged', fence }) });

export const evolveCommandFinished = (
  { commands }: Run,
  { commandId, state }: EventOf<'fleetlog.run.command-finished.v1'>,
): Changed => ({
  commands: withCommand(
    commands,
    commandId,
    state === 'deferred' ? { state: 'pending', fence: null, isDeferred: true } : { state, text: null },
  ),
});

export const evolveCommandCancelled = (
  { commands }: Run,
  { commandId }: EventOf<'fleetlog.run.command-cancelled.v1'>,
): Changed => ({ commands: withCommand(commands, commandId, { state: 'cancelled', text: null }) });
