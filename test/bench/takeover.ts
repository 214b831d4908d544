// How long the work of a task lies still when its runner is gone: the whole product as people start it (`fleetlog up` and two `fleetlog runner`, every setting
// at its default), a run under way at one of them, and that process killed (kill -9: its connection breaks) or frozen (kill -STOP: its connection stays).
// Times are those of the log, by the one clock of this machine: from the signal until the next run is claimed, and until its program runs.
import type { Ports } from '#libs/service/context.ts';
import { systemClock } from '#libs/system/clock.ts';
import { startControlPlane } from '#test/support/control-plane.ts';
import { script } from '#test/support/runner-rig.ts';
import { transition } from '#test/support/scripted-runner.ts';
import type { StartedFile } from '#test/support/spawned-process.ts';
import { api, stackHome, type StackHome } from '#test/support/stack.ts';
import { taskEvent } from '#test/support/task-facts.ts';
import type { Bench } from './bench-world.ts';
import type { Target } from './figure.ts';
import { median, percentile } from './measure.ts';

const AGENTS = ['taker-1', 'taker-2'] as const;
/** Longer than the bench. */
const LONG = script({ say: 'working' }, { sleepMs: 600_000 });
/** Short, so that the bench is. */
const LEASE_MS = 4000;
/** One after another at the runner that is left. */
const TASKS_AFTER = 4;
/** Between two words of a busy runner: the signals of the rounds come at every place in it. */
const BEAT_MS = 700;

type Trouble = 'SIGKILL' | 'SIGSTOP';

/** From the signal. */
interface Taken {
  readonly claimedMs: number;
  readonly startedMs: number;
}

class TakeoverWorld {
  readonly #home: StackHome;
  readonly #apiUrl: string;
  readonly #ports: Ports;
  readonly #runners = new Map<string, StartedFile>();

  constructor(home: StackHome, apiUrl: string, ports: Ports) {
    this.#home = home;
    this.#apiUrl = apiUrl;
    this.#ports = ports;
  }

  async startRunner(agent: string): Promise<void> {
    const runner = this.#home.start('services/fleetlog.mjs', ['runner', agent, '--json']);
    this.#runners.set(agent, runner);
    await runner.stdout.until(/"ready":true/);
  }

