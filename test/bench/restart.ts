// What a restart of every service costs while much waits: 10,000 runs that were created and of which nobody has taken note yet. How long until
// each of them is instructed, its session is open and the summaries show it, and how long whoever asks for new work meanwhile waits.
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
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

/** How often is looked whether all is done: what is measured is not who looks. */
const LOOK_MS = 20;

/** Resolves when a stream holds so many entries; that of a bucket holds one a key. */
const holds = async (log: EventLog, count: () => number, clock: Clock): Promise<void> => {
  while ((await log.bounds()).entries < count()) await clock.sleep(LOOK_MS);
};

/** Asks for one new run after another until the signal aborts. Adds how long each asking took, ms. */
const askMeanwhile = async (ports: Ports, waits: number[], signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    const askedMs = performance.now();
    await createRun(ports);
    waits.push(performance.now() - askedMs);
    await ports.clock.sleep(50, signal);
  }
};

const restart = async ({ profile, emit }: BenchContext): Promise<void> => {
  await using broker = await freshBroker({ sync: profile });
  await provision(broker);
  await using asker = await startControlPlane({ broker, services: [] });
  const { ports } = asker;
  const waits: number[] = [];
  const whenHeld = async (stream: string, count: () => number): Promise<number> => {
    await holds(ports.log(stream), count, ports.clock);
    return sinceStart();
  };
  await createPending(ports);
  const startedMs = performance.now();
  const cpuBefore = process.cpuUsage();
  const sinceStart = (): number => performance.now() - startedMs;
  const waiting = Promise.all([
    // New work is instructed when it is answered.
    whenHeld('COMMANDS', () => PENDING + waits.length),
    // In the order of the log, and with the position of the projection.
    whenHeld('KV_runs', () => PENDING + 1),
    whenHeld('KV_sessions', () => PENDING + 1),
  ]);
  await using plane = await startControlPlane({ broker, services: SERVICES });
  const isOver = new AbortController();
  const asking = askMeanwhile(plane.ports, waits, isOver.signal);
  const [allInstructed, runsShown, sessionsShown] = await waiting;
  const { user, system } = process.cpuUsage(cpuBefore);
  isOver.abort();
  await asking;
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
    value: allInstructed,
    target: TAKEN_UP,
  });
  emit({ ...named, figure: '10,000 runs pending, all shown', value: runsShown, target: TAKEN_UP });
  emit({
    ...named,
    figure: '10,000 runs pending, all sessions shown',
    value: sessionsShown,
    target: TAKEN_UP,
  });
  emit({
    ...named,
    figure: 'processor time of this process until then',
    value: (user + system) / 1000,
    target: null,
  });
  emit({
    ...named,
    figure: 'new work is answered meanwhile, slowest',
    value: percentile(waits, 1),
    target: ANSWERED,
  });
};

export const restartBench: Bench = { name: 'restart', run: restart };
