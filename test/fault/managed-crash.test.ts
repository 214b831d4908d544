// Who keeps managed agents dies (kill -9) at every step of a spawn, a registration, a restart and a stop: the lifecycle service and the broker
// around each append, the host at each of its steps, the runner in each state of its policy. Whatever dies, the agent runs as it is wanted in
// the end, no start is done twice, each one ends once on record, and nothing is left. By default one life with a death of each;
// FLEETLOG_MANAGED_CRASHES=all lives one for each cell of the table.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { HOST_STEPS, type HostStep } from '#services/host/supervisor-parts.ts';
import { createHostsService } from '#services/hosts/service.ts';
import { evolvePolicy } from '#services/lifecycle/policy-fold.policy.ts';
import type { Policy, PolicyState } from '#services/lifecycle/policy-state.policy.ts';
import { decodePolicyEvent } from '#streams/policy-codec.ts';
import type { PolicyRequestOf } from '#streams/policy-requests.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import type { HostProcessArguments } from '#test/support/host-process.ts';
import {
  HOST,
  hostFolders,
  hostReported,
  hostReports,
  provisionHosts,
  type HostFolders,
} from '#test/support/host-rig.ts';
import {
  killRunner,
  speakForRunners,
  startMortalLifecycle,
  type Half,
  type MortalLifecycle,
} from '#test/support/managed-rig.ts';
import { applyRequest, askPolicies, policyEvent, policyHistory, surely } from '#test/support/policy-facts.ts';
import { judgeHistory, ordersOf } from '#test/support/policy-verdict.ts';

const PROGRAM = new URL('../support/host-process.ts', import.meta.url).pathname;

/** One death. `nth`: of a life the first start, stop … is that of a restart, the second the last stop. */
type Death =
  | {
      readonly who: 'lifecycle' | 'broker';
      readonly half: Half;
      readonly what: (typeof APPENDS)[number];
      readonly nth: number;
    }
  | { readonly who: 'host'; readonly at: HostStep }
  | { readonly who: 'runner'; readonly at: (typeof RUNNER_STEPS)[number] };

/** In the order of a life: spawn, registration, stop. */
const APPENDS = [
  'fleetlog.policy.starting.v1',
  'fleetlog.command.agent-spawn.v1',
  'fleetlog.policy.running.v1',
  'fleetlog.policy.stopping.v1',
  'fleetlog.command.agent-shutdown.v1',
  'fleetlog.policy.stopped.v1',
] as const;
/** Before its first word, after it, when it counts as running, when it is to stop. */
const RUNNER_STEPS = ['spawned', 'announced', 'running', 'stopping'] as const;

const CELLS: readonly (readonly Death[])[] = [
  ...(['lifecycle', 'broker'] as const).flatMap((who) =>
    APPENDS.flatMap((what) =>
      [1, 2].flatMap((nth) =>
        (['before', 'after'] as const).map((half): Death[] => [{ who, half, what, nth }]),
      ),
    ),
  ),
  ...HOST_STEPS.map((at): Death[] => [{ who: 'host', at }]),
  ...RUNNER_STEPS.map((at): Death[] => [{ who: 'runner', at }]),
];
const ONE_OF_EACH: readonly Death[] = [
  { who: 'lifecycle', half: 'after', what: 'fleetlog.policy.starting.v1', nth: 1 },
  { who: 'runner', at: 'announced' },
  { who: 'host', at: 'shutdown-noted' },
  { who: 'broker', half: 'before', what: 'fleetlog.policy.stopped.v1', nth: 1 },
];
const lives = readEnvironment()['FLEETLOG_MANAGED_CRASHES'] === 'all' ? CELLS : [ONE_OF_EACH];

const nameOf = (death: Death): string =>
  'half' in death
    ? `${death.who} ${death.half} ${death.what.split('.').at(-2) ?? ''} ${death.nth}`
    : `${death.who} at ${death.at}`;

let broker: FreshBroker;
let control: ControlPlane;
let keeper: MortalLifecycle;
let folders: HostFolders;
let host: ChildProcess;
let speaking: Promise<void>;
const ending = new AbortController();
/** Those that have not come yet, with how often what they wait for has happened. */
const due: { readonly death: Death; seen: number }[] = [];

const take = (isIt: (death: Death) => boolean): Death | undefined => {
  const at = due.findIndex((one) => isIt(one.death));
  return at === -1 ? undefined : due.splice(at, 1)[0]?.death;
};

let reviving = Promise.resolve();
const revive = async (): Promise<void> => {
  await broker.kill();
  await broker.restart();
};

const atAppend = async (
  half: Half,
  { headers }: { readonly headers: Readonly<Record<string, string>> },
  die: () => void,
): Promise<void> => {
  for (const one of due)
    if ('half' in one.death && one.death.half === half && one.death.what === headers['ce-type'])
      one.seen += 1;
  const isDue = (death: Death): boolean =>
    'half' in death && due.some((one) => one.death === death && one.seen === death.nth);
  const death = take(isDue);
  if (death?.who === 'lifecycle') die();
  if (death?.who !== 'broker') return;
  reviving = revive();
  await reviving;
};

const startHostProcess = async (): Promise<void> => {
  const { url, user, password } = broker;
  const told: HostProcessArguments = { broker: { url, user, password }, folders };
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(told)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.on('exit', () => {
    if (ending.signal.aborted) return;
    take(({ who }) => who === 'host');
    void startHostProcess();
  });
  host = child;
  for await (const line of createInterface({ input: child.stdout })) if (line === 'up') return;
};

