// The policy aggregate on the wire: a wanted agent, its configuration in versions, and its life. The rules are in
// services/lifecycle/policy.decider.ts; hosts do what the instructions (host-instructions.ts) say that follow from `starting` and `stopping`.
import { z } from 'zod';
import { HOST_ENDS } from './host-reports.ts';
import { nameSchema, spawnIdSchema } from './ids.ts';
import { FAILURE_CAUSES, RESTART_CAUSES, START_CAUSES, STOP_CAUSES, WAIT_CODES } from './policy-causes.ts';
import { policyConfigSchema } from './policy-config.ts';

const epochMs = z.int().nonnegative();
const count = z.int().nonnegative();
const text = z.string().max(500);

const about = { policy: nameSchema, decidedAt: epochMs };
const asked = { ...about, reason: text };
/** One start for good. */
const ofSpawn = { ...about, spawnId: spawnIdSchema, agent: nameSchema, host: nameSchema };

const applied = z.object({
  type: z.literal('fleetlog.policy.applied.v1'),
  ...about,
  /** From 1, without gaps; what a writer has seen is what it may overwrite. */
  version: z.int().positive(),
  config: policyConfigSchema,
  /** Fields that differ from the version before. */
  changed: z.array(z.string().max(64)).max(64),
  /** The earlier version that this one repeats; null: it repeats none. */
  rolledBackTo: z.int().positive().nullable(),
  note: text.nullable(),
});
const removed = z.object({
  type: z.literal('fleetlog.policy.removed.v1'),
  ...asked,
  version: z.int().positive(),
});

const startAsked = z.object({ type: z.literal('fleetlog.policy.start-asked.v1'), ...asked });
const stopAsked = z.object({ type: z.literal('fleetlog.policy.stop-asked.v1'), ...asked });
const restartAsked = z.object({
  type: z.literal('fleetlog.policy.restart-asked.v1'),
  ...asked,
  cause: z.enum(RESTART_CAUSES),
  /** It is done when the agent has been idle for so long; 0: at once. */
  idleMs: count,
});
const paused = z.object({ type: z.literal('fleetlog.policy.paused.v1'), ...asked });
const resumed = z.object({ type: z.literal('fleetlog.policy.resumed.v1'), ...asked });
const reset = z.object({ type: z.literal('fleetlog.policy.reset.v1'), ...asked });

const waiting = z.object({
  type: z.literal('fleetlog.policy.waiting-for-host.v1'),
  ...about,
  code: z.enum(WAIT_CODES),
  message: text,
});
const starting = z.object({
  type: z.literal('fleetlog.policy.starting.v1'),
  ...ofSpawn,
  /** Of the configuration that it is started with. */
  version: z.int().positive(),
  cause: z.enum(START_CAUSES),
  /** The time of its calendar that it is started for. */
  scheduledFor: epochMs.nullable(),
  /** By when its runner has to have announced itself. */
  deadlineAt: epochMs,
});
const running = z.object({
  type: z.literal('fleetlog.policy.running.v1'),
  ...ofSpawn,
  runnerId: z.string().max(128),
  /** It runs the version of Fleetlog that its runner said. */
  runnerVersion: z.string().max(64),
});
const healthy = z.object({
  type: z.literal('fleetlog.policy.healthy.v1'),
  ...ofSpawn,
  /** Failures that are forgotten. */
  failures: count,
});
/** What was seen of a turn that does not go on. */
export const stuckEvidenceSchema = z.object({
  kind: z.enum(['silent', 'looping', 'waiting']),
  runId: z.string().max(64).nullable(),
  turnId: z.string().max(64).nullable(),
  sinceAt: epochMs,
  detail: text,
});
const stuck = z.object({
  type: z.literal('fleetlog.policy.stuck.v1'),
  ...ofSpawn,
  /** `report`: it waits for a person, and nothing is done to it. */
  step: z.enum(['report', 'nudge', 'interrupt']),
  evidence: stuckEvidenceSchema,
  /** When the next step is due if nothing has changed. */
  nextAt: epochMs,
});
const unstuck = z.object({
  type: z.literal('fleetlog.policy.unstuck.v1'),
  ...ofSpawn,
  /** The turn that was stuck. */
  turnId: z.string().max(64).nullable(),
});
const stopping = z.object({
  type: z.literal('fleetlog.policy.stopping.v1'),
  ...ofSpawn,
  cause: z.enum(STOP_CAUSES),
  reason: text,
  isGraceful: z.boolean(),
  timeoutMs: count,
  /** Started again when it has stopped. */
  isRestart: z.boolean(),
  /** By when it has to be gone. */
  deadlineAt: epochMs,
  /** Mail to the policy up to this sequence of MESSAGES does not wake it any more. */
  settledSeq: count,
  /** Of cause `limit`: not started before. */
  limitedUntil: epochMs.nullable(),
  /** Of cause `stuck`. */
  evidence: stuckEvidenceSchema.nullable(),
});
const stopEscalated = z.object({
  type: z.literal('fleetlog.policy.stop-escalated.v1'),
  ...ofSpawn,
  /** From 1; from the first on it is killed without asking. */
  tries: z.int().positive(),
  deadlineAt: epochMs,
});
const stopped = z.object({
  type: z.literal('fleetlog.policy.stopped.v1'),
  ...about,
  /** The start that has ended; null: none was under way. */
  spawnId: spawnIdSchema.nullable(),
  /** `host-stopped`, `broker-moved`: its host ended it of its own accord; it is wanted as before. */
  how: z.enum(['exited', 'vanished', 'refused', 'not-wanted', ...HOST_ENDS]),
  exitCode: z.int().nullable(),
  signal: z.string().max(32).nullable(),
  settledSeq: count,
});
const failure = {
  ...about,
  spawnId: spawnIdSchema,
  host: nameSchema,
  cause: z.enum(FAILURE_CAUSES),
  code: z.string().max(64),
  message: z.string().max(2000),
  /** In a row, this one included. */
  failures: z.int().positive(),
};
const backoff = z.object({
  type: z.literal('fleetlog.policy.backoff.v1'),
  ...failure,
  delayMs: count,
  until: epochMs,
});
const failed = z.object({
  type: z.literal('fleetlog.policy.failed.v1'),
  ...failure,
  /** Crashes within this time before it. */
  windowMs: count,
});
const stray = z.object({
  type: z.literal('fleetlog.policy.stray-found.v1'),
  ...ofSpawn,
});

