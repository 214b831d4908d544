// How long a queued task waits for an idle runner: from the answer that it is queued until the runner has the answer to its claim, so that it has
// the work in hand and may begin. By turns with the writes of it that wait for one another, made by hand.
import type { Ports } from '#libs/service/context.ts';
import { decodeRunEvent } from '#streams/run-codec.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { freshBroker } from '#test/support/broker.ts';
import { provision } from '#test/support/control-plane.ts';
import { ask } from '#test/support/scripted-runner.ts';
import { createTask, taskEvent } from '#test/support/task-facts.ts';
import { openBareHandOver } from './bare-hand-over.ts';
import type { BenchContext } from './bench-world.ts';
import type { Target } from './figure.ts';
import { AGENT, sharedMs, type RunLives } from './life-of-runs.ts';
import { percentile } from './measure.ts';

const TASKS = 100;
const WARM_UP = 20;
const P50: Target = { of: 'value', is: '<=', limit: 10 };
const P99: Target = { of: 'value', is: '<=', limit: 40 };

/** Values by key, for whoever asks before or after they are there. */
class Told<Value> {
  readonly #values = new Map<string, PromiseWithResolvers<Value>>();

  of(key: string): PromiseWithResolvers<Value> {
    const known = this.#values.get(key) ?? Promise.withResolvers<Value>();
    this.#values.set(key, known);
    return known;
  }
}

/** The runs of tasks, over one follower that is there before: making one for each would be part of what is measured. */
const followRuns = async (ports: Ports, signal: AbortSignal) => {
  const log = ports.log('TRANSITIONS');
  const { lastSeq } = await log.bounds();
  const runs = new Told<string>();
  const following = (async () => {
    const options = { from: { seq: lastSeq + 1 }, subjects: [aggregateFilter('run')], follow: true, signal };
    for await (const entry of log.replay(options)) {
      const reading = decodeRunEvent(entry);
      if (reading.kind !== 'known' || reading.event.type !== 'fleetlog.run.created.v1') continue;
      const { task, runId } = reading.event;
      if (task !== undefined) runs.of(task.taskId).resolve(runId);
    }
  })();
  return { following, runOf: (taskId: string): Promise<string> => runs.of(taskId).promise };
};

interface Waits {
  /** From the request for the task. */
  readonly asked: number[];
  /** From the answer that it is queued. */
  readonly queued: number[];
  readonly floor: number[];
}

/** Ms of hand-overs, one after another. */
const measureWaits = async (lives: RunLives, floor: () => Promise<void>): Promise<Waits> => {
  const { ports } = lives.plane;
  const stopping = new AbortController();
  const { following, runOf } = await followRuns(ports, stopping.signal);
  const claims = new Told<number>();
  await lives.tellClaims(({ runId, atMs }) => claims.of(runId).resolve(atMs));
  const waits: Waits = { asked: [], queued: [], floor: [] };
  for (let at = 0; at < TASKS + WARM_UP; at += 1) {
    const askedMs = sharedMs();
    const taskId = await createTask(ports, { agent: AGENT, queue: 'bench' });
    const queuedMs = sharedMs();
    const claimedMs = await claims.of(await runOf(taskId)).promise;
    await taskEvent(ports, taskId, 'fleetlog.task.completed.v1');
    const floorMs = sharedMs();
    await floor();
    if (at < WARM_UP) continue;
    waits.asked.push(claimedMs - askedMs);
    waits.queued.push(claimedMs - queuedMs);
    waits.floor.push(sharedMs() - floorMs);
  }
  stopping.abort();
  await following;
  return waits;
};

/** The figures. */
export const handOvers = async (lives: RunLives, { profile, emit }: BenchContext): Promise<void> => {
  // Streams of its own, as for whole lives.
  await using broker = await freshBroker({ sync: profile });
  await provision(broker);
  await using bare = await openBareHandOver(broker);
  const facts = { providers: ['exec' as const], version: '1', startedAt: 1, buffered: 0, slots: 4 };
  await ask(lives.plane.ports, 'announce', { runnerId: 'r1', ...facts, ttlMs: 600_000 }, AGENT);
  const waits = await measureWaits(lives, () => bare.handOver());
  const figures = [
    ['a queued task to an idle runner', 'p50', waits.queued, P50],
    ['a queued task to an idle runner', 'p99', waits.queued, P99],
    ['a task from its request to an idle runner', 'p50', waits.asked, null],
    ['a task from its request to an idle runner', 'p99', waits.asked, null],
  ] as const;
  for (const [figure, share, values, target] of figures) {
    const of = (samples: readonly number[]): number => percentile(samples, share === 'p50' ? 0.5 : 0.99);
    const [value, floor] = [of(values), of(waits.floor)];
    const named = {
      bench: 'runs',
      figure: `${figure}, ${share}`,
      unit: 'ms',
      profile,
      rounds: TASKS,
    } as const;
    emit({ ...named, value, floor, ratio: value / floor, target, spread: null });
  }
};
