// Histories and commands of one policy, for given–when–then: each builder gives the usual case and takes what differs.
import { policyDecider } from '#services/lifecycle/policy.decider.ts';
import { configOf, policyInputSchema, type PolicyConfig } from '#streams/policy-config.ts';
import type { PolicyEvent, PolicyEventType } from '#streams/policy.ts';
import type { PolicyCommand, PolicyEvidence } from '#streams/policy-commands.ts';
import { given as givenHistory } from '#test/support/given.ts';

export const NOW = 1_700_000_000_000;
const ULID = '01HF3Z0000000000000000000';
const policy = 'builder';
export const spawnA = `spw_${ULID}A`;
export const spawnB = `spw_${ULID}B`;
export const SECOND = 1000;
export const HOUR = 3_600_000;

type EventOf<Type extends PolicyEventType> = Extract<PolicyEvent, { readonly type: Type }>;
type CommandOf<Kind extends PolicyCommand['kind']> = Extract<PolicyCommand, { readonly kind: Kind }>;

/** A configuration as a file would say it. */
export const config = (given: Readonly<Record<string, unknown>> = {}): PolicyConfig =>
  configOf(policy, policyInputSchema.parse({ mode: 'always-on', ...given }));

const about = { policy, decidedAt: NOW };
const ofSpawn = { ...about, spawnId: spawnA, agent: policy, host: 'forge-1' };

export const applied = (
  given: Readonly<Record<string, unknown>> = {},
  more: Partial<EventOf<'fleetlog.policy.applied.v1'>> = {},
): PolicyEvent => ({
  type: 'fleetlog.policy.applied.v1',
  ...about,
  version: 1,
  config: config(given),
  changed: ['mode'],
  rolledBackTo: null,
  note: null,
  ...more,
});
export const removed: PolicyEvent = {
  type: 'fleetlog.policy.removed.v1',
  ...about,
  reason: 'no',
  version: 2,
};
export const asked = (what: 'start-asked' | 'stop-asked' | 'paused' | 'resumed' | 'reset'): PolicyEvent => ({
  type: `fleetlog.policy.${what}.v1`,
  ...about,
  reason: 'a person',
});
export const restartAsked = (
  more: Partial<EventOf<'fleetlog.policy.restart-asked.v1'>> = {},
): PolicyEvent => ({
  type: 'fleetlog.policy.restart-asked.v1',
  ...about,
  reason: 'a person',
  cause: 'operator',
  idleMs: 0,
  ...more,
});
export const waiting = (
  code: EventOf<'fleetlog.policy.waiting-for-host.v1'>['code'] = 'HOST_OFFLINE',
): PolicyEvent => ({
  type: 'fleetlog.policy.waiting-for-host.v1',
  ...about,
  code,
  message: 'forge-1 is not heard of',
});
export const starting = (more: Partial<EventOf<'fleetlog.policy.starting.v1'>> = {}): PolicyEvent => ({
  type: 'fleetlog.policy.starting.v1',
  ...ofSpawn,
  version: 1,
  cause: 'always-on',
  scheduledFor: null,
  deadlineAt: NOW + 60 * SECOND,
  ...more,
});
export const running = (more: Partial<EventOf<'fleetlog.policy.running.v1'>> = {}): PolicyEvent => ({
  type: 'fleetlog.policy.running.v1',
  ...ofSpawn,
  runnerId: 'builder@forge-1',
  runnerVersion: '0.1.0',
  ...more,
});
export const stopping = (more: Partial<EventOf<'fleetlog.policy.stopping.v1'>> = {}): PolicyEvent => ({
  type: 'fleetlog.policy.stopping.v1',
  ...ofSpawn,
  cause: 'operator',
  reason: 'a person',
  isGraceful: true,
  timeoutMs: 10_000,
  isRestart: false,
  deadlineAt: NOW + 15 * SECOND,
  settledSeq: 0,
  limitedUntil: null,
  evidence: null,
  ...more,
});
export const escalated = (tries = 1): PolicyEvent => ({
  type: 'fleetlog.policy.stop-escalated.v1',
  ...ofSpawn,
  tries,
  deadlineAt: NOW + 25 * SECOND,
});
export const stopped = (more: Partial<EventOf<'fleetlog.policy.stopped.v1'>> = {}): PolicyEvent => ({
  type: 'fleetlog.policy.stopped.v1',
  ...about,
  spawnId: spawnA,
  how: 'exited',
  exitCode: 0,
  signal: null,
  settledSeq: 0,
  ...more,
});
const failure = {
  ...about,
  spawnId: spawnA,
  host: 'forge-1',
  cause: 'vanished',
  code: 'AGENT_VANISHED',
  message: 'gone',
} as const;
export const backoff = (more: Partial<EventOf<'fleetlog.policy.backoff.v1'>> = {}): PolicyEvent => ({
  type: 'fleetlog.policy.backoff.v1',
  ...failure,
  failures: 1,
  delayMs: 5000,
  until: NOW + 5 * SECOND,
  ...more,
});
export const failed = (failures = 3): PolicyEvent => ({
  type: 'fleetlog.policy.failed.v1',
  ...failure,
  failures,
  windowMs: HOUR,
});

export const apply = (
  given: Readonly<Record<string, unknown>> = {},
  expectedVersion: number | null = null,
): PolicyCommand => ({ kind: 'apply', policy, config: config(given), expectedVersion, note: null });

const forge: PolicyEvidence['hosts'] = { kind: 'host', host: 'forge-1' };
/** The runner of a start, alive. */
export const seen = (spawnId: string | null = spawnA): NonNullable<PolicyEvidence['runner']> => ({
  spawnId,
  host: spawnId === null ? null : 'forge-1',
  runnerId: 'builder@forge-1',
  version: '0.1.0',
});
/** A tick with a host that takes it and nobody alive, unless the evidence says otherwise. */
export const tick = (evidence: PolicyEvidence = {}, chance = 0): CommandOf<'tick'> => ({
  kind: 'tick',
  evidence: { runner: null, hosts: forge, isHostOnline: true, mailSeq: 0, ...evidence },
  spawnId: spawnB,
  chance,
});
/** A tick while the agent of the first start runs. */
export const alive = (evidence: PolicyEvidence = {}): CommandOf<'tick'> =>
  tick({ runner: seen(), ...evidence });
/** Idle since this time. */
export const idleSince = (lastAt: number): Pick<PolicyEvidence, 'activity'> => ({
  activity: { isBusy: false, lastAt },
});
export const exited = (more: Partial<CommandOf<'exited'>> = {}): PolicyCommand => ({
  kind: 'exited',
  spawnId: spawnA,
  exitCode: 1,
  signal: null,
  lastWords: '',
  chance: 0,
  ...more,
});
export const refused = (code: string, more: Partial<CommandOf<'refused'>> = {}): PolicyCommand => ({
  kind: 'refused',
  spawnId: spawnA,
  code,
  message: 'no',
  chance: 0,
  ...more,
});

export const given = (...history: PolicyEvent[]) => {
  const of = givenHistory(policyDecider, ...history);
  return {
    state: of.state,
    when: (command: PolicyCommand, afterMs = 0) => of.when(command, { now: NOW + afterMs }),
  };
};
