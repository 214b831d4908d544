// Runners that could not do anything of what they were given, for a reason of their own, of their machine or their account (no room on its
// disk, a program that is not there, a login that has expired): they fail whatever they get, and would eat a queue. Each takes nothing of
// that provider for a while, the longer the oftener; work that is done, or a runner that is started again, ends that. Pure: who holds it
// ends a wait when its time has come.

const FIRST_MS = 5000;
const MOST_MS = 300_000;

/** How long after the `count`-th failure in a row (from 1), ms. */
export const unfitForMs = (count: number): number =>
  Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(count - 1, 10));

/** What keeps an agent from taking anything of a provider. */
interface Unfitness {
  /** Epoch ms. */
  readonly untilMs: number;
  /** What its runner said. */
  readonly why: string;
}

export interface Unfit {
  /** A run of the agent failed for such a reason. What was under way beside an earlier failure makes nothing longer. */
  failed(agent: string, provider: string, failure: { readonly atMs: number; readonly why: string }): void;
  /** The agent has done something: it can. */
  worked(agent: string, provider: string): void;
  /** Another process is its runner now. */
  restarted(agent: string): void;
  /** Ends the waits that are over by now. */
  endDue(nowMs: number): void;
  /** Undefined: it may be given something. */
  of(agent: string, provider: string): Unfitness | undefined;
  /** When the first wait ends; undefined: none is on. */
  next(): number | undefined;
}

interface Known extends Unfitness {
  readonly count: number;
  readonly isOver: boolean;
}

class UnfitSet implements Unfit {
  /** By agent, then by provider. */
  readonly #known = new Map<string, Map<string, Known>>();

  failed(
    agent: string,
    provider: string,
    { atMs, why }: { readonly atMs: number; readonly why: string },
  ): void {
    const ofAgent = this.#known.get(agent) ?? new Map<string, Known>();
    const last = ofAgent.get(provider);
    if (last !== undefined && atMs <= last.untilMs && !last.isOver) return;
    // Who had nothing to do for so long, or did it, is not known for an old trouble.
    const count = last === undefined || atMs > last.untilMs + MOST_MS ? 1 : last.count + 1;
    this.#known.set(
      agent,
      ofAgent.set(provider, { count, why, untilMs: atMs + unfitForMs(count), isOver: false }),
    );
  }

  worked(agent: string, provider: string): void {
    const ofAgent = this.#known.get(agent);
    if (ofAgent?.delete(provider) === true && ofAgent.size === 0) this.#known.delete(agent);
  }

  restarted(agent: string): void {
    this.#known.delete(agent);
  }

  endDue(nowMs: number): void {
    for (const [ofAgent, provider, known] of this.#each())
      if (known.untilMs <= nowMs) ofAgent.set(provider, { ...known, isOver: true });
  }

  of(agent: string, provider: string): Unfitness | undefined {
    const known = this.#known.get(agent)?.get(provider);
    return known === undefined || known.isOver ? undefined : known;
  }

  next(): number | undefined {
    const waits = [...this.#each()].flatMap(([, , { isOver, untilMs }]) => (isOver ? [] : [untilMs]));
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  *#each(): Iterable<readonly [Map<string, Known>, string, Known]> {
    for (const ofAgent of this.#known.values())
      for (const [provider, known] of ofAgent) yield [ofAgent, provider, known];
  }
}

/** Everybody is fit. */
export const allFit = (): Unfit => new UnfitSet();
