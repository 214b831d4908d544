// What people do to a simulated fleet: they order tasks and runs, some of them twice or under a key, tell runs things, change their minds, answer
// questions first, late or against one another, do what has ended once more, and write down what they know of sessions.
import { createReceipts } from '#services/gateway/receipts.ts';
import { makeId } from '#streams/ids.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import type { RunEvent } from '#streams/run.ts';
import type { TaskRequestOf } from '#streams/task-requests.ts';
import { BOUNDARY } from './control-plane.ts';
import { createMortalPorts } from './mortal-ports.ts';
import { askRuns, askSessions, askTasksUntilAnswered } from './simulated-asking.ts';
import { below, isLucky, oneOf, pause, persist, type World } from './simulated-world.ts';

const LEASE_MS = 4000;
const actor = 'user:test';
const request = { prompt: 'work', turnTimeoutMs: 60_000 };

const taskOrder = (world: World): TaskRequestOf<'create'> => ({
  taskId: makeId('task', world.ids.ulid()),
  queue: isLucky(world, 0.6) ? 'q1' : 'q2',
  lane: 'main',
  priority: below(world, 2),
  title: null,
  provider: isLucky(world, 0.25) ? 'claude' : 'exec',
  agent: isLucky(world, 0.15) ? 'a2' : null,
  labels: isLucky(world, 0.2) ? ['gpu'] : [],
  sessionId: null,
  request,
  replay: isLucky(world, 0.8) ? 'requeue' : 'fail',
  maxAttempts: 1 + below(world, 3),
  leaseMs: LEASE_MS,
  references: [],
  metadata: {},
  actor,
});

/** A task, and what people make of it. */
const orderTask = async (world: World): Promise<void> => {
  const order = taskOrder(world);
  const { taskId } = order;
  await askTasksUntilAnswered(world, 'create', order);
  // As by a client that lost its answer, or that is mistaken.
  if (isLucky(world, 0.2)) await askTasksUntilAnswered(world, 'create', order);
  if (isLucky(world, 0.1)) await askTasksUntilAnswered(world, 'create', { ...order, priority: 7 });
  await pause(world, isLucky(world, 0.4) ? 300 : 5000);
  const changesMind = world.ids.random();
  if (changesMind < 0.25)
    await askTasksUntilAnswered(world, 'cancel', {
      taskId,
      requestId: world.ids.ulid(),
      reason: 'chaos',
      actor,
    });
  else if (changesMind < 0.55) {
    await pause(world, 6000);
    await askTasksUntilAnswered(world, 'retry', { taskId, requestId: world.ids.ulid(), actor });
  }
};

const runOrder = (world: World): RunRequestOf<'create'> => ({
  runId: makeId('run', world.ids.ulid()),
  sessionId: makeId('session', world.ids.ulid()),
  mayOpenSession: true,
  agent: isLucky(world, 0.5) ? 'a1' : 'a2',
  provider: 'exec',
  title: null,
  request: { ...request, ...(isLucky(world, 0.2) && { approvals: oneOf(world, RULES) }) },
  replay: isLucky(world, 0.8) ? 'requeue' : 'fail',
  maxAttempts: 1 + below(world, 3),
  leaseMs: LEASE_MS,
  startedBy: actor,
  actor,
});

/** Who has to allow the calls of a run. */
const RULES = [{ approvers: 2 }, { role: 'lead' }, { fourEyes: true }] as const;

/** Something that a run may be told. */
const SAYINGS: readonly ((world: World, runId: string) => Promise<unknown>)[] = [
  (world, runId) => command(world, runId, { type: 'turn', text: 'and then this' }),
  (world, runId) => command(world, runId, { type: 'steer', text: 'not so fast' }),
  (world, runId) => command(world, runId, { type: 'steer', text: 'or not at all', otherwise: 'fail' }),
  (world, runId) => command(world, runId, { type: 'interrupt', reason: 'enough' }),
  (world, runId) => command(world, runId, { type: 'interrupt', text: 'this instead' }),
  (world, runId) => askRuns(world, 'cancel', { runId, reason: 'chaos', actor }),
  (world, runId) => askRuns(world, 'unstick', { runId, fix: isLucky(world, 0.7), actor }),
];

