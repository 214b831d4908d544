// A host that is killed (kill -9) at every step of a start and a stop of a runner, or whose broker is at each of them, and runners that die:
// no runner is started twice, none is forgotten, each that was started is reported to have ended exactly once, and no number is missing.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { HOST_STEPS, type HostStep } from '#services/host/supervisor-parts.ts';
import { systemClock } from '#libs/system/clock.ts';
import { createHostsService } from '#services/hosts/service.ts';
import type { SpawnInstruction } from '#streams/host-instructions.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import type { HostProcessArguments } from '#test/support/host-process.ts';
import {
  hostFolders,
  hostReported,
  hostReports,
  provisionHosts,
  shutDown,
  spawnAgent,
  startHost,
  type HostFolders,
} from '#test/support/host-rig.ts';

const PROGRAM = new URL('../support/host-process.ts', import.meta.url).pathname;

let broker: FreshBroker;
let control: ControlPlane;
/** One host follows another on the same folders, as on a real machine. */
let folders: HostFolders;
const running = new Set<ChildProcess>();
const spawned: SpawnInstruction[] = [];

beforeAll(async () => {
  broker = await freshBroker();
  await provisionHosts(broker, undefined, { ackWaitMs: 400 });
  control = await startControlPlane({ broker, services: [createHostsService({ version: 'test' })] });
  folders = hostFolders(['parent', 'calm', 'next']);
});
afterAll(async () => {
  for (const child of running) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  for (const { spawnId } of spawned)
    for (const pid of await findMarked(`FLEETLOG_SPAWN=${spawnId}`)) process.kill(pid, 'SIGKILL');
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const start = (): ChildProcess => {
  const { url, user, password } = broker;
  const told: HostProcessArguments = { broker: { url, user, password }, folders };
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(told)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  running.add(child);
  child.on('exit', () => running.delete(child));
  return child;
};

/** Resolves when the host has said the word. */
const said = async (child: ChildProcess, word: string): Promise<ChildProcess> => {
  if (child.stdout === null) throw new Error('no standard output');
  for await (const line of createInterface({ input: child.stdout })) if (line === word) return child;
  throw new Error(`the host ended before it said ${word}`);
};
const up = (child: ChildProcess): Promise<ChildProcess> => said(child, 'up');

/** The host dies when it comes to the step: it knows before it can be told anything that leads there. */
const arm = async (child: ChildProcess, step: HostStep): Promise<void> => {
  const armed = said(child, 'armed');
  child.stdin?.write(`${step}\n`);
  await armed;
};

/** The host that the test before has left. */
let host: ChildProcess | undefined;
const current = async (): Promise<ChildProcess> => {
  host ??= await up(start());
  return host;
};

const newSpawn = async (agent: string, more: Partial<SpawnInstruction> = {}): Promise<SpawnInstruction> => {
  const made = await spawnAgent(control.ports, agent, more);
  spawned.push(made);
  return made;
};

/** The names of the reports about a spawn, and whether anything of it is left. */
const outcomeOf = async ({ spawnId, host: on }: SpawnInstruction) => {
  const { reports, numbers } = await hostReports(control.ports, on);
  // Gapless, each once.
  expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((_, at) => at + 1));
  return {
    told: reports.filter(({ data }) => data.spawnId === spawnId).map(({ name }) => name),
    left: (await findMarked(`FLEETLOG_SPAWN=${spawnId}`)).length,
  };
};

/** How it came out: started, or refused because nobody can know that it was not. */
const settled = ({ spawnId }: SpawnInstruction): Promise<'started' | 'refused'> =>
  Promise.race([
    hostReported(control.ports, 'spawn-started', spawnId).then(() => 'started' as const),
    hostReported(control.ports, 'spawn-refused', spawnId).then(() => 'refused' as const),
  ]);

describe('WK-64 WK-65 kill -9 of the host', () => {
  test.each(HOST_STEPS)('at %s: one start at most, one end, nothing left', async (crashAt) => {
    const first = await current();
    const isOfStart = HOST_STEPS.indexOf(crashAt) <= HOST_STEPS.indexOf('spawn-reported');
    if (isOfStart) await arm(first, crashAt);
    const agent = await newSpawn('parent');
    if (!isOfStart) {
      await hostReported(control.ports, 'spawn-started', agent.spawnId);
      await arm(first, crashAt);
      await shutDown(control.ports, agent, { timeoutMs: 2000 });
    }
    if (first.exitCode === null && first.signalCode === null) await once(first, 'exit');
    expect(first.signalCode).toBe('SIGKILL');
    host = await up(start());
    const came = await settled(agent);
    if (came === 'refused') {
      // Where it cannot know whether the process was there, it does not start another one under the same id.
      expect(crashAt).toBe('spawn-intended');
      expect(await outcomeOf(agent)).toEqual({ told: ['spawn-refused'], left: 0 });
      return;
    }
    if (isOfStart) await shutDown(control.ports, agent, { timeoutMs: 2000 });
    await hostReported(control.ports, 'agent-exited', agent.spawnId);
    expect(await outcomeOf(agent)).toEqual({ told: ['spawn-started', 'agent-exited'], left: 0 });
  });
});

test('WK-75 a host that was killed takes its runner over, sees it end, and does nothing whose time is over', async () => {
  const first = await current();
  const agent = await newSpawn('calm');
  const { pid } = await hostReported(control.ports, 'spawn-started', agent.spawnId);
  first.kill('SIGKILL');
  await once(first, 'exit');
  // Told while nobody is there, and over before anybody is.
  const late = await newSpawn('parent', { deadlineAt: systemClock.now() + 100 });
  await systemClock.sleep(101);
  host = await up(start());
  process.kill(pid, 'SIGKILL');
  await expect(hostReported(control.ports, 'agent-exited', agent.spawnId)).resolves.toMatchObject({
    pid,
    wasAsked: false,
    // Nobody who may ask the system saw how it ended.
    exitCode: null,
    signal: null,
  });
  await expect(hostReported(control.ports, 'spawn-refused', late.spawnId)).resolves.toMatchObject({
    code: 'COMMAND_EXPIRED',
  });
  expect(await outcomeOf(late)).toEqual({ told: ['spawn-refused'], left: 0 });
});

test('runners outlive a host that stops in order, and the next one has them', async () => {
  const first = await current();
  const agent = await newSpawn('calm');
  await hostReported(control.ports, 'spawn-started', agent.spawnId);
  first.stdin?.end();
  await once(first, 'exit');
  expect(first.exitCode).toBe(0);
  expect((await outcomeOf(agent)).left).toBe(1);
  host = await up(start());
  await shutDown(control.ports, agent);
  await hostReported(control.ports, 'agent-exited', agent.spawnId);
  expect(await outcomeOf(agent)).toEqual({ told: ['spawn-started', 'agent-exited'], left: 0 });
});

/** The steps of a start, each with one of a stop: a broker that is killed at both. */
const OF_START = HOST_STEPS.slice(0, HOST_STEPS.indexOf('spawn-reported') + 1);
const OF_STOP = HOST_STEPS.slice(OF_START.length);
const BROKER_STEPS = OF_STOP.map(
  (step, at) => [OF_START[at % OF_START.length] ?? 'spawn-taken', step] as const,
);

describe('WK-64 WK-65 kill -9 of the broker', () => {
  let step: HostStep | undefined;
  let inProcess: ControlPlane;

  beforeAll(async () => {
    (await current()).kill('SIGKILL');
    await provisionHosts(broker, ['other'], { ackWaitMs: 400 });
    inProcess = await startHost({
      broker,
      folders: hostFolders(['next']),
      config: { name: 'other', onStop: 'end' },
      reached: async (reached) => {
        if (reached !== step) return;
        step = undefined;
        await broker.kill();
        await broker.restart();
      },
    });
  });
  afterAll(async () => {
    expect(inProcess.fatal).toEqual([]);
    await inProcess.stop();
  });

  test.each(BROKER_STEPS)('at %s and at %s: one start, one end, nothing left', async (atStart, atStop) => {
    step = atStart;
    const agent = await newSpawn('next', { host: 'other' });
    await hostReported(control.ports, 'spawn-started', agent.spawnId);
    step = atStop;
    await shutDown(control.ports, agent);
    await hostReported(control.ports, 'agent-exited', agent.spawnId);
    expect(await outcomeOf(agent)).toEqual({ told: ['spawn-started', 'agent-exited'], left: 0 });
  });
});
