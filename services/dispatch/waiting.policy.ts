// The tasks that wait, in the order in which they go. Those that ask for the same (queue, lane, provider, agent, labels) form a
// line: what holds for its head holds for all of it, so a decision looks at heads only, however many wait behind them. Pure.
import { compareRank, type TaskRank } from '#streams/task-order.ts';
import type { Share } from './limits.policy.ts';

/** What a task asks for. */
export interface Demand extends Share {
  /** The only agent that may do it; null: any. */
  readonly agent: string | null;
  readonly labels: readonly string[];
}

export interface WaitingTask extends Demand, TaskRank {
  readonly taskId: string;
  /** Number of the attempt that it waits for. */
  readonly attempt: number;
}

/** Tasks that ask for the same, in their order. */
export interface Line {
  readonly demand: Demand;
  readonly tasks: readonly WaitingTask[];
}

export interface WaitingTasks {
  add(task: WaitingTask): void;
  remove(task: WaitingTask): void;
  lines(): Iterable<Line>;
  readonly size: number;
}

const lineKey = ({ queue, lane, provider, agent, labels }: Demand): string =>
  [queue, lane, provider, agent ?? '', ...labels.toSorted()].join(' ');

/** Index of the first task that does not go before `rank`. */
const placeOf = (tasks: readonly WaitingTask[], rank: TaskRank): number => {
  let low = 0;
  let high = tasks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const task = tasks[middle];
    if (task !== undefined && compareRank(task, rank) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
};

class Lines implements WaitingTasks {
  readonly #lines = new Map<string, { readonly demand: Demand; readonly tasks: WaitingTask[] }>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  lines(): Iterable<Line> {
    return this.#lines.values();
  }

  add(task: WaitingTask): void {
    const key = lineKey(task);
    const line = this.#lines.get(key) ?? { demand: task, tasks: [] };
    this.#lines.set(key, line);
    line.tasks.splice(placeOf(line.tasks, task), 0, task);
    this.#size += 1;
  }

  remove(task: WaitingTask): void {
    const key = lineKey(task);
    const tasks = this.#lines.get(key)?.tasks;
    const at = tasks === undefined ? -1 : placeOf(tasks, task);
    if (tasks?.[at]?.taskId !== task.taskId) return;
    tasks.splice(at, 1);
    this.#size -= 1;
    if (tasks.length === 0) this.#lines.delete(key);
  }
}

/** Nobody waits. */
export const nobodyWaits = (): WaitingTasks => new Lines();