/** Every event that was ever appended to a policy's subject. Unknown keys are dropped at reading: changes are additive. */
export const policyEventSchema = z.discriminatedUnion('type', [
  applied,
  removed,
  startAsked,
  stopAsked,
  restartAsked,
  paused,
  resumed,
  reset,
  waiting,
  starting,
  running,
  healthy,
  stuck,
  unstuck,
  stopping,
  stopEscalated,
  stopped,
  backoff,
  failed,
  stray,
]);
export type PolicyEvent = z.infer<typeof policyEventSchema>;
export type PolicyEventType = PolicyEvent['type'];
export type StuckEvidence = z.infer<typeof stuckEvidenceSchema>;

/** What each event means, for the catalogue. */
export const POLICY_EVENT_MEANS: Readonly<Record<PolicyEventType, string>> = {
  'fleetlog.policy.applied.v1':
    'A version of the configuration; holds all of it. A start takes the newest one.',
  'fleetlog.policy.removed.v1':
    'The policy is given up; its agent is stopped. Applying it again brings it back.',
  'fleetlog.policy.start-asked.v1': 'A person wants the agent to run, whatever was asked before.',
  'fleetlog.policy.stop-asked.v1':
    'A person wants the agent to be stopped; it stays so until a start is asked.',
  'fleetlog.policy.restart-asked.v1':
    'The agent is to be started anew once it is idle enough; done with the next `running`.',
  'fleetlog.policy.paused.v1': 'The policy is set aside: its agent is stopped, nothing starts it.',
  'fleetlog.policy.resumed.v1': 'The policy counts again.',
  'fleetlog.policy.reset.v1': 'A person closed the breaker, or ended a wait: failures are forgotten.',
  'fleetlog.policy.waiting-for-host.v1':
    'It is wanted and no host takes it; no failure. A host that changes wakes it.',
  'fleetlog.policy.starting.v1': 'A host is told to start its runner; one start has one spawn id for good.',
  'fleetlog.policy.running.v1': 'The runner of this start has announced itself.',
  'fleetlog.policy.healthy.v1': 'It has run long enough: earlier failures are forgotten.',
  'fleetlog.policy.stuck.v1': 'A turn does not go on; the evidence and what is done about it.',
  'fleetlog.policy.unstuck.v1': 'The turn goes on again, or is over: the steps begin anew with the next one.',
  'fleetlog.policy.stopping.v1': 'Its host is told to end it; the cause says why, `isRestart` what follows.',
  'fleetlog.policy.stop-escalated.v1': 'It was not gone in time; its host is told to kill it.',
  'fleetlog.policy.stopped.v1': 'It is not running and not wanted, or about to be started anew.',
  'fleetlog.policy.backoff.v1': 'A start or an agent failed; it is tried again at `until`, not before.',
  'fleetlog.policy.failed.v1': 'It failed too often within the window of its limits. Only a reset leads out.',
  'fleetlog.policy.stray-found.v1': 'A runner of an earlier start is alive; its host is told to end it.',
};