type Said = Pick<RunRequestOf<'create-command'>, 'type' | 'text' | 'reason' | 'otherwise'>;

/** Says it, once more now and then, and now and then something else under the same key; or takes it back. */
const command = async (world: World, runId: string, said: Said): Promise<void> => {
  const commandId = makeId('command', world.ids.ulid());
  const order = { runId, commandId, key: commandId, ...said, actor };
  await askRuns(world, 'create-command', order);
  if (isLucky(world, 0.2)) await askRuns(world, 'create-command', order);
  if (isLucky(world, 0.1))
    await askRuns(world, 'create-command', {
      runId,
      commandId,
      key: commandId,
      actor,
      type: 'turn',
      text: 'another thing',
    });
  if (isLucky(world, 0.25)) await askRuns(world, 'cancel-command', { runId, commandId, reason: 'no', actor });
};

/** A run, what it is told, and the same once more when it has ended. */
const orderRun = async (world: World): Promise<void> => {
  const order = runOrder(world);
  const { runId } = order;
  await askRuns(world, 'create', order);
  if (isLucky(world, 0.2)) await askRuns(world, 'create', order);
  if (isLucky(world, 0.1)) await askRuns(world, 'create', { ...order, maxAttempts: 9 });
  for (let times = below(world, 4); times > 0; times -= 1) {
    await pause(world, 3000);
    await oneOf(world, SAYINGS)(world, runId);
  }
  if (!isLucky(world, 0.3)) return;
  await pause(world, 8000);
  const again = { runId, newRunId: makeId('run', world.ids.ulid()), actor };
  await askRuns(world, 'retry', again);
  if (isLucky(world, 0.3)) await askRuns(world, 'retry', again);
};

/** A run under an idempotency key, by a gateway that dies in one of its calls and by another one that is asked again. */
const orderUnderKey = async (world: World, faults: string[]): Promise<void> => {
  const asked = {
    key: world.ids.ulid(),
    method: 'POST',
    path: '/api/v1/runs',
    body: { prompt: 'work' },
    by: actor,
  };
  const order = runOrder(world);
  const defaults = { agent: 'a1', turnTimeoutMs: 60_000, leaseMs: LEASE_MS, maxAttempts: 3 };
  const gateway = (ports: World['ports']) =>
    createReceipts({
      bucket: ports.bucket('receipts'),
      boundary: BOUNDARY,
      clock: ports.clock,
      ttlMs: 3_600_000,
      withinMs: 60_000,
      defaults,
      onTrouble: () => undefined,
    });
  // What it says differs with each try: only a receipt gives the first words again.
  let tries = 0;
  const once = (ports: World['ports']) =>
    gateway(ports).once(asked, async () => {
      tries += 1;
      const words = String(tries);
      await askRuns({ ...world, ports }, 'create', order);
      return { status: 201, body: words, location: null };
    });
  const mortal = createMortalPorts(world.ports);
  if (isLucky(world, 0.5)) {
    mortal.dieIn(1 + below(world, 4), isLucky(world, 0.5) ? 'before' : 'after', (call) =>
      world.reach.note('crash', `gateway ${call}`),
    );
    once(mortal.ports).catch(() => undefined);
    await pause(world, 2000);
    mortal.kill();
  }
  const first = await persist(world, () => once(world.ports));
  await pause(world, 4000);
  const again = await persist(world, () => once(world.ports));
  // A receipt whose answer could not be written is asked for again: then it is the same run all the same.
  if ('refused' in first || 'refused' in again) faults.push(`key ${asked.key}: a repeat was refused`);
  else if (again.isRepeated && first.isRepeated && again.body !== first.body)
    faults.push(`key ${asked.key}: ${first.body}, then ${again.body}`);
  const other = await persist(world, () =>
    gateway(world.ports).once({ ...asked, body: { prompt: 'other' } }, () => {
      faults.push(`key ${asked.key}: another request was done under it`);
      return Promise.resolve({ status: 201, body: '', location: null });
    }),
  );
  if ('refused' in other) world.reach.note('refusal', other.refused.code);
  else faults.push(`key ${asked.key}: another request was answered under it`);
};

