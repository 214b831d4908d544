// What the supervisor of a host works with, and the steps at which it may die.
import type { Clock } from '#libs/ports/clock.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import type { SpawnInstruction } from '#streams/host-instructions.ts';
import type { Cgroups } from './cgroups.ts';
import type { HostReporter } from './host-reporter.ts';
import type { Launched } from './launch.ts';
import type { Refusal } from './spawn-rules.policy.ts';

/** Where a host may die; tests kill it there. */
export const HOST_STEPS = [
  'spawn-taken',
  'spawn-intended',
  'runner-started',
  'spawn-reported',
  'shutdown-taken',
  'shutdown-noted',
  'runner-asked',
  'runner-exited',
  'exit-reported',
] as const;
export type HostStep = (typeof HOST_STEPS)[number];

export interface SupervisorParts {
  readonly host: string;
  readonly brokerUrl: string;
  readonly clock: Clock;
  readonly redactor: Redactor;
  readonly reporter: HostReporter;
  readonly cgroups: Cgroups;
  /** Before anything stands against a spawn: what may be out of date is asked anew. */
  readonly beforeSpawn: () => Promise<void>;
  /** Why the spawn is not done; undefined: nothing stands against it. */
  readonly refusalOf: (spawn: SpawnInstruction) => Refusal | undefined;
  readonly launch: (spawn: SpawnInstruction) => Promise<Launched>;
  /** The end of what the runner of an agent has written. */
  readonly lastWordsOf: (agent: string) => string;
  readonly lookMs: number;
  /** What a host tells of has changed. */
  readonly onChange: () => void;
  readonly onFatal: (error: unknown) => void;
  readonly reached: (step: HostStep) => Promise<void> | void;
}
