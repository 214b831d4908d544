// What every turn of a runner shares. Interfaces only.
import type { NewRecord, Note, Outbox } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { ControlEndpoint } from './control/control-endpoint.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import type { ApprovalDesk } from './approvals/approval-desk.ts';
import type { ProviderTurn, TurnLimits } from './providers/provider.ts';
import type { ReportWriter, TurnScope } from './report-writer.ts';
import type { RunsClient } from './runs-client.ts';
import type { SessionNotes } from './session-notes.ts';
import type { TurnJournal } from './turn-journal.ts';
import type { CallCounts } from './tool-calls.policy.ts';
import type { TurnState } from './turn-machine.policy.ts';
import type { Workspaces } from './workspace/workspaces.ts';
import type { TurnPreparation } from './turn-preparation.ts';

/** The points of a turn between which a crash makes a difference, in order. */
export const TURN_STEPS = [
  'instruction-taken',
  'claim-intended',
  'claim-answered',
  'claim-journaled',
  'program-started',
  'start-reported',
  'program-ended',
  'result-stored',
] as const;
export type TurnStep = (typeof TURN_STEPS)[number];

/** What happens to turns, for logs and metrics. */
export type TurnObservation =
  | { readonly kind: 'phase'; readonly runId: string; readonly state: TurnState }
  | { readonly kind: 'claim-refused'; readonly runId: string; readonly code: string }
  | { readonly kind: 'parked'; readonly runId: string; readonly tool: string }
  | { readonly kind: 'away'; readonly runId: string; readonly message: string }
  | {
      readonly kind: 'finished';
      readonly runId: string;
      readonly result: TurnResult;
      readonly leftovers: number;
      readonly calls: CallCounts;
    };

/** What reaches the disk together with the report that a turn has started. */
export interface BesideStart {
  readonly records: readonly NewRecord[];
  readonly notes: readonly Note[];
  /** Called once when it is on disk, before anything else happens. */
  readonly stored: () => void;
}

/** Mail for a turn while its program runs. */
export interface MidTurn {
  /** The program runs, its start is on disk, and it may be given mail. */
  opened(scope: TurnScope, deliver: NonNullable<ProviderTurn['deliver']>): void;
  /** Nothing is reported of the turn any more. */
  silence(turnId: string): void;
  /** The program has ended. Resolves when what it has taken is on disk. Repeatable. */
  closed(turnId: string): Promise<void>;
}

export interface TurnParts {
  readonly runnerId: string;
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly journal: TurnJournal;
  readonly writer: ReportWriter;
  readonly runs: RunsClient;
  readonly limits: Omit<TurnLimits, 'turnTimeoutMs'>;
  readonly prepareWorkspace: Workspaces['prepare'];
  readonly prepareTurn: TurnPreparation['prepare'];
  readonly sessions: SessionNotes;
  readonly control: Pick<ControlEndpoint, 'echo' | 'end' | 'revoke'>;
  readonly approvals: ApprovalDesk;
  /** What else is true from the moment that this turn has started. Must not throw. */
  readonly besideStart: (scope: TurnScope, instruction: TurnInstruction) => BesideStart;
  readonly midTurn: MidTurn;
  /** Called at each step; the turn goes on when it resolves. Tests crash here. */
  readonly reached: (step: TurnStep) => Promise<void> | void;
  readonly observe: (observation: TurnObservation) => void;
  /** The process must end. */
  readonly onFatal: (error: unknown) => void;
}
