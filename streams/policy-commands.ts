// What can be asked of a policy, and what is looked up for a decision. Types only; the rules are in services/lifecycle/policy.decider.ts.
import type { HostEnd } from './host-reports.ts';
import type { RestartCause, WaitCode } from './policy-causes.ts';
import type { PolicyConfig } from './policy-config.ts';
import type { StuckEvidence } from './policy.ts';

/** Of a host that may run it, or why none does. */
export type HostChoice =
  | { readonly kind: 'host'; readonly host: string }
  | { readonly kind: 'none'; readonly code: WaitCode; readonly message: string };

/** A runner of the policy's agent that is alive. */
export interface SeenRunner {
  /** Null: no host started it. */
  readonly spawnId: string | null;
  readonly host: string | null;
  readonly runnerId: string;
  readonly version: string;
}

/** What is the case besides the record, looked up for one decision. Absent: not looked at, because it does not matter in the state. */
export interface PolicyEvidence {
  /** The runner alive under the agent's name; null: none, read from the leader. */
  readonly runner?: SeenRunner | null;
  readonly hosts?: HostChoice;
  /** Whether the host of the start under way is heard of. */
  readonly isHostOnline?: boolean;
  /** Last entry of the policy's mailbox in MESSAGES; 0: none. */
  readonly mailSeq?: number;
  readonly activity?: {
    readonly isBusy: boolean;
    /** The latest of message and turn; the start counts besides. */
    readonly lastAt: number;
  };
  readonly usage?: {
    readonly runs: number;
    readonly spendMicroUsd: number;
    /** When the oldest of them leaves the window. */
    readonly freeAt: number;
  };
  /** The newest time of the calendar that is over and not older than its grace. */
  readonly scheduledFor?: number | null;
  /** Null: looked at, and nothing was found. */
  readonly stuck?: StuckEvidence | null;
  /** When the turn will have been silent for too long, if nothing is heard of it. */
  readonly silentAt?: number;
}

/** What can be asked of a policy. */
export type PolicyCommand =
  | {
      readonly kind: 'apply';
      readonly policy: string;
      readonly config: PolicyConfig;
      /** The version that the writer has seen; 0: none. Null: whatever there is. */
      readonly expectedVersion: number | null;
      readonly note: string | null;
    }
  | {
      readonly kind: 'rollback';
      readonly toVersion: number;
      readonly expectedVersion: number | null;
      readonly note: string | null;
    }
  | { readonly kind: 'remove'; readonly expectedVersion: number | null; readonly reason: string }
  | { readonly kind: 'start' | 'stop' | 'pause' | 'resume' | 'reset'; readonly reason: string }
  | {
      readonly kind: 'restart';
      readonly cause: RestartCause;
      readonly idleMs: number;
      readonly reason: string;
    }
  /** Something has changed or its time has come: what follows from the record and the evidence? */
  | {
      readonly kind: 'tick';
      readonly evidence: PolicyEvidence;
      /** Of a start that follows. */
      readonly spawnId: string;
      /** In [0, 1), for the jitter. */
      readonly chance: number;
    }
  /** A host says that the process of a start has ended. */
  | {
      readonly kind: 'exited';
      readonly spawnId: string;
      readonly exitCode: number | null;
      readonly signal: string | null;
      /** Its host ended it of its own accord; absent: it did not. */
      readonly endedFor?: HostEnd;
      readonly lastWords: string;
      readonly chance: number;
    }
  /** A host says that it will not do an instruction. */
  | {
      readonly kind: 'refused';
      readonly spawnId: string;
      readonly code: string;
      readonly message: string;
      readonly chance: number;
    };
