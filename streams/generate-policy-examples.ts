// One example of every event, request and value that tells of policies, for the generated pages and the golden entries. Typed by the
// contract. Not used at run time.
import { EXAMPLE, EXAMPLE_AT } from './generate-examples.ts';
import { EXAMPLE_HOST } from './generate-host-examples.ts';
import { configOf, policyInputSchema } from './policy-config.ts';
import type { PolicyOperation, PolicyRequestOf, PolicyResultOf } from './policy-requests.ts';
import type { ManagedAgentView, PolicyView } from './policy-views.ts';
import type { PolicyEvent, PolicyEventType } from './policy.ts';

const { boundary, agent, runId, turnId } = EXAMPLE;
const AT = EXAMPLE_AT;
const SECOND = 1000;
const host = EXAMPLE_HOST;

/** The policy of the examples. */
export const EXAMPLE_POLICY = 'builders';
const policy = EXAMPLE_POLICY;
const spawnId = 'spw_01KAJ5M8D0S4P6A8W0N2E4G6J8';

const config = configOf(
  policy,
  policyInputSchema.parse({
    mode: 'on-demand',
    agent,
    hostLabels: ['gpu'],
    provider: 'claude',
    workspace: 'cart',
    permissionMode: 'acceptEdits',
    tags: ['cart'],
    keepAliveSeconds: 900,
    restartOnUpdate: true,
  }),
);
const evidence = {
  kind: 'silent',
  runId,
  turnId,
  sinceAt: AT + 60 * SECOND,
  detail: 'nothing was heard of the turn for 300 s',
} as const;

const about = (seconds: number) => ({ policy, decidedAt: AT + seconds * SECOND });
const ofSpawn = (seconds: number) => ({ ...about(seconds), spawnId, agent, host });
const failure = {
  spawnId,
  host,
  cause: 'exited',
  code: 'EXIT_2',
  message: 'the process ended with exit code 2: no such model',
  failures: 1,
} as const;

/** Every event of a policy. */
export const POLICY_EXAMPLES: { readonly [Type in PolicyEventType]: Extract<PolicyEvent, { type: Type }> } = {
  'fleetlog.policy.applied.v1': {
    type: 'fleetlog.policy.applied.v1',
    ...about(0),
    version: 1,
    config,
    changed: ['agent', 'mode', 'provider'],
    rolledBackTo: null,
    note: 'first builders',
  },
  'fleetlog.policy.removed.v1': {
    type: 'fleetlog.policy.removed.v1',
    ...about(900),
    reason: 'not needed',
    version: 2,
  },
  'fleetlog.policy.start-asked.v1': {
    type: 'fleetlog.policy.start-asked.v1',
    ...about(1),
    reason: 'by hand',
  },
  'fleetlog.policy.stop-asked.v1': {
    type: 'fleetlog.policy.stop-asked.v1',
    ...about(800),
    reason: 'for today',
  },
  'fleetlog.policy.restart-asked.v1': {
    type: 'fleetlog.policy.restart-asked.v1',
    ...about(300),
    reason: 'new release',
    cause: 'restart-on-update',
    idleMs: 60_000,
  },
  'fleetlog.policy.paused.v1': { type: 'fleetlog.policy.paused.v1', ...about(400), reason: 'budget' },
  'fleetlog.policy.resumed.v1': { type: 'fleetlog.policy.resumed.v1', ...about(500), reason: 'new budget' },
  'fleetlog.policy.reset.v1': {
    type: 'fleetlog.policy.reset.v1',
    ...about(700),
    reason: 'the model is there',
  },
  'fleetlog.policy.waiting-for-host.v1': {
    type: 'fleetlog.policy.waiting-for-host.v1',
    ...about(1),
    code: 'HOST_OFFLINE',
    message: 'no host with the labels gpu is heard of',
  },
  'fleetlog.policy.starting.v1': {
    type: 'fleetlog.policy.starting.v1',
    ...ofSpawn(2),
    version: 1,
    cause: 'message-trigger',
    scheduledFor: null,
    deadlineAt: AT + 62 * SECOND,
  },
  'fleetlog.policy.running.v1': {
    type: 'fleetlog.policy.running.v1',
    ...ofSpawn(4),
    runnerId: 'builder-1@forge-7',
    runnerVersion: '0.1.0',
  },
  'fleetlog.policy.healthy.v1': { type: 'fleetlog.policy.healthy.v1', ...ofSpawn(604), failures: 1 },
  'fleetlog.policy.stuck.v1': {
    type: 'fleetlog.policy.stuck.v1',
    ...ofSpawn(360),
    step: 'nudge',
    evidence,
    nextAt: AT + 660 * SECOND,
  },
  'fleetlog.policy.unstuck.v1': {
    type: 'fleetlog.policy.unstuck.v1',
    ...ofSpawn(400),
    turnId: evidence.turnId,
  },
  'fleetlog.policy.stopping.v1': {
    type: 'fleetlog.policy.stopping.v1',
    ...ofSpawn(1000),
    cause: 'idle-timeout',
    reason: 'idle for 900 s',
    isGraceful: true,
    timeoutMs: 10_000,
    isRestart: false,
    deadlineAt: AT + 1015 * SECOND,
    settledSeq: 31,
    limitedUntil: null,
    evidence: null,
  },
  'fleetlog.policy.stop-escalated.v1': {
    type: 'fleetlog.policy.stop-escalated.v1',
    ...ofSpawn(1015),
    tries: 1,
    deadlineAt: AT + 1025 * SECOND,
  },
  'fleetlog.policy.stopped.v1': {
    type: 'fleetlog.policy.stopped.v1',
    ...about(1003),
    spawnId,
    how: 'exited',
    exitCode: 0,
    signal: null,
    settledSeq: 31,
  },
  'fleetlog.policy.backoff.v1': {
    type: 'fleetlog.policy.backoff.v1',
    ...about(3),
    ...failure,
    delayMs: 4600,
    until: AT + 7600,
  },
  'fleetlog.policy.failed.v1': {
    type: 'fleetlog.policy.failed.v1',
    ...about(600),
    ...failure,
    failures: 11,
    windowMs: 3_600_000,
  },
  'fleetlog.policy.stray-found.v1': { type: 'fleetlog.policy.stray-found.v1', ...ofSpawn(70) },
};

