// One example of every event, report and instruction about commands of a run, for the generated pages. Not used at run time.
import type { COMMAND_REPORTS } from './command-reports.ts';
import type { InstructionData } from './instruction-codec.ts';
import type { ReportData } from './reports.ts';
import type { RunEventType } from './run-codec.ts';
import type { RunEvent } from './run.ts';
import type { TurnResult } from './turn-result.ts';

const SECOND = 1000;
const steerId = 'cmd_01KAJ5MFB0S5W2T8P1N4R6V9XA';
const text = 'Leave the currency table alone.';
const refusal = { code: 'STEER_UNSUPPORTED', message: 'codex takes no words during a turn' } as const;

/** The turn that the examples are about; it ends 16 seconds after the beginning. */
interface Told {
  readonly runId: string;
  readonly sessionId: string;
  readonly turnId: string;
  readonly fence: number;
  readonly endedAt: number;
  readonly nextCommandId: string;
  readonly result: TurnResult;
}

type CommandEventType = Extract<
  RunEventType,
  `fleetlog.run.command-${string}` | 'fleetlog.run.turn-finished.v1'
>;

export const commandEventExamples = ({
  nextCommandId,
  result,
  turnId,
  endedAt,
  ...about
}: Told): { readonly [Type in CommandEventType]: Extract<RunEvent, { type: Type }> } => {
  const { fence: _fence, ...unclaimed } = about;
  const at = endedAt - 16 * SECOND;
  return {
    'fleetlog.run.turn-finished.v1': {
      type: 'fleetlog.run.turn-finished.v1',
      ...about,
      turnId,
      result,
      turnCommandId: steerId,
      commandId: nextCommandId,
      endedAt,
    },
    'fleetlog.run.command-created.v1': {
      type: 'fleetlog.run.command-created.v1',
      ...about,
      commandId: steerId,
      commandType: 'steer',
      commandSeq: 2,
      key: 'review-4711',
      hash: '5b1c2a6de0b54d7783a5c0f1e6b7d8927c4e5f60718293a4b5c6d7e8f9012345',
      text,
      otherwise: 'next-turn',
      createdAt: at + 7 * SECOND,
    },
    'fleetlog.run.command-acknowledged.v1': {
      type: 'fleetlog.run.command-acknowledged.v1',
      ...about,
      commandId: steerId,
      turnId,
      acknowledgedAt: at + 8 * SECOND,
    },
    'fleetlog.run.command-finished.v1': {
      type: 'fleetlog.run.command-finished.v1',
      ...about,
      commandId: steerId,
      state: 'deferred',
      ...refusal,
      finishedAt: at + 8 * SECOND,
    },
    'fleetlog.run.command-cancelled.v1': {
      type: 'fleetlog.run.command-cancelled.v1',
      ...unclaimed,
      commandId: steerId,
      reason: 'not needed any more',
      cancelledAt: at + 9 * SECOND,
    },
  };
};

export const commandReportExamples = ({
  runId,
  sessionId,
  turnId,
  endedAt,
}: Told): { readonly [Name in keyof typeof COMMAND_REPORTS]: ReportData<Name> } => {
  const about = { runId, sessionId, turnId, commandId: steerId };
  const at = endedAt - 8 * SECOND;
  return {
    'command-acknowledged': { ...about, acknowledgedAt: at },
    'command-finished': { ...about, state: 'failed', ...refusal, finishedAt: at },
  };
};

export const commandInstructionExamples = (
  runId: string,
): { readonly [Name in 'steer' | 'interrupt']: InstructionData<Name> } => ({
  steer: { runId, fence: 17, commandId: steerId, text },
  interrupt: { runId, fence: 17, commandId: steerId, reason: 'wrong branch' },
});