/** What is known of a session: it may be told before and after its runs, and by several. */
const tellOfSession = async (world: World): Promise<void> => {
  const order = runOrder(world);
  const { sessionId, agent, provider } = order;
  const asker = () => ({ requestId: world.ids.ulid(), actor });
  if (isLucky(world, 0.5))
    await askSessions(world, 'upsert', {
      sessionId,
      agent,
      provider,
      details: { title: 'mine' },
      ...asker(),
    });
  await askRuns(world, 'create', order);
  const storage = { kind: 'disk', name: 's1', bytes: 1, files: 1, sha256: null };
  await askSessions(world, 'store', { sessionId, storage, ...asker() });
  await pause(world, 3000);
  await askSessions(world, 'evict', {
    sessionId,
    name: isLucky(world, 0.8) ? 's1' : 's0',
    reason: 'full',
    ...asker(),
  });
  const details = { expiresAt: world.clock.now() + below(world, 10_000) };
  await askSessions(world, 'upsert', {
    sessionId,
    agent: oneOf(world, ['a1', 'a2']),
    provider,
    details,
    ...asker(),
  });
};

/** What people do, by how likely it is; with a rush nearly everything is a task, and nobody waits for anybody. */
const beginErrand = (
  world: World,
  {
    isRush,
    hasSessions,
    faults,
  }: { readonly isRush: boolean; readonly hasSessions: boolean; readonly faults: string[] },
): Promise<void> => {
  const chance = world.ids.random();
  if (chance < (isRush ? 0.9 : 0.4)) return orderTask(world);
  if (chance < 0.92) return isRush || chance < 0.82 ? orderRun(world) : orderUnderKey(world, faults);
  return hasSessions ? tellOfSession(world) : orderRun(world);
};

/** Does so many things, one after another and at the same time. Gives what was wrong about the answers. */
export const liveAmongThem = async (
  world: World,
  count: number,
  { hasSessions }: { readonly hasSessions: boolean },
): Promise<readonly string[]> => {
  const faults: string[] = [];
  const errands: Promise<void>[] = [];
  const isRush = isLucky(world, 0.4);
  for (let left = isRush ? 2 * count : count; left > 0; left -= 1) {
    errands.push(beginErrand(world, { isRush, hasSessions, faults }));
    await pause(world, isRush ? 200 : 2000);
  }
  await Promise.all(errands);
  return faults;
};

type Asked = Extract<RunEvent, { readonly type: 'fleetlog.run.approval-asked.v1' }>;

/** Answers a question: at once, late, twice, or not at all. */
export const answerQuestion = async (world: World, { runId, approvalId, digest }: Asked): Promise<void> => {
  if (isLucky(world, 0.25)) return;
  for (let times = isLucky(world, 0.4) ? 3 : 1; times > 0; times -= 1) {
    await pause(world, 3000);
    const decision = oneOf(world, ['approve', 'reject', 'edit'] as const);
    await askRuns(world, 'answer-approval', {
      runId,
      approvalId,
      answerId: world.ids.ulid(),
      decision,
      ...(decision === 'edit' && { input: { command: 'make less' } }),
      digest: isLucky(world, 0.9) ? digest : 'e'.repeat(64),
      actor: oneOf(world, ['user:test', 'user:other', 'user:third']),
      roles: isLucky(world, 0.5) ? ['lead'] : [],
      isKnown: isLucky(world, 0.8),
    });
  }
};
