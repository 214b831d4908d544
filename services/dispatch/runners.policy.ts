// The runners of a fleet: which agents are present, with which providers and labels, on which machines, and how many of their slots are
// taken. A slot is taken by every run that was given to the agent and has not ended, whether a task caused it or a person. Pure.
import type { MachineFacts } from '#streams/machine-facts.ts';
import { noHosts, type HostObstacle, type Hosts } from './hosts.policy.ts';
import type { Limits } from './limits.policy.ts';
import { noPauses, type Pauses } from './pauses.policy.ts';
import { allFit, type Unfit } from './unfit.policy.ts';
import type { Demand } from './waiting.policy.ts';

/** What a runner said of itself. */
export interface RunnerFacts {
  readonly providers: readonly string[];
  readonly labels: readonly string[];
  /** Turns it does at once. */
  readonly slots: number;
  /** The machine that it is on, as it was when it said so. */
  readonly host?: MachineFacts;
  /** Whose quota its programs use up; absent: its own. */
  readonly account?: string;
  /** When its process began, epoch ms. */
  readonly startedAt?: number;
}

/** Why an agent that could do it takes nothing now. */
export type Obstacle = 'slots' | 'agent-limit' | 'provider-paused' | 'runner-unfit' | HostObstacle;

export interface Runners {
  readonly pauses: Pauses;
  readonly unfit: Unfit;
  /** Until when the agent takes nothing of the provider, epoch ms. */
  pausedUntil(agent: string, provider: string): number | undefined;
  present(agent: string, facts: RunnerFacts): void;
  gone(agent: string): void;
  isPresent(agent: string): boolean;
  /** What a present agent said of itself. */
  factsOf(agent: string): RunnerFacts | undefined;
  /** The run takes a slot of the agent; harmless when it has one. */
  take(agent: string, runId: string): void;
  /** The run takes no slot any more. */
  free(runId: string): void;
  /** Free slots of a present agent, within its limit; 0 for one that is gone. */
  freeSlots(agent: string, limits: Limits): number;
  /** The machine that the agent is on, or was last; undefined: not known. */
  hostOf(agent: string): string | undefined;
  /** How many more the agent's machine has room for; infinite when it is not known. */
  roomFor(agent: string, limits: Limits): number;
  /** Agents that are present and could do it, whether they are free or not; those whose provider is paused, or who are unfit, are left out. */
  able(demand: Demand): Iterable<readonly [string, RunnerFacts]>;
  /** Every agent that is present and could do it, and what keeps it from that now; undefined: nothing. */
  obstacles(demand: Demand, limits: Limits): ReadonlyMap<string, Obstacle | undefined>;
}

const isAble = (facts: RunnerFacts, { provider, labels }: Demand): boolean =>
  facts.providers.includes(provider) && labels.every((label) => facts.labels.includes(label));

class RunnerSet implements Runners {
  readonly pauses = noPauses();
  readonly unfit = allFit();
  readonly #present = new Map<string, RunnerFacts>();
  readonly #runs = new Map<string, Set<string>>();
  readonly #agentOf = new Map<string, string>();
  /** Of agents that are or were there. */
  readonly #accountOf = new Map<string, string>();
  /** The same, when their processes began. */
  readonly #startedAt = new Map<string, number>();
  readonly #hosts: Hosts = noHosts((agent) => this.#taken(agent));

  pausedUntil = (agent: string, provider: string): number | undefined => {
    const account = this.#accountOf.get(agent);
    return this.pauses.until(
      agent,
      provider,
      (other) => account !== undefined && this.#accountOf.get(other) === account,
    );
  };

  present(agent: string, facts: RunnerFacts): void {
    const { startedAt } = facts;
    const before = this.#startedAt.get(agent);
    if (before !== undefined && startedAt !== undefined && before !== startedAt) this.unfit.restarted(agent);
    if (startedAt !== undefined) this.#startedAt.set(agent, startedAt);
    this.#present.set(agent, facts);
    if (facts.host !== undefined) this.#hosts.measured(agent, facts.host);
    if (facts.account === undefined) this.#accountOf.delete(agent);
    else this.#accountOf.set(agent, facts.account);
  }

  gone(agent: string): void {
    this.#present.delete(agent);
  }

  isPresent(agent: string): boolean {
    return this.#present.has(agent);
  }

  factsOf(agent: string): RunnerFacts | undefined {
    return this.#present.get(agent);
  }

  take(agent: string, runId: string): void {
    if (this.#agentOf.get(runId) === agent) return;
    this.free(runId);
    this.#agentOf.set(runId, agent);
    const runs = this.#runs.get(agent) ?? new Set();
    this.#runs.set(agent, runs.add(runId));
    this.#hosts.given(agent);
  }

  free(runId: string): void {
    const agent = this.#agentOf.get(runId);
    if (agent === undefined) return;
    this.#agentOf.delete(runId);
    const runs = this.#runs.get(agent);
    runs?.delete(runId);
    if (runs?.size === 0) this.#runs.delete(agent);
  }

  freeSlots(agent: string, { agents }: Limits): number {
    const slots = this.#present.get(agent)?.slots ?? 0;
    const most = Math.min(slots, agents.get(agent) ?? Infinity);
    return Math.max(0, most - this.#taken(agent));
  }

  hostOf(agent: string): string | undefined {
    return this.#hosts.of(agent);
  }

  roomFor(agent: string, limits: Limits): number {
    return this.#hosts.room(agent, limits).tasks;
  }

  *able(demand: Demand): Iterable<readonly [string, RunnerFacts]> {
    for (const [agent, facts] of this.#capable(demand))
      if (this.#keptBack(agent, demand.provider) === undefined) yield [agent, facts];
  }

  obstacles(demand: Demand, limits: Limits): ReadonlyMap<string, Obstacle | undefined> {
    const found = new Map<string, Obstacle | undefined>();
    for (const [agent, facts] of this.#capable(demand))
      found.set(agent, this.#obstacle(agent, facts, demand, limits));
    return found;
  }

  #obstacle(
    agent: string,
    { slots }: RunnerFacts,
    { provider }: Demand,
    limits: Limits,
  ): Obstacle | undefined {
    const keptBack = this.#keptBack(agent, provider);
    if (keptBack !== undefined) return keptBack;
    if (this.#taken(agent) >= slots) return 'slots';
    if (this.freeSlots(agent, limits) === 0) return 'agent-limit';
    return this.#hosts.room(agent, limits).obstacle;
  }

  #keptBack(agent: string, provider: string): 'provider-paused' | 'runner-unfit' | undefined {
    if (this.unfit.of(agent, provider) !== undefined) return 'runner-unfit';
    return this.pausedUntil(agent, provider) === undefined ? undefined : 'provider-paused';
  }

  #taken(agent: string): number {
    return this.#runs.get(agent)?.size ?? 0;
  }

  *#capable(demand: Demand): Iterable<readonly [string, RunnerFacts]> {
    if (demand.agent === null) {
      for (const entry of this.#present) if (isAble(entry[1], demand)) yield entry;
      return;
    }
    const facts = this.#present.get(demand.agent);
    if (facts !== undefined && isAble(facts, demand)) yield [demand.agent, facts];
  }
}

/** Nobody is present. */
export const noRunners = (): Runners => new RunnerSet();