const place = { policy, seq: 15, version: 1, state: 'stopped', unchanged: false } as const;
const by = { policy, requestId: 'monday-1', actor: 'user:anna' };
const asked = (state: PolicyResultOf<'start'>['state']) => ({
  request: { ...by, reason: 'by hand' },
  result: { ...place, seq: 21, state },
});

/** Requests of the lifecycle service and what they give. */
export const POLICY_REQUEST_EXAMPLES: {
  readonly [Op in PolicyOperation]: {
    readonly request: PolicyRequestOf<Op>;
    readonly result: PolicyResultOf<Op>;
  };
} = {
  apply: { request: { ...by, config, expectedVersion: 0, note: 'first builders' }, result: place },
  rollback: {
    request: { ...by, toVersion: 1, expectedVersion: 2, note: null },
    result: { ...place, version: 3 },
  },
  remove: { request: { ...by, expectedVersion: 1, reason: 'not needed' }, result: { ...place, version: 2 } },
  start: asked('stopped'),
  stop: asked('running'),
  restart: {
    request: { ...by, reason: 'by hand', idleMs: 0 },
    result: { ...place, seq: 21, state: 'running' },
  },
  pause: asked('running'),
  resume: asked('stopped'),
  reset: asked('stopped'),
};

/** The bucket `policies`. */
export const POLICY_VIEW_EXAMPLE: PolicyView = {
  seq: 15,
  ...boundary,
  policy,
  version: 1,
  isRemoved: false,
  config,
  versions: [
    {
      version: 1,
      config,
      changed: ['agent', 'mode', 'provider'],
      rolledBackTo: null,
      note: 'first builders',
      by: 'user:anna',
      at: AT,
      seq: 15,
    },
  ],
  createdAt: AT,
  updatedAt: AT,
};

/** The bucket `agents`. */
export const MANAGED_AGENT_EXAMPLE: ManagedAgentView = {
  seq: 17,
  ...boundary,
  policy,
  agent,
  mode: 'on-demand',
  provider: 'claude',
  tags: ['cart'],
  state: 'running',
  desired: 'by-mode',
  reason: 'started by a message, registered from forge-7',
  version: 1,
  runningVersion: 1,
  spawnId,
  host,
  runnerId: 'builder-1@forge-7',
  runnerVersion: '0.1.0',
  failures: 0,
  restarts: 0,
  crashes: 0,
  backoffUntil: null,
  limitedUntil: null,
  deadlineAt: null,
  lastError: null,
  stuck: null,
  startedAt: AT + 2 * SECOND,
  healthySince: AT + 4 * SECOND,
  stoppedAt: null,
  sinceAt: AT + 4 * SECOND,
  updatedAt: AT + 4 * SECOND,
};
