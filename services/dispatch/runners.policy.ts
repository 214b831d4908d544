// The runners of a fleet: which agents are present, with which providers and labels, and how many of their slots are taken. A slot
// is taken by every run that was given to the agent and has not ended, whether a task caused it or a person. Pure.
import type { Limits } from './limits.policy.ts';
import type { Demand } from './waiting.policy.ts';

/** What a runner said of itself. */
export interface RunnerFacts {
  readonly providers: readonly string[];
  readonly labels: readonly string[];
  /** Turns it does at once. */
  readonly slots: number;
}

export interface Runners {
  present(agent: string, facts: RunnerFacts): void;
  gone(agent: string): void;
  isPresent(agent: string): boolean;
  /** The run takes a slot of the agent; harmless when it has one. */
  take(agent: string, runId: string): void;
  /** The run takes no slot any more. */
  free(runId: string): void;
  /** Free slots of a present agent, within its limit; 0 for one that is gone. */
  freeSlots(agent: string, limits: Limits): number;
  /** Agents that are present and could do it, whether they are free or not. */
  able(demand: Demand): Iterable<readonly [string, RunnerFacts]>;
}

const isAble = (facts: RunnerFacts, { provider, labels }: Demand): boolean =>
  facts.providers.includes(provider) && labels.every((label) => facts.labels.includes(label));

class RunnerSet implements Runners {
  readonly #present = new Map<string, RunnerFacts>();
  readonly #runs = new Map<string, Set<string>>();
  readonly #agentOf = new Map<string, string>();

  present(agent: string, facts: RunnerFacts): void {
    this.#present.set(agent, facts);
  }

  gone(agent: string): void {
    this.#present.delete(agent);
  }

  isPresent(agent: string): boolean {
    return this.#present.has(agent);
  }

  take(agent: string, runId: string): void {
    this.#agentOf.set(runId, agent);
    const runs = this.#runs.get(agent) ?? new Set();
    this.#runs.set(agent, runs.add(runId));
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
    return Math.max(0, most - (this.#runs.get(agent)?.size ?? 0));
  }

  *able(demand: Demand): Iterable<readonly [string, RunnerFacts]> {
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
