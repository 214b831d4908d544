// What a provider knows at the end of a turn. Facts only; turn-outcome.policy.ts decides what they mean.
import type { z } from 'zod';
import type { ApprovalCall } from '#services/runner/approvals/asked-call.ts';
import type { usageSchema } from '#streams/turn-result.ts';

/** Tokens and cost, as far as the program says. */
export type Usage = z.infer<typeof usageSchema>;

/** Where a program's own conversation can be gone on with. */
export interface ResumePoint {
  readonly providerSessionId: string;
  /** What the counters of the whole conversation stood at; empty where the program has none, or has not said. */
  readonly counters: Usage;
}

/**
 * Why the runner ended the program. `cancel`: somebody asked for the end of the run, `interrupt`: of the turn; `lease`: the run is no longer this runner's, or may not be for
 * long; `shutdown`: the runner ends; `deadline`, `silence`: limits of the turn; `linger`: it had said its result and did not go;
 * `sink`: its events could not be kept; `session-lost`: it is not in the conversation that it was asked to go on with.
 */
export type StopReason =
  | 'cancel'
  | 'interrupt'
  | 'lease'
  | 'shutdown'
  | 'deadline'
  | 'silence'
  | 'linger'
  | 'sink'
  | 'session-lost';

/** What the agent itself said of its work during the turn, through the runner's own door (not by the end of its output). */
export interface AgentWord {
  readonly outcome: 'done' | 'blocked';
  readonly summary: string;
}

/** A program's own word that it is turned down. */
export interface QuotaWord {
  /** When the quota is whole again, epoch ms; null: it does not say. */
  readonly resetsAt: number | null;
}

/** What became of the lines of a program that says what it does in lines. */
export interface LinesSeen {
  readonly read: number;
  /** Those of them that were not understood. */
  readonly strange: number;
  /** The beginning of the last of these, and why it was not understood. */
  readonly last: { readonly line: string; readonly reason: string } | null;
}

export interface TurnFacts {
  /** What the program said about its end, if it did before the runner stopped it; the last word counts. */
  readonly closing: {
    readonly outcome: 'done' | 'yielded' | 'blocked' | 'failed';
    readonly summary: string;
    readonly message: string;
    /** The program speaks of the work, and not only of the end of its turn; absent: no. */
    readonly isSignal?: boolean;
  } | null;
  /** How the program ended; null when it was never started. */
  readonly exit: { readonly code: number | null; readonly signal: string | null } | null;
  /** The program may outlive the turn: how or whether it exits says nothing about a result that it has said. */
  readonly isLasting?: boolean;
  /** Why it could not be started. */
  readonly startProblem: string | null;
  /** The runner or its machine is why it could not be started, and not what was asked; absent: no. */
  readonly isUnfit?: boolean;
  /** Why the runner ended it; null when it ended by itself. */
  readonly stopped: StopReason | null;
  /** Last words, for a summary when the program gives none. */
  readonly lastText: string;
  /** End of what it wrote to standard error. */
  readonly errorTail: string;
  readonly usage: Usage | null;
  /** Absent: it does not speak in lines. */
  readonly lines?: LinesSeen;
  /** Events handed to the sink. */
  readonly events: number;
  /** Processes that had to be ended after the program itself had exited. */
  readonly leftovers: number;
  /** The call that the program has put off until a person allows it, where it has ended for that. */
  readonly parked?: ApprovalCall;
  /** What the next turn of the session goes on with; `gone`: the program does not know the conversation any more. */
  readonly session?: ResumePoint | 'gone';
  /** The program's word that a quota is used up; absent: it gave none. */
  readonly quota?: QuotaWord;
}
