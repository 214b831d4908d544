// A run as folded from its history, and what may be read off it: who holds it, whether it has ended, which questions are open, and
// why a report cannot move it. Pure; decides nothing (run.decider.ts, run.approvals.decider.ts, run.commands.decider.ts).
import { reject, type Decision } from '#libs/kernel/decider.ts';
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
import type { ApprovalDecision, ApprovalMode, ApprovalNeeds, SettledApproval } from '#streams/approvals.ts';
import type { CommandState, CommandType, Otherwise } from '#streams/commands.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { RunCommand, RunCreated, RunEvent, RunStateName } from '#streams/run.ts';
import type { FailureKind } from '#streams/turn-result.ts';

/** Refusals of a run. */
export type RunRejection = Extract<RejectionCode, `RUN_${string}` | `APPROVAL_${string}`>;
export type RunDecision = Decision<RunEvent, RunRejection>;
export type CommandOf<Kind extends RunCommand['kind']> = Extract<RunCommand, { readonly kind: Kind }>;
export type EventOf<Type extends RunEvent['type']> = Extract<RunEvent, { readonly type: Type }>;

/** A question that waits. */
export interface OpenApproval {
  readonly approvalId: string;
  readonly callId: string;
  readonly tool: string;
  readonly digest: string;
  readonly mode: ApprovalMode;
  readonly fence: number;
  readonly expiresAt: number;
  /** Absent: the first answer of anybody settles it. */
  readonly needs?: ApprovalNeeds;
  /** Who has approved so far, where several must. */
  readonly approvedBy: readonly string[];
}

/** A command of the run as far as its rules need it. */
export interface CommandRecord {
  readonly commandId: string;
  /** Its number within the run; the first turn has 1. */
  readonly seq: number;
  readonly type: CommandType;
  readonly key: string | null;
  readonly hash: string;
  readonly state: CommandState;
  /** Prompt or words, while it is open; null: there are none, or they stand in the run's request. */
  readonly text: string | null;
  /** Of an interrupt. */
  readonly reason?: string | undefined;
  /** Of a steer. */
  readonly otherwise?: Otherwise | undefined;
  /** The claim whose turn it is for, once its runner is told; null: nobody is told yet. */
  readonly fence: number | null;
  /** Words that the turn could not take: they wait for the next. */
  readonly isDeferred: boolean;
}

/** How a question came to its end; `closed`: the run went on or ended without an answer. */
interface Settlement {
  readonly decision: ApprovalDecision | 'closed';
  readonly by: string;
}

/** A run as folded from its history; undefined before it was created. */
export interface Run {
  readonly state: RunStateName;
  readonly created: Omit<RunCreated, 'type'>;
  /** Claims so far, which is also the fence of the last claim; 0: never claimed. */
  readonly claims: number;
  /** Claims that are no attempts of the turn that is due: those that parked a question, and those of earlier turns. */
  readonly parkings: number;
  /** Who holds it; null when nobody does. */
  readonly runnerId: string | null;
  /** When the last claim was granted, epoch ms by the clock of whoever granted it; null: never claimed. */
  readonly claimedAt: number | null;
  /** The instruction of the attempt that is due or under way. */
  readonly commandId: string;
  /** The command that is the turn due or under way. */
  readonly turnCommandId: string;
  /** All commands, by number. */
  readonly commands: readonly CommandRecord[];
  /** The turn of the last claim, as far as known. */
  readonly turnId: string | null;
  /** The last turn that has started, of whichever claim; null: no program ever saw the prompt. */
  readonly startedTurnId: string | null;
  readonly cancelReason: string | null;
  /** Why it failed; null: it has not. */
  readonly failureKind: FailureKind | null;
  /** The fence whose last report ended the claim; null while it lives, and when something else ended it. */
  readonly finishedBy: number | null;
  /** Questions that wait for an answer, oldest first; those of one claim. */
  readonly open: readonly OpenApproval[];
  /** Questions that wait no more, by id. */
  readonly settled: Readonly<Record<string, Settlement>>;
  /** Answers that the next claim goes on with, until a claim under which they were known ends by its own report. */
  readonly resume: readonly SettledApproval[];
}
export type RunState = Run | undefined;

/** True for the states that absorb everything. */
export const isEnded = (state: RunStateName): boolean =>
  state === 'completed' || state === 'blocked' || state === 'failed' || state === 'cancelled';

/** True while a runner holds the run under a lease. */
export const isHeld = ({
  state,
  runnerId,
}: {
  readonly state: RunStateName;
  readonly runnerId: string | null;
}): boolean => runnerId !== null && state !== 'queued' && !isEnded(state);

/** Why nothing more can be done in a run that has ended. ER-03: callers are told why it failed, where it did. */
export const endedRejection = ({
  state,
  created: { runId },
  failureKind,
}: Run): Rejection<'RUN_CANCELLED' | 'RUN_ENDED'> => {
  if (state === 'cancelled') return rejection('RUN_CANCELLED', `run ${runId} was cancelled`);
  const why = failureKind === null ? state : `${state}: ${failureKind}`;
  return rejection(
    'RUN_ENDED',
    `run ${runId} has ended (${why})`,
    failureKind === null ? {} : { failureKind },
  );
};

/** The same as a decision. */
export const endedRefusal = (run: Run): RunDecision => ({ kind: 'rejected', rejection: endedRejection(run) });

/** Why an agent may not touch the run; undefined when the run was given to it. */
export const foreignTo = (run: Run, agent: string): Rejection<'RUN_FOREIGN'> | undefined => {
  const { runId, agent: owner } = run.created;
  if (agent === owner) return undefined;
  return rejection('RUN_FOREIGN', `run ${runId} was not given to agent ${agent}`, { agent });
};

/** Why a report cannot move the run, or undefined when it comes from the holder. */
export const refusalOf = (
  run: Run,
  { fence, agent }: { readonly fence: number; readonly agent: string },
): RunDecision | undefined => {
  const foreign = foreignTo(run, agent);
  if (foreign !== undefined) return { kind: 'rejected', rejection: foreign };
  if (run.claims === 0)
    return reject('RUN_NOT_CLAIMED', `run ${run.created.runId} was never claimed`, { fence });
  if (fence === run.claims && isHeld(run)) return undefined;
  return reject(
    'RUN_FENCED',
    `fence ${fence} does not hold run ${run.created.runId} (${run.state}, ${run.claims} claims)`,
    { fence, currentFence: run.claims, state: run.state },
  );
};

/** For an event that closes the open questions: their ids, where there are any. */
export const closing = ({ open }: Run): { readonly approvalsClosed?: string[] } =>
  open.length === 0 ? {} : { approvalsClosed: open.map(({ approvalId }) => approvalId) };

/** The open questions, closed without an answer. */
export const closed = ({ open, settled }: Run): Pick<Run, 'open' | 'settled'> => ({
  open: [],
  settled: {
    ...settled,
    ...Object.fromEntries(
      open.map(({ approvalId }) => [approvalId, { decision: 'closed', by: 'service:runs' } as const]),
    ),
  },
});
