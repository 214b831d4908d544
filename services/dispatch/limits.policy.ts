// How many tasks may be under way at once: in the whole fleet, of a queue, in a lane of it, with an agent, with a provider.
// Counts what is under way and says whether one more fits. Pure. Does not know runners (see board.policy.ts).

/** What a limit of one name is; a name that is not in it has none. 0: nothing goes (paused). */
type NamedLimits = ReadonlyMap<string, number>;

export interface Limits {
  /** Of the tenant and project; undefined: none. */
  readonly fleet?: number;
  /** Of each queue that is not named in `queues`; undefined: none. */
  readonly eachQueue?: number;
  readonly queues: NamedLimits;
  /** By `<queue>/<lane>`. */
  readonly lanes: NamedLimits;
  /** Besides the slots that a runner has. */
  readonly agents: NamedLimits;
  readonly providers: NamedLimits;
  /** Of each machine that is not named in `hosts`; undefined: none. */
  readonly eachHost?: number;
  readonly hosts?: NamedLimits;
  /** What has to stay free on a machine that takes a task; undefined: nothing. */
  readonly hostMemoryFloorBytes?: number;
  readonly hostDiskFloorBytes?: number;
  /** Memory that a task is expected to need; undefined or 0: not known. */
  readonly taskMemoryBytes?: number;
}

/** A limit that leaves no room for one more. */
export interface Reached {
  readonly what: 'fleet' | 'queue' | 'lane' | 'provider';
  readonly most: number;
}

/** What a task takes a share of. */
export interface Share {
  readonly queue: string;
  readonly lane: string;
  readonly provider: string;
}

/** The key of a lane in {@link Limits.lanes}. */
export const laneKey = ({ queue, lane }: Share): string => `${queue}/${lane}`;

/** How many are under way, by everything that has a limit. */
export interface Usage {
  /** Adds one (or takes one away: -1). */
  add(share: Share, by: 1 | -1): void;
  /** Whether one more is within the limits. */
  fits(share: Share, limits: Limits): boolean;
  /** The first limit that one more would exceed; undefined: it fits. */
  reached(share: Share, limits: Limits): Reached | undefined;
  /** An independent copy. */
  copy(): Usage;
}

class Counts implements Usage {
  readonly #counts: Map<string, number>;

  constructor(counts: ReadonlyMap<string, number> = new Map()) {
    this.#counts = new Map(counts);
  }

  add(share: Share, by: 1 | -1): void {
    for (const key of keysOf(share)) {
      const count = this.#of(key) + by;
      if (count <= 0) this.#counts.delete(key);
      else this.#counts.set(key, count);
    }
  }

  fits(share: Share, limits: Limits): boolean {
    return this.reached(share, limits) === undefined;
  }

  reached(share: Share, { fleet, eachQueue, queues, lanes, providers }: Limits): Reached | undefined {
    const [all, queue, lane, provider] = keysOf(share);
    const limits = [
      ['fleet', all, fleet],
      ['queue', queue, queues.get(share.queue) ?? eachQueue],
      ['lane', lane, lanes.get(laneKey(share))],
      ['provider', provider, providers.get(share.provider)],
    ] as const;
    for (const [what, key, most] of limits)
      if (most !== undefined && this.#of(key) >= most) return { what, most };
    return undefined;
  }

  copy(): Usage {
    return new Counts(this.#counts);
  }

  #of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }
}

const keysOf = (share: Share): readonly [string, string, string, string] => [
  'fleet',
  `queue ${share.queue}`,
  `lane ${laneKey(share)}`,
  `provider ${share.provider}`,
];

/** Nothing under way. */
export const noUsage = (): Usage => new Counts();
