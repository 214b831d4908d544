// What hosts report (stream EVENTS, under the host's name): how instructions ended, and what became of runners. Facts, numbered and
// buffered like those of runners. Whoever asked for a spawn decides by them.
import { z } from 'zod';
import { nameSchema, spawnIdSchema } from './ids.ts';

const epochMs = z.int().nonnegative();

/** Why a host does not start or stop what it was told to: code → meaning, and whether the same is worth asking again later. */
export const SPAWN_REFUSALS = {
  COMMAND_EXPIRED: {
    meaning: 'The instruction came after its deadline; it was not done.',
    retry: 'later',
  },
  CREDENTIAL_MISSING: {
    meaning: 'The host has no broker password for the agent; the message says how to make one.',
    retry: 'never',
  },
  HOST_DRAINING: { meaning: 'The host takes no new runners.', retry: 'later' },
  HOST_FULL: { meaning: 'The host has as many runners as it takes.', retry: 'later' },
  HOST_LOW: { meaning: 'The host has too little memory or disk left for another runner.', retry: 'later' },
  AGENT_RUNNING: {
    meaning: 'A runner of this agent runs on the host under another spawn id; two would share its place.',
    retry: 'later',
  },
  SETTING_REFUSED: {
    meaning: 'A setting of the instruction is unknown, wrong, or not for the instruction to choose.',
    retry: 'never',
  },
  SPAWN_CANCELLED: {
    meaning: 'A shutdown of this spawn id came before it was started.',
    retry: 'never',
  },
  SPAWN_FAILED: { meaning: 'The process could not be started; the message says why.', retry: 'later' },
  SPAWN_UNKNOWN: {
    meaning: 'There is no runner of this spawn id here, so there is nothing to stop.',
    retry: 'never',
  },
} as const satisfies Record<string, { readonly meaning: string; readonly retry: 'later' | 'never' }>;
export type SpawnRefusal = keyof typeof SPAWN_REFUSALS;

/** Why a host ends a runner that nobody asked it to end: it is stopped and leaves nothing behind, or the runner would look for its broker where it is no more. */
export const HOST_ENDS = ['host-stopped', 'broker-moved'] as const;
export type HostEnd = (typeof HOST_ENDS)[number];

/** The last words of a runner that the system killed in its control group, said by its host in its place. */
export const OVER_MEMORY =
  'the system ended it because it used more memory than a runner may have here (host.runnerMemoryBytes)';

const about = { spawnId: spawnIdSchema, policy: nameSchema, agent: nameSchema, host: nameSchema };

const spawnStarted = z.object({ ...about, pid: z.int().positive(), startedAt: epochMs });
const spawnRefused = z.object({
  ...about,
  /** One of {@link SPAWN_REFUSALS}; later versions may have more. */
  code: z.string().max(64),
  message: z.string().max(2000),
  refusedAt: epochMs,
});
const agentExited = z.object({
  ...about,
  pid: z.int().positive(),
  /** Both null: it ended while no host watched. */
  exitCode: z.int().nullable(),
  signal: z.string().max(32).nullable(),
  /** True when the host had been told to stop it. */
  wasAsked: z.boolean(),
  /** Why the host ended it of its own accord; absent: it did not. */
  endedFor: z.enum(HOST_ENDS).optional(),
  /** True when it had to be killed. */
  wasForced: z.boolean(),
  /** Last lines of its standard error, redacted. */
  lastWords: z.string().max(2000),
  startedAt: epochMs,
  exitedAt: epochMs,
});
const unknownAgentStopped = z.object({
  host: nameSchema,
  pid: z.int().positive(),
  /** As its environment says; null: it does not say. */
  spawnId: spawnIdSchema.nullable(),
  agent: nameSchema.nullable(),
  reason: z.string().max(500),
  stoppedAt: epochMs,
});

/** Subject type token → event type and schema; part of REPORTS. */
export const HOST_REPORTS = {
  'spawn-started': {
    type: 'fleetlog.host.spawn-started.v1',
    schema: spawnStarted,
    means: 'The host has started a runner. The agent is there when its runner announces itself.',
  },
  'spawn-refused': {
    type: 'fleetlog.host.spawn-refused.v1',
    schema: spawnRefused,
    means: 'The host did not do an instruction, and will not: the code says why.',
  },
  'agent-exited': {
    type: 'fleetlog.host.agent-exited.v1',
    schema: agentExited,
    means: 'A runner has ended, and with it all that it had started.',
  },
  'unknown-agent-stopped': {
    type: 'fleetlog.host.unknown-agent-stopped.v1',
    schema: unknownAgentStopped,
    means: 'The host found a runner on its machine that it did not know of, and ended it.',
  },
} as const;

export type HostReportName = keyof typeof HOST_REPORTS;
export type HostReportData<Name extends HostReportName> = z.infer<(typeof HOST_REPORTS)[Name]['schema']>;
