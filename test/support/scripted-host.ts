// A host as the control plane sees it, without processes: announces itself, takes its instructions, starts and ends "runners" that
// announce themselves, and reports. What it started and what ended is in its ledger, so that a test can tell what really ran.
import type { Clock } from '#libs/ports/clock.ts';
import type { Ports } from '#libs/service/context.ts';
import { presenceKey, type Presence } from '#streams/buckets.ts';
import { hostConsumerName } from '#streams/consumers.ts';
import { jsonBytes } from '#streams/entry.ts';
import type { ShutdownInstruction, SpawnInstruction } from '#streams/host-instructions.ts';
import { hostPresenceKey, type HostPresence } from '#streams/host-views.ts';
import { makeId } from '#streams/ids.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { ReportData, ReportName } from '#streams/reports.ts';
import { BOUNDARY } from './control-plane.ts';

/** One start of a runner, as it really was. */
export interface Life {
  readonly policy: string;
  readonly spawnId: string;
  readonly host: string;
  readonly bornAt: number;
  diedAt: number | null;
  /** The same by the clock that never jumps. */
  readonly bornMs: number;
  diedMs: number | null;
}

export interface HostBehaviour {
  readonly host: string;
  readonly capacity?: number;
  readonly labels?: readonly string[];
  /** From the instruction to the runner's first word; undefined: it never says one. Default 0. */
  readonly registersAfterMs?: (spawn: SpawnInstruction) => number | undefined;
  /** It ends by itself so long after its start; undefined: it does not. */
  readonly diesAfterMs?: (spawn: SpawnInstruction) => number | undefined;
  /** A code: the start is refused with it. */
  readonly refuses?: (spawn: SpawnInstruction) => string | undefined;
  /** How long a graceful stop takes; default 0. */
  readonly stopsAfterMs?: () => number;
  /** Turns that the runner of an agent has in hand; default none. */
  readonly active?: (agent: string) => number;
  /** Of what its runners are started with; default 0.1.0. */
  readonly version?: () => string;
  /** Whether the end of a process is reported; default true. */
  readonly reportsEnds?: () => boolean;
}

interface Runner {
  readonly life: Life;
  readonly version: string;
  readonly agent: string;
  readonly ending: AbortController;
}

const TTL_MS = 6000;
const BEAT_MS = 2000;

export interface ScriptedHost {
  /** Every runner that it ever started. */
  readonly lives: readonly Life[];
  /** Instructions in the order in which they were taken. */
  readonly taken: readonly (SpawnInstruction | ShutdownInstruction)[];
  /** The process of a spawn id ends now, as by kill -9. */
  kill(spawnId: string, exitCode?: number): Promise<void>;
  /** The machine is gone: nobody announces, takes or reports; what ran has ended. */
  crash(): void;
  /** Its process is gone and its runners are not: nobody announces, takes or reports. */
  nap(): void;
  /** It is there again, and reports what ended. */
  comeBack(): Promise<void>;
  readonly isUp: boolean;
}

class Host implements ScriptedHost {
  readonly #ports: Ports;
  readonly #behaviour: HostBehaviour;
  readonly #signal: AbortSignal;
  readonly #runners = new Map<string, Runner>();
  readonly #unreported: (() => Promise<void>)[] = [];
  readonly lives: Life[] = [];
  readonly taken: (SpawnInstruction | ShutdownInstruction)[] = [];
  readonly #cancelled = new Set<string>();
  /** In its journal: what it has refused it never does. */
  readonly #refused = new Set<string>();
  isUp = true;
  #boot = 1;

  constructor(ports: Ports, behaviour: HostBehaviour, signal: AbortSignal) {
    this.#ports = ports;
    this.#behaviour = behaviour;
    this.#signal = signal;
  }

