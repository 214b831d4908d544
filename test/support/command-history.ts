// Commands of one run, for given–when–then: each builder gives the usual case and takes what differs.
import type { CommandType } from '#streams/commands.ts';
import type { RunCommand, RunEvent } from '#streams/run.ts';
import { nextCommand, NOW, result, runId, sessionId, turnA } from './run-history.ts';

const ULID = '01HF3Z0000000000000000000';
export const firstTurn = `cmd_${ULID}1`;
export const followUp = `cmd_${ULID}F`;
export const steerA = `cmd_${ULID}S`;
export const interruptA = `cmd_${ULID}X`;

type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;
type Created = EventOf<'fleetlog.run.command-created.v1'>;
type CommandOf<Kind extends RunCommand['kind']> = Extract<RunCommand, { readonly kind: Kind }>;

const ID = { turn: followUp, steer: steerA, interrupt: interruptA } as const;
const TEXT = { turn: 'now the tests', steer: 'leave the table alone', interrupt: null } as const;

/** Somebody tells the run something; the hash follows from type and text as a repeat would give it. */
export const tell = (
  commandType: CommandType,
  changes: Partial<CommandOf<'create-command'>> = {},
): RunCommand => ({
  kind: 'create-command',
  commandId: ID[commandType],
  commandType,
  key: null,
  hash: { turn: 'a', steer: 'b', interrupt: 'c' }[commandType].repeat(64),
  text: TEXT[commandType],
  ...changes,
});
export const told = (commandType: CommandType, changes: Partial<Created> = {}): RunEvent => ({
  type: 'fleetlog.run.command-created.v1',
  runId,
  sessionId,
  commandId: ID[commandType],
  commandType,
  commandSeq: 2,
  key: null,
  hash: { turn: 'a', steer: 'b', interrupt: 'c' }[commandType].repeat(64),
  text: TEXT[commandType],
  ...(commandType === 'steer' && { otherwise: 'next-turn' }),
  fence: commandType === 'turn' ? null : 1,
  createdAt: NOW,
  ...changes,
});
export const acknowledge = (commandId: string, fence = 1): RunCommand => ({
  kind: 'acknowledge-command',
  agent: 'builder-1',
  fence,
  turnId: turnA,
  commandId,
  acknowledgedAt: NOW,
});
export const acknowledged = (commandId: string, fence = 1): RunEvent => ({
  type: 'fleetlog.run.command-acknowledged.v1',
  runId,
  sessionId,
  commandId,
  turnId: turnA,
  fence,
  acknowledgedAt: NOW,
});
export const refuse = (
  commandId: string,
  changes: Partial<CommandOf<'finish-command'>> = {},
): RunCommand => ({
  kind: 'finish-command',
  agent: 'builder-1',
  fence: 1,
  commandId,
  state: 'failed',
  code: 'STEER_UNSUPPORTED',
  finishedAt: NOW,
  ...changes,
});
export const refused = (
  commandId: string,
  changes: Partial<EventOf<'fleetlog.run.command-finished.v1'>> = {},
): RunEvent => ({
  type: 'fleetlog.run.command-finished.v1',
  runId,
  sessionId,
  commandId,
  state: 'deferred',
  code: 'STEER_UNSUPPORTED',
  fence: 1,
  finishedAt: NOW,
  ...changes,
});
export const takeBack = (commandId: string): RunCommand => ({
  kind: 'cancel-command',
  commandId,
  reason: 'not needed any more',
});
export const takenBack = (commandId: string): RunEvent => ({
  type: 'fleetlog.run.command-cancelled.v1',
  runId,
  sessionId,
  commandId,
  reason: 'not needed any more',
  cancelledAt: NOW,
});
/** The end of a turn that is followed by the one of `turnCommandId`. */
export const turnFinished = (changes: Partial<EventOf<'fleetlog.run.turn-finished.v1'>> = {}): RunEvent => ({
  type: 'fleetlog.run.turn-finished.v1',
  runId,
  sessionId,
  fence: 1,
  turnId: turnA,
  endedAt: NOW,
  result: result(),
  turnCommandId: followUp,
  commandId: nextCommand,
  ...changes,
});
