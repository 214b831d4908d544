// The processes that own tasks and hand them over, killed again and again in the middle of it, on a real broker: each kill comes right
// behind a grant on the log, so before its runs, its answers or the next decision. Nothing is lost and nothing is done twice.
import { expect, test } from 'vitest';
import type { Ports } from '#libs/service/context.ts';
import { toFault } from '#libs/kernel/fault.ts';
import { systemIds } from '#libs/system/ids.ts';
import { runs } from '#services/runs/service.ts';
import { runnerConsumerName } from '#streams/consumers.ts';
import { makeId } from '#streams/ids.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { freshBroker, type TestBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane } from '#test/support/control-plane.ts';
import { ask, claimTurn } from '#test/support/scripted-runner.ts';
import { startFile, type StartedFile } from '#test/support/spawned-process.ts';
import { createTask, taskEvent } from '#test/support/task-facts.ts';
import { judgeTasks } from '#test/support/task-verdict.ts';

const AGENTS = ['d1', 'd2', 'd3'];
const TASKS = 24;
/** Every second grant is followed by one; with so few slots there are at least twice as many. */
const KILLS = 3;

const startProcess = (broker: TestBroker, services: readonly string[]): StartedFile =>
  startFile(
    'services/main.mjs',
    {
      FLEETLOG_NATS_URL: broker.url,
      FLEETLOG_NATS_USER: broker.user,
      FLEETLOG_NATS_PASSWORD: broker.password,
      FLEETLOG_HEALTH_PORT: '0',
      FLEETLOG_DISPATCH_FLEET_LIMIT: '4',
      FLEETLOG_DISPATCH_QUEUE_LIMITS: 'fix=3',
      // A killed process leaves its requests unanswered.
      FLEETLOG_DISPATCH_REQUEST_TIMEOUT_MS: '1000',
      FLEETLOG_TASKS_REQUEST_TIMEOUT_MS: '1000',
    },
    [...services],
  );

/** Does every turn that its agent is given, until the signal aborts. */
const work = async (ports: Ports, agent: string, signal: AbortSignal): Promise<void> => {
  const facts = { providers: ['exec' as const], version: '1', startedAt: 1, buffered: 0, slots: 2 };
  await ask(ports, 'announce', { runnerId: `${agent}-r`, ...facts, ttlMs: 600_000 }, agent);
  const queue = ports.queue('COMMANDS', runnerConsumerName(BOUNDARY, agent));
  for await (const batch of queue.batches({ max: 4, signal }))
    for (const delivery of batch) {
      const reading = decodeInstruction(delivery.entry);
      if (reading.kind === 'known' && reading.name === 'turn')
        await (await claimTurn(ports, reading.data, `${agent}-r`)).finished();
      delivery.ack();
    }
};

/** Resolves each time when so many grants are on the log. */
const grants = async function* (ports: Ports, signal: AbortSignal): AsyncGenerator<number> {
  const subjects = [aggregateFilter('admission')];
  for await (const { seq } of ports.log('TRANSITIONS').replay({ subjects, follow: true, signal })) yield seq;
};

/** Asks under one id until it is answered: whoever has the request in hand may be the next to be killed. */
const createSurely = async (ports: Ports, at: number): Promise<string> => {
  const order = {
    taskId: makeId('task', systemIds.ulid()),
    queue: at % 2 === 0 ? 'fix' : 'docs',
    priority: at % 3,
  };
  for (;;) {
    try {
      return await createTask(ports, order);
    } catch (error) {
      if (toFault(error).code !== 'REQUEST_UNANSWERED') throw error;
    }
  }
};

test('WK-30 WK-31 WK-33 a dispatcher that is killed at any point loses nothing and hands nothing over twice', async () => {
  await using broker = await freshBroker();
  await provision(broker, AGENTS);
  await using plane = await startControlPlane({ broker, services: [runs] });
  const { ports } = plane;
  const ending = new AbortController();
  const runners = AGENTS.map((agent) => work(ports, agent, ending.signal));
  // Two of them at once, so that a grant may also be refused because the other one was faster.
  const services = ['tasks', 'dispatch'];
  let victim = startProcess(broker, services);
  const other = startProcess(broker, services);
  try {
    await Promise.all([victim, other].map((child) => child.stderr.until(/dispatch has caught up/)));
    const taskIds = Promise.all(Array.from({ length: TASKS }, (_, at) => createSurely(ports, at)));
    let seen = 0;
    for await (const _ of grants(ports, ending.signal)) {
      seen += 1;
      if (seen % 2 !== 0) continue;
      victim.kill('SIGKILL');
      await victim.exit;
      victim = startProcess(broker, services);
      if (seen / 2 === KILLS) break;
    }
    await Promise.all(
      (await taskIds).map((taskId) => taskEvent(ports, taskId, 'fleetlog.task.completed.v1')),
    );
    const limits = { fleet: 4, queues: { fix: 3 }, agents: { d1: 2, d2: 2, d3: 2 } };
    const { faults, states } = await judgeTasks(ports, { limits, withoutSummaries: true });
    expect(faults).toEqual([]);
    expect(states).toEqual(Array.from({ length: TASKS }, () => 'completed'));
    expect(plane.fatal).toEqual([]);
  } finally {
    ending.abort();
    for (const child of [victim, other]) {
      child.kill('SIGKILL');
      await child.exit;
    }
    await Promise.allSettled(runners);
  }
}, 120_000);
