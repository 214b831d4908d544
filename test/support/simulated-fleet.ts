// Runners of a simulated world: they announce themselves, claim, renew, die with their work, are paused beyond their leases, and come back.
import { runnerConsumerName } from '#streams/consumers.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import type { RunAnswerOf, RunOperation, RunRequestOf } from '#streams/run-requests.ts';
import type { ProviderName } from '#streams/run.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import type { TaskAnswerOf, TaskOperation, TaskRequestOf } from '#streams/task-requests.ts';
import { BOUNDARY } from './control-plane.ts';
import { ask, done, turnUnder } from './scripted-runner.ts';
import { answered, below, isLucky, persist, type World } from './simulated-world.ts';
import { askTasks } from './task-facts.ts';

/** A runner of the simulation. */
export interface SimulatedRunner {
  readonly agent: string;
  readonly providers: readonly ProviderName[];
  readonly slots: number;
  readonly labels?: readonly string[];
}

const askRuns = <Op extends RunOperation>(
  world: World,
  operation: Op,
  asked: { readonly request: RunRequestOf<Op>; readonly agent: string },
): Promise<RunAnswerOf<Op>> =>
  persist(world, async () => answered(world, await ask(world.ports, operation, asked.request, asked.agent)));

/** Asks the tasks service until it answers with a result or a refusal. */
export const askTasksUntilAnswered = <Op extends TaskOperation>(
  world: World,
  operation: Op,
  request: TaskRequestOf<Op>,
): Promise<TaskAnswerOf<Op>> =>
  persist(world, async () => answered(world, await askTasks(world.ports, operation, request)));

const ENDS: readonly TurnResult[] = [
  done,
  done,
  done,
  { ...done, outcome: 'failed', exitCode: 2, failure: { kind: 'provider-failed', message: 'exit code 2' } },
  { ...done, outcome: 'blocked', summary: 'needs a key' },
];

/** What a runner's process is doing. */
interface Life {
  isAlive: boolean;
  /** Grows with each death: a turn of an earlier life says nothing more. */
  number: number;
}

/** One turn: claims, reports the start, works under its lease, reports the end; or dies, or is paused beyond the lease. */
const doTurn = async (world: World, instruction: TurnInstruction, life: Life): Promise<void> => {
  const { clock, ports, ids } = world;
  const { runId, agent, leaseMs } = instruction;
  const { number } = life;
  const isGone = (): boolean => life.number !== number;
  const runnerId = `${agent}-${number}`;
  const claim = await askRuns(world, 'claim', { request: { runId, runnerId, claimId: ids.ulid() }, agent });
  if (claim.outcome !== 'ok' || isGone()) return;
  const { fence } = claim.result as { readonly fence: number };
  const turn = turnUnder(ports, instruction, fence);
  await persist(world, () => turn.started());
  for (let beats = below(world, 4); beats > 0; beats -= 1) {
    await clock.sleep(isLucky(world, 0.1) ? leaseMs + 500 : Math.floor(leaseMs / 3));
    if (isGone()) return;
    const renewed = await askRuns(world, 'renew', { request: { runId, runnerId, fence }, agent });
    if (renewed.outcome !== 'ok') return;
    if ((renewed.result as { readonly cancelRequested: boolean }).cancelRequested) {
      await persist(world, () => turn.finished({ ...done, outcome: 'cancelled' }));
      return;
    }
  }
  if (isGone()) return;
  await persist(world, () => turn.finished(ENDS[below(world, ENDS.length)]));
};

const announce = async (
  world: World,
  runner: SimulatedRunner,
  life: Life,
  signal: AbortSignal,
): Promise<void> => {
  const { agent, providers, slots, labels = [] } = runner;
  const { clock, ports } = world;
  while (!signal.aborted) {
    if (life.isAlive) {
      const facts = {
        providers: [...providers],
        slots,
        labels: [...labels],
        version: '1',
        startedAt: 1,
        buffered: 0,
      };
      const request = { runnerId: `${agent}-${life.number}`, ...facts, ttlMs: 6000 };
      // A word that is lost is followed by another.
      await ask(ports, 'announce', request, agent).catch(() => undefined);
    }
    await clock.sleep(2000, signal);
  }
};

const takeInstructions = async (
  world: World,
  { agent }: SimulatedRunner,
  life: Life,
  signal: AbortSignal,
): Promise<void> => {
  const queue = world.ports.queue('COMMANDS', runnerConsumerName(BOUNDARY, agent));
  for await (const batch of queue.batches({ max: 4, signal }))
    for (const delivery of batch) {
      if (!life.isAlive) {
        delivery.retry(1000);
        continue;
      }
      const reading = decodeInstruction(delivery.entry);
      if (reading.kind === 'known' && reading.name === 'turn') void doTurn(world, reading.data, life);
      delivery.ack();
    }
};

/** Lives and dies until the signal aborts; from `calm` on it only lives. */
export const runRunner = async (
  world: World,
  runner: SimulatedRunner,
  { signal, calm }: { readonly signal: AbortSignal; readonly calm: AbortSignal },
): Promise<void> => {
  const life: Life = { isAlive: true, number: 1 };
  const living = [announce(world, runner, life, signal), takeInstructions(world, runner, life, signal)];
  while (!calm.aborted) {
    await world.clock.sleep(3000 + below(world, 20_000), calm);
    if (calm.aborted) break;
    life.isAlive = false;
    life.number += 1;
    world.tell(`the runner of ${runner.agent} dies`);
    await world.clock.sleep(below(world, 15_000), calm);
    life.isAlive = true;
    world.tell(`the runner of ${runner.agent} is there again`);
  }
  await Promise.all(living);
};
