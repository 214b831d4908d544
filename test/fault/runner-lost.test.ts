// A runner that dies or hangs with the work of a task in hand: it begins elsewhere long before its lease is over, and whoever was only
// frozen finds that it has lost it. Real processes under their own broker users, so that the broker itself tells of their connections.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#libs/system/clock.ts';
import { dispatch } from '#services/dispatch/service.ts';
import { runs } from '#services/runs/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { accountsOf, runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { runnerFolders, script } from '#test/support/runner-rig.ts';
import type { RunnerProcessArguments } from '#test/support/runner-process.ts';
import { history, transition } from '#test/support/scripted-runner.ts';
import { askTasks, createTask, taskEvent } from '#test/support/task-facts.ts';

const PROGRAM = new URL('../support/runner-process.ts', import.meta.url).pathname;
const AGENTS = ['a1', 'a2'] as const;
/** What it would take if nobody noticed. */
const LEASE_MS = 60_000;
/** The last word of one that does nothing counts three times as long: longer than a test may take. */
const IDLE_ANNOUNCE_MS = 60_000;
/** A sixth of it: the machine of the tests may be busy. */
const SOON_MS = 10_000;

let broker: FreshBroker;
let control: ControlPlane;
const runners = new Map<string, ChildProcess>();

const startRunner = async (agent: string): Promise<void> => {
  const parameters: RunnerProcessArguments = {
    broker: { url: broker.url, user: runnerUser(agent), password: 'secret' },
    folders: runnerFolders(),
    config: { agent, announceMs: IDLE_ANNOUNCE_MS },
    inboxPrefix: runnerInboxPrefix(agent),
  };
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(parameters)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  runners.set(agent, child);
  for await (const line of createInterface(child.stdout)) if (line === 'up') return;
  throw new Error(`the runner of ${agent} did not come up`);
};

beforeAll(async () => {
  const secrets = { systemPassword: 'system', controlPassword: 'control', viewerPassword: 'viewer' };
  const runnerPasswords = Object.fromEntries(AGENTS.map((agent) => [agent, 'secret']));
  const agents = AGENTS.map((agent) => ({ ...BOUNDARY, agent }));
  broker = await freshBroker({ accounts: accountsOf({ agents }, { ...secrets, runnerPasswords }) });
  await provision(broker, AGENTS);
  control = await startControlPlane({ broker, services: [runs, tasks, dispatch] });
  await Promise.all(AGENTS.map(startRunner));
}, 60_000);
const endRunners = async (): Promise<void> => {
  for (const child of runners.values()) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  runners.clear();
};
afterAll(async () => {
  await endRunners();
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

/** A task that is being done. Gives who does it. */
const working = async (queue: string): Promise<{ readonly taskId: string; readonly agent: string }> => {
  const request = script({ say: 'working' }, { sleepMs: 600_000 });
  const taskId = await createTask(control.ports, { queue, leaseMs: LEASE_MS, request, maxAttempts: 5 });
  const { runId, agent } = await taskEvent(control.ports, taskId, 'fleetlog.task.assigned.v1');
  await transition(control.ports, runId, 'fleetlog.run.turn-started.v1');
  return { taskId, agent };
};

/** When the next attempt was claimed, ms after `sinceMs`, and by whom. */
const nextClaim = async (taskId: string, sinceMs: number) => {
  const { runId, agent } = await taskEvent(control.ports, taskId, 'fleetlog.task.assigned.v1', 2);
  const { claimedAt } = await transition(control.ports, runId, 'fleetlog.run.claimed.v1');
  return { tookMs: claimedAt - sinceMs, agent, runId };
};

const cancel = async (taskId: string): Promise<void> => {
  const request = { taskId, requestId: 'over', reason: 'the test is over', actor: 'user:test' };
  await askTasks(control.ports, 'cancel', request);
  await taskEvent(control.ports, taskId, 'fleetlog.task.cancelled.v1');
};

test('WK-55 WK-79 HR-50 what a killed runner had in hand begins elsewhere as soon as the broker has seen it go', async () => {
  const { taskId, agent } = await working('kill');
  const killedAt = systemClock.now();
  runners.get(agent)?.kill('SIGKILL');
  const next = await nextClaim(taskId, killedAt);
  expect(next.agent).not.toBe(agent);
  expect(next.tookMs).toBeLessThan(SOON_MS);
  await cancel(taskId);
  await startRunner(agent);
}, 60_000);

test('WK-55 WK-79 HR-50 what a frozen runner had in hand begins elsewhere, and it finds that it has lost it', async () => {
  const { taskId, agent } = await working('hang');
  const first = await taskEvent(control.ports, taskId, 'fleetlog.task.assigned.v1');
  const frozenAt = systemClock.now();
  const frozen = runners.get(agent);
  frozen?.kill('SIGSTOP');
  const next = await nextClaim(taskId, frozenAt);
  expect(next.agent).not.toBe(agent);
  expect(next.tookMs).toBeLessThan(SOON_MS);
  frozen?.kill('SIGCONT');
  // It goes on as if nothing had happened, and takes what comes next.
  const other = await createTask(control.ports, { queue: 'hang-2', agent, request: script({ say: 'back' }) });
  await taskEvent(control.ports, other, 'fleetlog.task.completed.v1');
  const types = (await history(control.ports, first.runId)).map(({ type }) => type);
  expect(types.filter((type) => /completed|failed|lease-expired/.test(type))).toEqual([
    'fleetlog.run.lease-expired.v1',
  ]);
  await cancel(taskId);
}, 60_000);

test('what is asked for when a runner that does nothing was killed is done by the other, although its last word counts yet', async () => {
  runners.get('a1')?.kill('SIGKILL');
  // It looks as free as the other one until the broker's word has come.
  const request = script({ say: 'done' });
  const asked = ['one', 'two'].map((queue) => createTask(control.ports, { queue, request }));
  for (const taskId of await Promise.all(asked))
    await taskEvent(control.ports, taskId, 'fleetlog.task.completed.v1');
}, 60_000);
