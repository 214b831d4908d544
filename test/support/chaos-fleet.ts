// A fleet of real processes that are killed at random, seeded moments and started again: broker, services, runners. Remembers how
// often each died, and whether one ended that nobody had killed. Holds no opinion about what the fleet does (see chaos-verdict.ts).
import { accountsOf } from '#streams/accounts.ts';
import { createRandom } from '#libs/memory/prng.ts';
import { systemClock } from '#libs/system/clock.ts';
import { freshBroker, type FreshBroker } from './broker.ts';
import { BOUNDARY, provision } from './control-plane.ts';
import type { StartedFile } from './spawned-process.ts';
import { stackHome, type StackHome } from './stack.ts';

export const CHAOS_AGENTS = ['ada', 'bea', 'cyd'] as const;

interface Member {
  readonly name: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export interface ChaosFleet extends AsyncDisposable {
  readonly broker: FreshBroker;
  readonly apiUrl: string;
  readonly home: StackHome;
  /** Kills and restarts members until told to stop; resolves when all of them are up again. */
  rage(signal: AbortSignal): Promise<void>;
  /** Kills so far, by name. */
  readonly kills: Readonly<Record<string, number>>;
  /** Ends that nobody asked for, with the last words. */
  readonly deaths: readonly string[];
  /** What the present life of each member has logged, by name. */
  lastWords(lines: number): Readonly<Record<string, readonly string[]>>;
}

export interface ChaosOptions {
  readonly seed: number;
  readonly port: number;
  /** Between two kills, at most. */
  readonly everyMs: number;
}

const password = (agent: string): string => `password-of-${agent}-for-this-test-only`;

const membersOf = (home: StackHome, broker: FreshBroker, port: number): readonly Member[] => {
  const shared = { FLEETLOG_NATS_URL: broker.url, FLEETLOG_LOG_LEVEL: 'warn', FLEETLOG_LOG_FORMAT: 'json' };
  const control = { ...shared, FLEETLOG_NATS_USER: 'control', FLEETLOG_NATS_PASSWORD: 'control' };
  const service = (name: string, services: string, environment = {}): Member => ({
    name,
    args: services.split(' '),
    environment: { ...control, ...environment },
  });
  return [
    service('runs-1', 'runs', { FLEETLOG_RUNS_SWEEP_MS: '2000' }),
    service('runs-2', 'runs', { FLEETLOG_RUNS_SWEEP_MS: '2000' }),
    service('sessions', 'sessions'),
    // A report that is missing for so long under all of this is lost.
    service('others', 'mail tasks dispatch audit', { FLEETLOG_AUDIT_GRACE_MS: '10000' }),
    service('gateway', 'gateway', {
      FLEETLOG_GATEWAY_PORT: String(port),
      FLEETLOG_GATEWAY_AGENTS: CHAOS_AGENTS.join(','),
      FLEETLOG_GATEWAY_LEASE_MS: '3000',
      FLEETLOG_GATEWAY_MAX_ATTEMPTS: '50',
    }),
    ...CHAOS_AGENTS.map((agent) => ({
      name: `runner-${agent}`,
      args: ['runner'],
      environment: {
        ...shared,
        FLEETLOG_NATS_USER: `runner-${agent}`,
        FLEETLOG_NATS_PASSWORD: password(agent),
        FLEETLOG_RUNNER_AGENT: agent,
        FLEETLOG_RUNNER_DATA_DIR: `${home.dataDir}/runner-${agent}`,
        FLEETLOG_RUNNER_WORKSPACE_ROOT: `${home.dataDir}/workspaces-${agent}`,
        FLEETLOG_RUNNER_CONCURRENCY: '4',
        FLEETLOG_RUNNER_KILL_AFTER_MS: '300',
      },
    })),
  ];
};

class Fleet implements ChaosFleet {
  readonly broker: FreshBroker;
  readonly home: StackHome;
  readonly apiUrl: string;
  readonly kills: Record<string, number> = {};
  readonly deaths: string[] = [];
  readonly #options: ChaosOptions;
  readonly #members: readonly Member[];
  readonly #running = new Map<string, StartedFile>();
  readonly #random: () => number;
  #isOver = false;

  constructor(options: ChaosOptions, home: StackHome, broker: FreshBroker) {
    this.#options = options;
    this.home = home;
    this.broker = broker;
    this.apiUrl = `http://127.0.0.1:${options.port}`;
    this.#members = membersOf(home, broker, options.port);
    this.#random = createRandom(options.seed, 'kills');
  }

  start(): void {
    for (const member of this.#members) this.#launch(member);
  }

  async rage(signal: AbortSignal): Promise<void> {
    const mending = new Set<Promise<void>>();
    while (!signal.aborted) {
      await systemClock.sleep(this.#random() * this.#options.everyMs, signal);
      if (signal.aborted) break;
      // Two throws a round, whatever comes of them, so that the sequence follows from the seed.
      const [which, pauseMs] = [this.#random(), this.#random() * 1000];
      const mend = this.#strike(which, pauseMs).finally(() => mending.delete(mend));
      mending.add(mend);
    }
    await Promise.all(mending);
  }

  lastWords(lines: number): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries(
      [...this.#running].map(([name, { stderr }]) => [name, stderr.all.slice(-lines)]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.home[Symbol.asyncDispose]();
    await this.broker[Symbol.asyncDispose]();
  }

  #launch(member: Member): void {
    const child = this.home.start('services/main.mjs', member.args, member.environment);
    this.#running.set(member.name, child);
    void this.#watch(member, child);
  }

  /** One that ends by itself is a finding; it is started again so that the chaos goes on. */
  async #watch(member: Member, child: StartedFile): Promise<void> {
    const { code, signal } = await child.exit;
    if (this.#running.get(member.name) !== child || this.#isOver) return;
    const words = child.stderr.all.slice(-5).join('\n');
    this.deaths.push(`${member.name} ended with ${signal ?? code}: ${words}`);
    this.#launch(member);
  }

  async #strike(which: number, pauseMs: number): Promise<void> {
    const at = Math.floor(which * (this.#members.length + 1));
    const member = this.#members[at];
    const name = member?.name ?? 'broker';
    if (member === undefined) {
      await this.broker.kill();
      this.#count(name);
      await systemClock.sleep(pauseMs);
      return this.broker.restart();
    }
    const child = this.#running.get(name);
    // It is dead already and will be back.
    if (child === undefined) return;
    this.#running.delete(name);
    child.kill('SIGKILL');
    this.#count(name);
    await child.exit;
    await systemClock.sleep(pauseMs);
    this.#launch(member);
  }

  #count(name: string): void {
    this.kills[name] = (this.kills[name] ?? 0) + 1;
  }
}

/** Starts everything on data of its own. */
export const chaosFleet = async (options: ChaosOptions): Promise<ChaosFleet> => {
  const home = await stackHome('chaos');
  const accounts = accountsOf(
    { agents: CHAOS_AGENTS.map((agent) => ({ ...BOUNDARY, agent })) },
    {
      controlPassword: 'control',
      viewerPassword: 'viewer',
      systemPassword: 'system',
      runnerPasswords: Object.fromEntries(CHAOS_AGENTS.map((agent) => [agent, password(agent)])),
    },
  );
  const broker = await freshBroker({ accounts, sync: 'always' });
  await provision(broker, CHAOS_AGENTS);
  const fleet = new Fleet(options, home, broker);
  fleet.start();
  return fleet;
};