beforeAll(async () => {
  broker = await freshBroker();
  await provisionHosts(broker, [HOST], { ackWaitMs: 400, isAll: true });
  control = await startControlPlane({ broker, services: [createHostsService({ version: 'test' })] });
  keeper = await startMortalLifecycle(broker, atAppend);
  folders = hostFolders(lives.map((_, at) => `calm-${at}`));
  await startHostProcess();
  const dies = (at: string) => take((death) => death.who === 'runner' && death.at === at) !== undefined;
  speaking = speakForRunners(
    control.ports,
    (step, started) => {
      if (dies(step)) killRunner(started);
    },
    ending.signal,
  );
});
afterAll(async () => {
  ending.abort();
  host.kill('SIGKILL');
  await once(host, 'exit');
  await speaking;
  await keeper[Symbol.asyncDispose]();
  expect([...control.fatal, ...keeper.fatal]).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

/** Resolves when the policy stands so, at or after an entry of its record. */
const stands = async (policy: string, seq: number, isSo: (state: Policy) => boolean): Promise<void> => {
  const found = new AbortController();
  const subjects = [aggregateSubject(BOUNDARY, 'policy', policy)];
  const options = { subjects, follow: true, signal: found.signal };
  let state: PolicyState;
  for await (const entry of control.ports.log('TRANSITIONS').replay(options)) {
    const reading = decodePolicyEvent(entry);
    if (reading.kind === 'known') state = evolvePolicy(state, reading.event);
    if (entry.seq >= seq && state !== undefined && isSo(state)) found.abort();
  }
};

/** The runner of a policy dies when the policy comes to a state. */
const dieIn = async (policy: string, state: 'running' | 'stopping'): Promise<void> => {
  const { spawnId } = await policyEvent(control.ports, policy, state);
  const started = await hostReported(control.ports, 'spawn-started', spawnId);
  if (take((death) => death.who === 'runner' && death.at === state) !== undefined) killRunner(started);
};

const ask = async (operation: 'restart' | 'stop', policy: string): Promise<number> => {
  const about = { policy, requestId: systemIds.ulid(), actor: 'user:test', reason: 'test' };
  const request = operation === 'restart' ? { ...about, idleMs: 0 } : about;
  const asked = request as PolicyRequestOf<typeof operation>;
  const answer = await surely(() => askPolicies(control.ports, operation, asked));
  if (answer.outcome !== 'ok') throw new Error(JSON.stringify(answer));
  return answer.result.seq;
};

test.each(lives.map((deaths, at) => [deaths.map(nameOf).join(', '), deaths, `calm-${at}`] as const))(
  'WK-64 WK-65 WK-72 %s: started, restarted and stopped as it is wanted, once each, nothing left',
  async (_, deaths, policy) => {
    const { ports } = control;
    due.splice(0, due.length, ...deaths.map((death) => ({ death, seen: 0 })));
    const atStep = deaths.find((death) => death.who === 'host');
    if (atStep !== undefined) {
      const armed = once(createInterface({ input: host.stdout ?? process.stdin }), 'line');
      host.stdin?.write(`${atStep.at}\n`);
      await armed;
    }
    const given = {
      host: HOST,
      startTimeoutSeconds: 5,
      stopTimeoutSeconds: 1,
      backoff: { scheduleSeconds: [1], jitter: 0.9 },
      limits: { restarts: 0 },
    };
    const request = applyRequest(policy, given);
    await surely(() => askPolicies(ports, 'apply', request));
    const dying = (['running', 'stopping'] as const)
      .filter((state) => deaths.some((death) => death.who === 'runner' && death.at === state))
      .map((state) => dieIn(policy, state));
    await stands(policy, 0, ({ state }) => state === 'running');
    const restartSeq = await ask('restart', policy);
    await stands(policy, restartSeq, ({ state, restart }) => state === 'running' && restart === null);
    const stopSeq = await ask('stop', policy);
    await stands(policy, stopSeq, ({ state }) => state === 'stopped');
    await Promise.all(dying);
    // Behind the last append somebody may be dying yet.
    await expect.poll(() => due, { timeout: 10_000 }).toEqual([]);
    await reviving;

    const history = await policyHistory(ports, policy);
    expect(judgeHistory(history, { troubles: [], now: systemClock.now() })).toEqual([]);
    expect((await ordersOf(ports)).twice).toEqual([]);
    for (const { type, ...event } of history) {
      if (type !== 'fleetlog.policy.starting.v1' || !('spawnId' in event)) continue;
      const spawnId = event.spawnId ?? '';
      // One that was given up before its host took it is refused.
      await Promise.race([
        hostReported(ports, 'agent-exited', spawnId),
        hostReported(ports, 'spawn-refused', spawnId),
      ]);
      const { reports } = await hostReports(ports);
      const told = reports.filter(({ data }) => data.spawnId === spawnId).map(({ name }) => name);
      expect(new Set(told).size).toBe(told.length);
      expect(await findMarked(`FLEETLOG_SPAWN=${spawnId}`)).toEqual([]);
    }
    const { numbers } = await hostReports(ports);
    expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((__, at) => at + 1));
  },
  60_000,
);