  get #clock(): Clock {
    return this.#ports.clock;
  }

  async run(): Promise<void> {
    await Promise.all([this.#announce(), this.#take()]);
  }

  async kill(spawnId: string, exitCode = 137): Promise<void> {
    await this.#end(spawnId, { exitCode, signal: null, wasAsked: false });
  }

  crash(): void {
    this.isUp = false;
    this.#boot += 1;
    for (const [spawnId, runner] of this.#runners) {
      this.#die(runner);
      this.#unreported.push(() => this.#reportEnd(runner, { exitCode: null, signal: null, wasAsked: false }));
      this.#runners.delete(spawnId);
    }
  }

  nap(): void {
    this.isUp = false;
  }

  async comeBack(): Promise<void> {
    this.isUp = true;
    for (const report of this.#unreported.splice(0)) await this.#persist(report);
    await this.#sayHello().catch(() => undefined);
  }

  async #announce(): Promise<void> {
    while (!this.#signal.aborted) {
      if (this.isUp) await this.#sayHello().catch(() => undefined);
      await this.#clock.sleep(BEAT_MS, this.#signal);
    }
  }

  async #sayHello(): Promise<void> {
    const { host, capacity = 50, labels = [] } = this.#behaviour;
    const now = this.#clock.now();
    const runners = [...this.#runners.values()].map(({ life, agent }) => ({
      spawnId: life.spawnId,
      policy: life.policy,
      agent,
      pid: 1,
      state: 'running' as const,
      startedAt: life.bornAt,
    }));
    const facts: HostPresence = {
      host,
      bootId: `boot-${this.#boot}`,
      journalId: host,
      labels: [...labels],
      capacity,
      providers: ['exec', 'claude'],
      version: this.#behaviour.version?.() ?? '0.1.0',
      contract: 2,
      platform: 'linux-x64',
      freeMemoryBytes: 1e9,
      totalMemoryBytes: 2e9,
      freeDiskBytes: 1e9,
      hasCgroups: false,
      buffered: 0,
      runners,
      startedAt: 1,
      seenAt: now,
    };
    await this.#ports
      .bucket('presence')
      .put(hostPresenceKey(BOUNDARY, host), jsonBytes(facts), { ttlMs: TTL_MS });
  }

  async #take(): Promise<void> {
    const queue = this.#ports.queue('COMMANDS', hostConsumerName(BOUNDARY, this.#behaviour.host));
    for await (const batch of queue.batches({ max: 16, signal: this.#signal }))
      for (const delivery of batch) {
        if (!this.isUp) {
          delivery.retry(1000);
          continue;
        }
        const reading = decodeInstruction(delivery.entry);
        if (reading.kind === 'known' && reading.name === 'agent-spawn') await this.#spawn(reading.data);
        if (reading.kind === 'known' && reading.name === 'agent-shutdown') await this.#shutdown(reading.data);
        delivery.ack();
      }
  }

  async #spawn(spawn: SpawnInstruction): Promise<void> {
    const { spawnId, policy, agent, host, deadlineAt } = spawn;
    // Handed over again: it was done.
    if (this.#refused.has(spawnId) || this.lives.some((life) => life.spawnId === spawnId)) return;
    this.taken.push(spawn);
    const refuse = (code: string): Promise<void> => {
      this.#refused.add(spawnId);
      const about = { spawnId, policy, agent, host, code, message: code };
      return this.#report('spawn-refused', { ...about, refusedAt: this.#clock.now() });
    };
    if (this.#clock.now() > deadlineAt) return refuse('COMMAND_EXPIRED');
    if (this.#cancelled.has(spawnId)) return refuse('SPAWN_CANCELLED');
    const code = this.#behaviour.refuses?.(spawn);
    if (code !== undefined) return refuse(code);
    if ([...this.#runners.values()].some((runner) => runner.agent === agent)) return refuse('AGENT_RUNNING');
    const born = { bornAt: this.#clock.now(), bornMs: this.#clock.monotonicMs() };
    const life: Life = { policy, spawnId, host, ...born, diedAt: null, diedMs: null };
    this.lives.push(life);
    const version = this.#behaviour.version?.() ?? '0.1.0';
    const runner: Runner = { life, version, agent, ending: new AbortController() };
    this.#runners.set(spawnId, runner);
    void this.#live(runner, spawn);
    await this.#report('spawn-started', { spawnId, policy, agent, host, pid: 1, startedAt: life.bornAt });
  }

  async #shutdown(instruction: ShutdownInstruction): Promise<void> {
    this.taken.push(instruction);
    const { spawnId, policy, agent, host, graceful } = instruction;
    this.#cancelled.add(spawnId);
    if (!this.#runners.has(spawnId)) {
      const isKnown = this.lives.some((life) => life.spawnId === spawnId);
      const refused = {
        spawnId,
        policy,
        agent,
        host,
        code: 'SPAWN_UNKNOWN',
        message: 'not here',
        refusedAt: this.#clock.now(),
      };
      // One that ended was reported when it did.
      return isKnown ? undefined : this.#report('spawn-refused', refused);
    }
    const waitMs = graceful ? Math.min(instruction.timeoutMs, this.#behaviour.stopsAfterMs?.() ?? 0) : 0;
    if (waitMs > 0) await this.#clock.sleep(waitMs, this.#signal);
    await this.#end(spawnId, {
      exitCode: graceful ? 0 : null,
      signal: graceful ? null : 'SIGKILL',
      wasAsked: true,
    });
  }

  async #live(runner: Runner, spawn: SpawnInstruction): Promise<void> {
    const { signal } = runner.ending;
    const { registersAfterMs = () => 0, diesAfterMs = () => undefined } = this.#behaviour;
    const diesAfter = diesAfterMs(spawn);
    if (diesAfter !== undefined)
      void this.#clock
        .sleep(diesAfter, signal)
        .then(() => (signal.aborted ? undefined : this.kill(spawn.spawnId, 1)));
    const silence = registersAfterMs(spawn);
    if (silence === undefined) return;
    if (silence > 0) await this.#clock.sleep(silence, signal);
    while (!signal.aborted && !this.#signal.aborted) {
      await this.#sayRunner(runner).catch(() => undefined);
      await this.#clock.sleep(BEAT_MS, signal);
    }
  }

  async #sayRunner({ life, version, agent }: Runner): Promise<void> {
    const value: Presence = {
      agent,
      runnerId: `${agent}@${life.host}`,
      providers: ['exec'],
      version,
      startedAt: life.bornAt,
      seenAt: this.#clock.now(),
      buffered: 0,
      spawnId: life.spawnId,
      host: life.host,
      active: this.#behaviour.active?.(agent) ?? 0,
    };
    await this.#ports
      .bucket('presence')
      .put(presenceKey(BOUNDARY, agent), jsonBytes(value), { ttlMs: TTL_MS });
  }

  #die(runner: Runner): void {
    runner.ending.abort();
    runner.life.diedAt = this.#clock.now();
    runner.life.diedMs = this.#clock.monotonicMs();
  }

  async #end(
    spawnId: string,
    how: { readonly exitCode: number | null; readonly signal: string | null; readonly wasAsked: boolean },
  ): Promise<void> {
    const runner = this.#runners.get(spawnId);
    if (runner === undefined) return;
    this.#die(runner);
    this.#runners.delete(spawnId);
    if (this.#behaviour.reportsEnds?.() === false) return;
    if (this.isUp) await this.#reportEnd(runner, how);
    else this.#unreported.push(() => this.#reportEnd(runner, how));
  }

  #reportEnd(
    { life, agent }: Runner,
    how: { readonly exitCode: number | null; readonly signal: string | null; readonly wasAsked: boolean },
  ): Promise<void> {
    const { spawnId, policy, host, bornAt } = life;
    return this.#report('agent-exited', {
      spawnId,
      policy,
      agent,
      host,
      pid: 1,
      ...how,
      wasForced: how.signal !== null,
      lastWords: '',
      startedAt: bornAt,
      exitedAt: this.#clock.now(),
    });
  }

  #report<Name extends ReportName>(name: Name, data: ReportData<Name>): Promise<void> {
    const { host } = this.#behaviour;
    const entry = encodeReport(name, data, {
      boundary: BOUNDARY,
      agent: host,
      id: makeId('event', this.#ports.ids.ulid()),
      source: `/host/${host}`,
      actor: `host:${host}`,
      timeMs: this.#clock.now(),
    });
    return this.#persist(async () => {
      await this.#ports.log('EVENTS').append(entry);
    });
  }

  /** As through its buffer: until it is stored. */
  async #persist(call: () => Promise<void>): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        return await call();
      } catch {
        await this.#clock.sleep(200, this.#signal);
      }
    }
  }
}

/** Starts it; it lives until the signal aborts. */
export const startHost = (
  ports: Ports,
  behaviour: HostBehaviour,
  signal: AbortSignal,
): ScriptedHost & { readonly done: Promise<void> } => {
  const host = new Host(ports, behaviour, signal);
  return Object.assign(host, { done: host.run() });
};
