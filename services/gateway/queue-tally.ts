// The counts of one queue, kept as its tasks change (ST-56).
import type { Walk } from '#libs/projections/ordered-index.ts';
import type { TaskStateName } from '#streams/task.ts';

interface Counted {
  readonly seq: number;
  readonly state: TaskStateName;
  readonly lane: string;
}

/** How many of what. */
export interface QueueCounts {
  readonly queue: string;
  readonly total: number;
  readonly states: Readonly<Partial<Record<TaskStateName, number>>>;
  readonly lanes: Readonly<Record<string, number>>;
  /** Of the last change of any of its tasks. */
  readonly maxSeq: number;
  /** The first that wait, in the order in which they go. */
  readonly next: readonly string[];
}

const SHOWN_WAITING = 10;

/** One more or less; what nothing is left of is not named. */
const count = <Name>(counts: Map<Name, number>, name: Name, by: 1 | -1): void => {
  const now = (counts.get(name) ?? 0) + by;
  if (now > 0) counts.set(name, now);
  else counts.delete(name);
};

export class QueueTally {
  readonly #states = new Map<TaskStateName, number>();
  readonly #lanes = new Map<string, number>();
  #total = 0;
  #maxSeq = 0;

  add({ state, lane, seq }: Counted): void {
    this.#change(state, lane, 1);
    this.#maxSeq = Math.max(this.#maxSeq, seq);
  }

  remove({ state, lane }: Counted): void {
    this.#change(state, lane, -1);
  }

  counts(queue: string, waiting: { walk(): Walk<{ readonly id: string }> }): QueueCounts {
    const next: string[] = [];
    for (const walk = waiting.walk(); walk.row !== undefined && next.length < SHOWN_WAITING; walk.advance())
      next.push(walk.row.id);
    return {
      queue,
      total: this.#total,
      states: Object.fromEntries(this.#states),
      lanes: Object.fromEntries(this.#lanes),
      maxSeq: this.#maxSeq,
      next,
    };
  }

  #change(state: TaskStateName, lane: string, by: 1 | -1): void {
    this.#total += by;
    count(this.#states, state, by);
    count(this.#lanes, lane, by);
  }
}
