// The machines that runners are on: how many tasks each has room for, by its limit and by the memory and disk that were free when a
// runner there last looked. What was given to a machine since then is counted as if it had its memory already. Pure.
import type { MachineFacts } from '#streams/machine-facts.ts';
import type { Limits } from './limits.policy.ts';

/** What keeps a machine from taking one more. */
export type HostObstacle = 'host-limit' | 'host-memory' | 'host-disk';

interface HostRoom {
  /** How many more; infinite where nothing limits them, or the machine is not known. */
  readonly tasks: number;
  /** What is short when it is none. */
  readonly obstacle: HostObstacle | undefined;
}

export interface Hosts {
  /** A runner has said what its machine has free; it may have moved. */
  measured(agent: string, facts: MachineFacts): void;
  /** A run was given to an agent; no measurement shows it yet. */
  given(agent: string): void;
  of(agent: string): string | undefined;
  room(agent: string, limits: Limits): HostRoom;
}

interface Host {
  facts: MachineFacts;
  readonly agents: Set<string>;
  /** Runs given to it since it was measured. */
  givenSince: number;
}

const UNKNOWN: HostRoom = { tasks: Infinity, obstacle: undefined };

const memoryRoom = (
  { facts, givenSince }: Host,
  { hostMemoryFloorBytes = 0, taskMemoryBytes = 0 }: Limits,
): number => {
  const above = facts.freeMemoryBytes - hostMemoryFloorBytes;
  if (taskMemoryBytes === 0) return above >= 0 ? Infinity : 0;
  return Math.max(0, Math.floor(above / taskMemoryBytes) - givenSince);
};

class HostSet implements Hosts {
  readonly #hosts = new Map<string, Host>();
  readonly #hostOf = new Map<string, string>();
  readonly #taken: (agent: string) => number;

  constructor(taken: (agent: string) => number) {
    this.#taken = taken;
  }

  measured(agent: string, facts: MachineFacts): void {
    const before = this.#hostOf.get(agent);
    if (before !== undefined && before !== facts.name) this.#leave(agent, before);
    this.#hostOf.set(agent, facts.name);
    const host = this.#hosts.get(facts.name) ?? { facts, agents: new Set(), givenSince: 0 };
    this.#hosts.set(facts.name, host);
    host.agents.add(agent);
    host.facts = facts;
    host.givenSince = 0;
  }

  given(agent: string): void {
    const host = this.#find(agent);
    if (host !== undefined) host.givenSince += 1;
  }

  of(agent: string): string | undefined {
    return this.#hostOf.get(agent);
  }

  room(agent: string, limits: Limits): HostRoom {
    const host = this.#find(agent);
    if (host === undefined) return UNKNOWN;
    const most = limits.hosts?.get(host.facts.name) ?? limits.eachHost ?? Infinity;
    const bySlots = Math.max(0, most - this.#under(host));
    if (bySlots === 0) return { tasks: 0, obstacle: 'host-limit' };
    if (host.facts.freeDiskBytes < (limits.hostDiskFloorBytes ?? 0))
      return { tasks: 0, obstacle: 'host-disk' };
    const byMemory = memoryRoom(host, limits);
    if (byMemory === 0) return { tasks: 0, obstacle: 'host-memory' };
    return { tasks: Math.min(bySlots, byMemory), obstacle: undefined };
  }

  #under({ agents }: Host): number {
    let runs = 0;
    for (const agent of agents) runs += this.#taken(agent);
    return runs;
  }

  #find(agent: string): Host | undefined {
    const name = this.#hostOf.get(agent);
    return name === undefined ? undefined : this.#hosts.get(name);
  }

  #leave(agent: string, name: string): void {
    const host = this.#hosts.get(name);
    host?.agents.delete(agent);
    if (host?.agents.size === 0) this.#hosts.delete(name);
  }
}

/** No machine is known. `taken`: runs that an agent has. */
export const noHosts = (taken: (agent: string) => number): Hosts => new HostSet(taken);
