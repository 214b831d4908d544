// What a policy is, as folded from its history (policy-fold.policy.ts). Pure; the rules that make the history are in policy.decider.ts.
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { PolicyStateName, RestartCause } from '#streams/policy-causes.ts';

/** One start of the agent, until it is known to be over. */
export interface Spawn {
  readonly spawnId: string;
  readonly agent: string;
  readonly host: string;
  /** What it was started with. */
  readonly config: PolicyConfig;
  readonly version: number;
  readonly startedAt: number;
  /** When its runner announced itself; null: not yet. */
  readonly runningAt: number | null;
}

/** A restart that was asked for and is not done. */
export interface PendingRestart {
  readonly cause: RestartCause;
  readonly idleMs: number;
  readonly reason: string;
  /** The agent is being stopped for it, or is stopped. */
  readonly isUnderWay: boolean;
}

/** What was done about a turn that does not go on. */
interface StuckStep {
  readonly step: 'report' | 'nudge' | 'interrupt';
  readonly kind: string;
  readonly turnId: string | null;
  readonly nextAt: number;
}

/** A policy as folded from its history; undefined before it was applied. */
export interface Policy {
  readonly policy: string;
  readonly state: PolicyStateName;
  readonly version: number;
  readonly config: PolicyConfig;
  /** The last versions, oldest first. */
  readonly versions: readonly { readonly version: number; readonly config: PolicyConfig }[];
  readonly isRemoved: boolean;
  readonly isPaused: boolean;
  /** What a person asked for last; null: the mode decides. */
  readonly asked: 'running' | 'stopped' | null;
  readonly restart: PendingRestart | null;
  readonly spawn: Spawn | null;
  /** In a row. */
  readonly failures: number;
  /** Times of crashes, oldest first; those within the window of the limits count. */
  readonly crashes: readonly number[];
  /** Of `starting`, `stopping`: by when something has to have happened; of `backoff`: not before. */
  readonly dueAt: number | null;
  readonly stopTries: number;
  /** Mail up to here does not wake it any more. */
  readonly settledSeq: number;
  readonly lastScheduledFor: number;
  /** A start by its calendar that has not ended well. */
  readonly isScheduleOpen: boolean;
  readonly limitedUntil: number;
  readonly stuck: StuckStep | null;
  readonly wait: { readonly code: string; readonly message: string } | null;
  /** The last starts whose end is known for sure, newest last; what their runners have announced may be seen a little longer. */
  readonly over: readonly string[];
  /** The last start that is over on record and may be alive for all that is known: told to end before the next one is told to start. */
  readonly unsure: Pick<Spawn, 'spawnId' | 'agent' | 'host'> | null;
  /** The last start that was found alive beside the record. */
  readonly stray: string | null;
}
export type PolicyState = Policy | undefined;

/** WK-62: an update waits until the agent has been idle for so long. */
export const UPDATE_IDLE_MS = 60_000;

/** The time that the limits of a policy count over. */
export const windowMs = ({ config }: Policy): number => config.limits.windowSeconds * 1000;

/** A host that cannot take it just now is no crash of the agent. */
export const isCrash = (cause: string, code: string): boolean =>
  cause !== 'refused' ||
  !(code.startsWith('HOST_') || code === 'COMMAND_EXPIRED' || code === 'AGENT_RUNNING');

/** True while a process of it may be alive. */
export const isLive = (state: PolicyStateName): boolean =>
  state === 'starting' || state === 'running' || state === 'stopping';

/** A person, the mode or the removal says that it is not to run, whatever else is the case. */
export const isForbidden = ({ isRemoved, isPaused, asked, config }: Policy): boolean =>
  isRemoved || isPaused || asked === 'stopped' || config.mode === 'paused';
