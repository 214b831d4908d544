// Who gets which task: given who waits, who is free and what is under way, the hand-overs that are due, in order. Pure.
// Guarantees, each a property test: no limit is exceeded; a task is passed over only while nothing that could take it is free,
// so no newcomer overtakes an equal and nobody starves behind one; and nothing that could go is left waiting.
import { compareRank } from '#streams/task-order.ts';
import type { Limits, Usage } from './limits.policy.ts';
import type { RunnerFacts, Runners } from './runners.policy.ts';
import type { Demand, Line, WaitingTask, WaitingTasks } from './waiting.policy.ts';

/** One hand-over. */
export interface Grant {
  readonly taskId: string;
  readonly attempt: number;
  readonly agent: string;
}

/** What a decision is made from; nothing of it is changed. */
export interface Situation {
  readonly waiting: Pick<WaitingTasks, 'lines'>;
  readonly runners: Pick<Runners, 'able' | 'freeSlots' | 'hostOf' | 'roomFor'>;
  readonly usage: Usage;
}

/** Slots left while one decision gives them away, of agents and of the machines that they are on. */
class Slots {
  readonly #left = new Map<string, number>();
  readonly #room = new Map<string, number>();
  readonly #situation: Situation;
  readonly #limits: Limits;

  constructor(situation: Situation, limits: Limits) {
    this.#situation = situation;
    this.#limits = limits;
  }

  of(agent: string): number {
    return Math.min(this.#ofAgent(agent), this.#ofHost(agent));
  }

  take(agent: string): void {
    this.#left.set(agent, this.#ofAgent(agent) - 1);
    const host = this.#situation.runners.hostOf(agent);
    if (host !== undefined) this.#room.set(host, this.#ofHost(agent) - 1);
  }

  #ofAgent(agent: string): number {
    const known = this.#left.get(agent);
    if (known !== undefined) return known;
    const free = this.#situation.runners.freeSlots(agent, this.#limits);
    this.#left.set(agent, free);
    return free;
  }

  #ofHost(agent: string): number {
    const { runners } = this.#situation;
    const host = runners.hostOf(agent);
    if (host === undefined) return Infinity;
    const known = this.#room.get(host) ?? runners.roomFor(agent, this.#limits);
    this.#room.set(host, known);
    return known;
  }
}

/** How much an agent could do besides: who can do little is used first, so that who can do much stays free for it. */
const breadth = ({ providers, labels }: RunnerFacts): number => providers.length + labels.length;

/** The free agent for a task: the least able one, then the one with most free slots, then by name. */
const pickAgent = (demand: Demand, { runners }: Situation, slots: Slots): string | undefined => {
  let best: { readonly agent: string; readonly facts: RunnerFacts } | undefined;
  for (const [agent, facts] of runners.able(demand)) {
    if (slots.of(agent) <= 0) continue;
    const order =
      best === undefined
        ? -1
        : breadth(facts) - breadth(best.facts) ||
          slots.of(best.agent) - slots.of(agent) ||
          (agent < best.agent ? -1 : 1);
    if (order < 0) best = { agent, facts };
  }
  return best?.agent;
};

/** A line and how far this decision has gone through it. */
interface Cursor {
  readonly line: Line;
  next: number;
}

const headOf = ({ line, next }: Cursor): WaitingTask | undefined => line.tasks[next];

/** The line whose head goes first. */
const firstOf = (cursors: Iterable<Cursor>): readonly [Cursor, WaitingTask] | undefined => {
  let first: readonly [Cursor, WaitingTask] | undefined;
  for (const cursor of cursors) {
    const head = headOf(cursor);
    if (head !== undefined && (first === undefined || compareRank(head, first[1]) < 0))
      first = [cursor, head];
  }
  return first;
};

/** The hand-overs that are due, at most `most`, in the order in which they were decided. */
export const decideGrants = (situation: Situation, limits: Limits, most: number): readonly Grant[] => {
  const usage = situation.usage.copy();
  const slots = new Slots(situation, limits);
  const open = new Set<Cursor>();
  for (const line of situation.waiting.lines()) open.add({ line, next: 0 });
  const grants: Grant[] = [];
  while (grants.length < most) {
    const first = firstOf(open);
    if (first === undefined) break;
    const [cursor, task] = first;
    const agent = usage.fits(task, limits) ? pickAgent(task, situation, slots) : undefined;
    // What is free only shrinks within a decision: a line that cannot go now cannot go later in it.
    if (agent === undefined) open.delete(cursor);
    else {
      usage.add(task, 1);
      slots.take(agent);
      cursor.next += 1;
      grants.push({ taskId: task.taskId, attempt: task.attempt, agent });
    }
  }
  return grants;
};