  /** What the gateway has made of it. */
  async ask(path: string, json: unknown): Promise<Readonly<Record<string, unknown>>> {
    const { status, body } = await api(this.#apiUrl, path, { json });
    if (status !== 202) throw new Error(`POST ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** Gives the agent of the stack itself work that lasts, so that what is taken over goes from one of the two to the other. */
  async keepFirstAgentBusy(): Promise<void> {
    const { runId } = await this.ask('/api/v1/runs', { agent: 'builder-1', ...LONG });
    await transition(this.#ports, String(runId), 'fleetlog.run.turn-started.v1');
  }

  /** One task whose runner gets the signal `waitMs` after its program has started. */
  async round(trouble: Trouble, waitMs: number): Promise<Taken> {
    const { taskId } = await this.ask('/api/v1/tasks', { queue: 'takeover', ...LONG });
    const task = String(taskId);
    const first = await taskEvent(this.#ports, task, 'fleetlog.task.assigned.v1');
    await transition(this.#ports, first.runId, 'fleetlog.run.turn-started.v1');
    await systemClock.sleep(waitMs);
    const signalledAt = systemClock.now();
    this.#runners.get(first.agent)?.kill(trouble);
    const next = await taskEvent(this.#ports, task, 'fleetlog.task.assigned.v1', 2);
    const { claimedAt } = await transition(this.#ports, next.runId, 'fleetlog.run.claimed.v1');
    const { startedAt } = await transition(this.#ports, next.runId, 'fleetlog.run.turn-started.v1');
    await this.ask(`/api/v1/tasks/${task}/cancel`, { reason: 'the round is over' });
    await taskEvent(this.#ports, task, 'fleetlog.task.cancelled.v1');
    await this.#revive(first.agent, trouble);
    return { claimedMs: claimedAt - signalledAt, startedMs: startedAt - signalledAt };
  }

  /** Kills a runner that does nothing; how long until tasks that are asked for at once are all done by the other, ms. */
  async idleRound(): Promise<number> {
    const [agent] = AGENTS;
    this.#runners.get(agent)?.kill('SIGKILL');
    const askedAt = systemClock.now();
    const asked = Array.from({ length: TASKS_AFTER }, () =>
      this.ask('/api/v1/tasks', { queue: 'takeover', ...script({ say: 'done' }) }),
    );
    for (const { taskId } of await Promise.all(asked))
      await taskEvent(this.#ports, String(taskId), 'fleetlog.task.completed.v1');
    const tookMs = systemClock.now() - askedAt;
    await this.startRunner(agent);
    return tookMs;
  }

  /** A run that is no attempt of a task is its agent's alone: how long after the death of its runner it is back in the queue, ms. */
  async leaseRound(): Promise<number> {
    const [agent] = AGENTS;
    const { runId } = await this.ask('/api/v1/runs', { agent, leaseMs: LEASE_MS, ...LONG });
    const run = String(runId);
    await transition(this.#ports, run, 'fleetlog.run.turn-started.v1');
    const signalledAt = systemClock.now();
    this.#runners.get(agent)?.kill('SIGKILL');
    const { expiredAt } = await transition(this.#ports, run, 'fleetlog.run.lease-expired.v1');
    await this.ask(`/api/v1/runs/${run}/cancel`, { reason: 'the round is over' });
    await this.startRunner(agent);
    return expiredAt - signalledAt;
  }

  async #revive(agent: string, trouble: Trouble): Promise<void> {
    if (trouble === 'SIGKILL') return this.startRunner(agent);
    this.#runners.get(agent)?.kill('SIGCONT');
    // It has found out what it has lost when it takes something new.
    const { taskId } = await this.ask('/api/v1/tasks', {
      queue: 'takeover',
      agent,
      ...script({ say: 'back' }),
    });
    await taskEvent(this.#ports, String(taskId), 'fleetlog.task.completed.v1');
  }
}

const takeover: Bench['run'] = async ({ profile, rounds, emit }) => {
  const say = (figure: string, value: number, target: Target | null): void =>
    emit({
      bench: 'takeover',
      figure,
      value,
      unit: 'ms',
      floor: null,
      ratio: null,
      target,
      profile,
      rounds,
      spread: null,
    });
  await using home = await stackHome('takeover');
  const { apiUrl } = await home.up(profile === 'relaxed' ? ['--relaxed'] : []);
  const { natsUrl: url, natsUser: user, natsPassword: password } = home.connection();
  await using watcher = await startControlPlane({ broker: { url, user, password }, services: [] });
  const world = new TakeoverWorld(home, apiUrl, watcher.ports);
  for (const agent of AGENTS) {
    const added = await home.cli(['agent', 'add', agent]);
    if (added.code !== 0) throw new Error(added.stderr);
    await world.startRunner(agent);
  }
  await world.keepFirstAgentBusy();
  const measured = async (trouble: Trouble, named: string, limit: number): Promise<void> => {
    const taken: Taken[] = [];
    for (let at = 0; at < rounds; at += 1) taken.push(await world.round(trouble, (at * BEAT_MS) / rounds));
    const target: Target = { of: 'value', is: '<=', limit };
    const claimed = taken.map(({ claimedMs }) => claimedMs);
    const started = taken.map(({ startedMs }) => startedMs);
    say(`${named}: claimed elsewhere, median`, median(claimed), null);
    say(`${named}: started elsewhere, median`, median(started), target);
    say(`${named}: started elsewhere, slowest`, percentile(started, 1), target);
  };
  await measured('SIGKILL', 'runner killed', 1000);
  await measured('SIGSTOP', 'runner frozen', 3000);
  const leases: number[] = [];
  for (let at = 0; at < rounds; at += 1) leases.push(await world.leaseRound());
  say(`run of no task, lease of ${LEASE_MS} ms: back in the queue, slowest`, percentile(leases, 1), {
    of: 'value',
    is: '<=',
    limit: 1.5 * LEASE_MS,
  });
  const idle: number[] = [];
  for (let at = 0; at < rounds; at += 1) idle.push(await world.idleRound());
  say(`idle runner killed: ${TASKS_AFTER} tasks asked for then are done, slowest`, percentile(idle, 1), null);
};

export const takeoverBench: Bench = { name: 'takeover', run: takeover };
