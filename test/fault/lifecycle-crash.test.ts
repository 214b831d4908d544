// Two processes of the lifecycle service on a real broker, one of them killed (kill -9) again and again, right behind a transition: before
// its instructions, timers or the next decision. No agent is started twice, none is missing in the end. FLEETLOG_LIFECYCLE_KILLS: how often.
import { expect, test } from 'vitest';
import type { Ports } from '#libs/service/context.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { freshBroker, type TestBroker } from '#test/support/broker.ts';
import { startControlPlane } from '#test/support/control-plane.ts';
import { provisionHosts } from '#test/support/host-rig.ts';
import { applyRequest, askPolicies, surely } from '#test/support/policy-facts.ts';
import { judgePolicies, unsettled } from '#test/support/policy-settled.ts';
import { startHost } from '#test/support/scripted-host.ts';
import { startFile, type StartedFile } from '#test/support/spawned-process.ts';

const KILLS = Number(readEnvironment()['FLEETLOG_LIFECYCLE_KILLS'] ?? 2);
const POLICIES = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6'];
const HOSTS = ['h1', 'h2'];

const chance = (): number => systemIds.random();

const startProcess = (broker: TestBroker): StartedFile =>
  startFile(
    'services/main.mjs',
    {
      FLEETLOG_NATS_URL: broker.url,
      FLEETLOG_NATS_USER: broker.user,
      FLEETLOG_NATS_PASSWORD: broker.password,
      FLEETLOG_HEALTH_PORT: '0',
    },
    ['lifecycle'],
  );

const isUp = (process: StartedFile): Promise<string> => process.stderr.until(/"all services have started"/);

/** Kills one of them right behind a transition, starts another one, and so on. */
const killAgainAndAgain = async (
  ports: Ports,
  broker: TestBroker,
  processes: StartedFile[],
): Promise<void> => {
  const enough = new AbortController();
  const { signal } = enough;
  let [kills, seen] = [0, 0];
  const subjects = [aggregateFilter('policy')];
  for await (const { subject } of ports.log('TRANSITIONS').replay({ subjects, follow: true, signal })) {
    seen += 1;
    if (seen % 4 !== 0 && chance() < 0.7) continue;
    const at = kills % 2;
    processes[at]?.kill('SIGKILL');
    kills += 1;
    // What is asked of one that is dying is asked again after five seconds: often enough it is the one that has the transition in hand.
    if (chance() < 0.9) await processes[at]?.exit;
    const next = startProcess(broker);
    processes[at] = next;
    // Something always goes on: people want one of them started anew.
    const policy = subject.split('.').at(-1) ?? '';
    const about = { policy, requestId: systemIds.ulid(), actor: 'user:test', reason: 'chaos' };
    await surely(() => askPolicies(ports, 'restart', { ...about, idleMs: 0 }));
    await isUp(next);
    if (kills >= KILLS) enough.abort();
  }
};

test(`WK-64 WK-65 one of two lifecycle services is killed ${KILLS} times: no double start, none missing`, async () => {
  await using broker = await freshBroker();
  await provisionHosts(broker, HOSTS, { ackWaitMs: 2000, isAll: true });
  await using plane = await startControlPlane({ broker, services: [] });
  const { ports } = plane;
  const [ending, calm] = [new AbortController(), new AbortController()];
  const hosts = HOSTS.map((host) =>
    startHost(
      ports,
      {
        host,
        registersAfterMs: () => chance() * 100,
        diesAfterMs: () => (calm.signal.aborted || chance() < 0.5 ? undefined : chance() * 3000),
        stopsAfterMs: () => chance() * 100,
      },
      ending.signal,
    ),
  );
  const processes = [startProcess(broker), startProcess(broker)];
  try {
    await Promise.all(processes.map(isUp));
    for (const policy of POLICIES) {
      const backoff = { scheduleSeconds: [1], jitter: 0.5 };
      const request = applyRequest(policy, { backoff, limits: { restarts: 0 } });
      await surely(() => askPolicies(ports, 'apply', request));
    }
    await killAgainAndAgain(ports, broker, processes);
    calm.abort();
    await expect.poll(() => unsettled(ports, hosts, POLICIES), { timeout: 60_000 }).toEqual([]);
    expect(await judgePolicies(ports, { hosts, names: POLICIES, troubles: [] })).toEqual([]);
  } finally {
    ending.abort();
    for (const process of processes) process.kill('SIGKILL');
    await Promise.all(hosts.map(({ done }) => done));
  }
}, 600_000);
