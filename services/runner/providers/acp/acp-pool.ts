// The agents' processes that are kept between turns: at most one a session, a bounded number of idle ones, each for a bounded time. A
// process that has gone, or was started another way than a turn needs it, is replaced. Does not talk to agents.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { RUN_VARIABLES, SESSION_VARIABLE } from '#services/runner/providers/child-environment.ts';
import type { ProviderEvent, TurnOrder } from '#services/runner/providers/provider.ts';
import { AcpAgent } from './acp-agent.ts';
import type { AgentSetting } from './acp-quirks.policy.ts';

export interface PoolSettings {
  /** Which row of the quirk table; `auto`: by program and its own word. */
  readonly agent: AgentSetting;
  /** Idle processes kept; 0: each is ended after its turn. */
  readonly keep: number;
  /** How long an idle one is kept. */
  readonly idleMs: number;
}

interface Kept {
  readonly agent: AcpAgent;
  /** How it was started. */
  readonly start: string;
  /** Rings when it has been idle for too long; undefined: a turn has it. */
  cancelIdle: CancelTimer | undefined;
}

/** For how long it matters when a conversation was begun. */
const REMEMBERED_MS = 120_000;

const sessionOf = ({ environment }: TurnOrder): string => environment[SESSION_VARIABLE] ?? '';

/** Variables that may differ from turn to turn while a process goes on. */
const differs = (name: string): boolean => RUN_VARIABLES.has(name) || name === 'FLEETLOG_TURN_TOKEN';

/** What a process was started with, apart from what differs from turn to turn. */
const startOf = ({ program, workspace, environment, mark, toolServers = [] }: TurnOrder): string => {
  const lasting = (variables: Readonly<Record<string, string>>): unknown[] =>
    Object.entries(variables)
      .filter(([name]) => name !== mark && !differs(name))
      .toSorted(([one], [other]) => (one < other ? -1 : 1));
  const servers = toolServers.map(({ env, ...server }) => ({ ...server, env: lasting(env) }));
  return JSON.stringify([program, workspace, lasting(environment), servers]);
};

/** An agent for a turn, and what it said since the last one. */
export interface Taken {
  readonly agent: AcpAgent;
  readonly said: readonly ProviderEvent[];
}

export class AcpPool {
  readonly #clock: Clock;
  readonly #settings: PoolSettings;
  /** By session, in the order of their last use. */
  readonly #agents = new Map<string, Kept>();
  /** Those on their way out, by session. */
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #begun = new Map<string, number>();
  readonly #startedAt: number;

  constructor(clock: Clock, settings: PoolSettings) {
    this.#clock = clock;
    this.#settings = settings;
    this.#startedAt = clock.now();
  }

  /** The agent of the order's session: the one that is kept, or a new one once that has gone. Never rejects. */
  async take(order: TurnOrder): Promise<Taken> {
    const session = sessionOf(order);
    const start = startOf(order);
    const kept = this.#agents.get(session);
    this.#agents.delete(session);
    kept?.cancelIdle?.();
    // Two processes in one conversation would fork it silently.
    await this.#leaving.get(session);
    if (kept !== undefined && (!kept.agent.isUsable || kept.start !== start)) await kept.agent.leave();
    const isGood = kept !== undefined && kept.agent.isUsable && kept.start === start;
    const agent = isGood
      ? kept.agent
      : new AcpAgent({ order, clock: this.#clock, agent: this.#settings.agent });
    this.#agents.set(session, { agent, start, cancelIdle: undefined });
    return { agent, said: kept?.agent.between.take() ?? [] };
  }

  /** The turn is over. True: its agent is kept; otherwise it is to be ended, and its end awaited. */
  give(order: TurnOrder): boolean {
    const session = sessionOf(order);
    const entry = this.#agents.get(session);
    if (entry === undefined || !entry.agent.isUsable || this.#settings.keep === 0) return false;
    // To the end of the line: the next to be ended is the one that was used longest ago.
    this.#agents.delete(session);
    this.#agents.set(session, entry);
    const { idleMs } = this.#settings;
    entry.cancelIdle = this.#clock.timer(idleMs, () => this.#dismiss(session, entry));
    const idle = [...this.#agents].filter(([, { cancelIdle }]) => cancelIdle !== undefined);
    for (const [name, one] of idle.slice(0, -this.#settings.keep)) this.#dismiss(name, one);
    return true;
  }

  /** A conversation was begun now. */
  noteBegun(sessionId: string): void {
    const now = this.#clock.now();
    for (const [known, at] of this.#begun) if (now - at > REMEMBERED_MS) this.#begun.delete(known);
    this.#begun.set(sessionId, now);
  }

  /** When it was begun, at the latest: one that is not known here was begun before this pool was. */
  begunAt(sessionId: string): number {
    return this.#begun.get(sessionId) ?? this.#startedAt;
  }

  /** Ends every process. Resolves when all have gone. */
  async close(): Promise<void> {
    for (const [session, entry] of this.#agents) this.#dismiss(session, entry);
    await Promise.all(this.#leaving.values());
  }

  #dismiss(session: string, entry: Kept): void {
    entry.cancelIdle?.();
    if (this.#agents.get(session) === entry) this.#agents.delete(session);
    const leaving = entry.agent.leave();
    this.#leaving.set(session, leaving);
    void leaving.then(() => this.#leaving.get(session) === leaving && this.#leaving.delete(session));
  }
}
