// What a restart of every service costs while much waits: 10,000 runs that were created and of which nobody has taken note yet. How long until
// each of them is instructed, its session is open and the summaries show it, and how long whoever asks for new work meanwhile waits.
import type { Ports } from '#libs/service/context.ts';
import { systemIds } from '#libs/system/ids.ts';
import { dispatch } from '#services/dispatch/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { makeId } from '#streams/ids.ts';
import { encodeRunEvent } from '#streams/run-codec.ts';
import { freshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane } from '#test/support/control-plane.ts';
import { createRun } from '#test/support/run-facts.ts';
import { createData } from '#test/support/run-history.ts';
import type { Bench, BenchContext } from './bench-world.ts';
import type { Target } from './figure.ts';
import { percentile } from './measure.ts';

const PENDING = 10_000;
const BATCH = 500;
const TAKEN_UP: Target = { of: 'value', is: '<=', limit: 5000 };
const ANSWERED: Target = { of: 'value', is: '<=', limit: 500 };
const SERVICES = [runs, sessions, tasks, dispatch];

/** Runs as their owner would have created them in the moment before everything ended. */
const createPending = async (ports: Ports): Promise<void> => {
  const log = ports.log('TRANSITIONS');
  for (let at = 0; at < PENDING; at += BATCH) {
    const entries = Array.from({ length: BATCH }, () => {
      const runId = makeId('run', systemIds.ulid());
      const sessionId = makeId('session', systemIds.ulid());
      const data = { ...createData(), runId, sessionId, commandId: makeId('command', systemIds.ulid()) };
      const { requestHash } = data;
      const timeMs = ports.clock.now();
      const event = { type: 'fleetlog.run.created.v1' as const, ...data, requestHash, createdAt: timeMs };
      const meta = {
        id: `${runId}.create`,
        source: '/service/runs',
        timeMs,
        actor: 'user:bench',
        correlation: runId,
      };
      return { ...encodeRunEvent(event, { boundary: BOUNDARY, ...meta }), expectedSeq: 0 };
    });
    await log.appendTogether(entries);
  }
};

/** Resolves when `count` different runs or sessions are shown by a bucket. */
const shownBy = async (ports: Ports, bucket: string, count: number): Promise<void> => {
  const leaving = new AbortController();
  const keys = new Set<string>();
  for await (const event of ports.bucket(bucket).watch({ signal: leaving.signal })) {
    if (event.kind !== 'put' || event.entry.key.startsWith('_')) continue;
    keys.add(event.entry.key);
    if (keys.size >= count) leaving.abort();
  }
};

/** Resolves when `count` instructions are there. */
const instructed = async (ports: Ports, count: number): Promise<void> => {
  const leaving = new AbortController();
  let seen = 0;
  for await (const _entry of ports.log('COMMANDS').replay({ follow: true, signal: leaving.signal })) {
    seen += 1;
    if (seen >= count) leaving.abort();
  }
};

/** Asks for one new run after another until the signal aborts. Gives how long each asking took, ms. */
const askMeanwhile = async (ports: Ports, signal: AbortSignal): Promise<readonly number[]> => {
  const waits: number[] = [];
  while (!signal.aborted) {
    const askedMs = performance.now();
    await createRun(ports);
    waits.push(performance.now() - askedMs);
    await ports.clock.sleep(50, signal);
  }
  return waits;
};

const restart = async ({ profile, emit }: BenchContext): Promise<void> => {
  await using broker = await freshBroker({ sync: profile });
  await provision(broker);
  await using asker = await startControlPlane({ broker, services: [] });
  const { ports } = asker;
  await createPending(ports);
  const startedMs = performance.now();
  const sinceStart = (): number => performance.now() - startedMs;
  const reached = { instructed: 0, runs: 0, sessions: 0 };
  const waiting = Promise.all([
    instructed(ports, PENDING).then(() => (reached.instructed = sinceStart())),
    shownBy(ports, 'runs', PENDING).then(() => (reached.runs = sinceStart())),
    shownBy(ports, 'sessions', PENDING).then(() => (reached.sessions = sinceStart())),
  ]);
  await using plane = await startControlPlane({ broker, services: SERVICES });
  const isOver = new AbortController();
  const asking = askMeanwhile(plane.ports, isOver.signal);
  await waiting;
  isOver.abort();
  const waits = await asking;
  const named = {
    bench: 'restart',
    profile,
    unit: 'ms',
    floor: null,
    ratio: null,
    rounds: 1,
    spread: null,
  } as const;
  emit({
    ...named,
    figure: '10,000 runs pending, all instructed',
    value: reached.instructed,
    target: TAKEN_UP,
  });
  emit({ ...named, figure: '10,000 runs pending, all shown', value: reached.runs, target: TAKEN_UP });
  emit({
    ...named,
    figure: '10,000 runs pending, all sessions shown',
    value: reached.sessions,
    target: TAKEN_UP,
  });
  emit({
    ...named,
    figure: 'new work is answered meanwhile, slowest',
    value: percentile(waits, 1),
    target: ANSWERED,
  });
};

export const restartBench: Bench = { name: 'restart', run: restart };
