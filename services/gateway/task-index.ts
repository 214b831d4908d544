// Tasks in the orders in which they are listed, kept beside the view of the bucket: as they go (higher priority, then the older one, ST-51),
// as they wait in their queue, and by their last change; with the counts of each queue (ST-56). Never looks through all of them.
import { createOrderedIndex, type OrderedIndex, type Walk } from '#libs/projections/ordered-index.ts';
import type { ReadView } from '#libs/projections/read-view.ts';
import { idOfKey, oneOf, text, whole } from '#libs/projections/row-fields.ts';
import { mergeWalks, takeRows } from '#libs/projections/walks.ts';
import type { ReadCursor } from '#streams/session-view.ts';
import { compareRank } from '#streams/task-order.ts';
import type { TaskView } from '#streams/task-view.ts';
import { TASK_STATES, type TaskStateName } from '#streams/task.ts';
import { changesAfter, createChangeOrder, type ChangePage, type ChangeRange } from './change-order.ts';
import { Readers, SeenVersions } from './readers.ts';
import { QueueTally, type QueueCounts } from './queue-tally.ts';

/** What taskRowOf looks at. */
export const TASK_ROW_FIELDS = [
  'seq',
  'queue',
  'lane',
  'priority',
  'state',
  'createdAt',
  'queuedSeq',
] as const;

/** What the orders and filters need of a task. */
export interface TaskRow extends Pick<
  TaskView,
  'seq' | 'queue' | 'lane' | 'priority' | 'state' | 'createdAt' | 'queuedSeq'
> {
  readonly id: string;
  /** Of its value in the bucket. */
  readonly key: string;
  /** What a reader may have seen: its last change. */
  readonly version: number;
}

const STATES: ReadonlySet<TaskStateName> = new Set(TASK_STATES);

/** The row of a value of the bucket; throws for what is none. */
export const taskRowOf = (value: unknown, key: string): TaskRow => {
  const fields = value as Readonly<Partial<Record<(typeof TASK_ROW_FIELDS)[number], unknown>>>;
  const seq = whole(fields.seq);
  return {
    id: idOfKey(key),
    key,
    seq,
    version: seq,
    queue: text(fields.queue),
    lane: text(fields.lane),
    priority: whole(fields.priority),
    state: oneOf(fields.state, STATES),
    createdAt: whole(fields.createdAt),
    queuedSeq: whole(fields.queuedSeq),
  };
};

/** ST-51: none of it ever changes. */
export type TaskPlace = Pick<TaskRow, 'priority' | 'createdAt' | 'id'>;

const compare = (a: TaskPlace, b: TaskPlace): number =>
  b.priority - a.priority || a.createdAt - b.createdAt || (a.id < b.id ? -1 : Number(a.id > b.id));

const ENDED: ReadonlySet<TaskStateName> = new Set(['completed', 'failed', 'blocked', 'cancelled']);
/** ST-55: not ended. */
export const isActiveTask = ({ state }: Pick<TaskRow, 'state'>): boolean => !ENDED.has(state);

export interface TaskFilter {
  readonly queue?: string | undefined;
  readonly lane?: string | undefined;
  readonly state?: readonly TaskStateName[] | undefined;
}

type Page = { readonly rows: readonly TaskRow[]; readonly hasMore: boolean };

/** The tasks of a queue in one state and lane, in the order of the list. */
interface Kind {
  readonly state: TaskStateName;
  readonly lane: string;
  readonly index: OrderedIndex<TaskPlace, TaskRow>;
}

const kindOf = ({ state, lane }: TaskRow): string => `${state} ${lane}`;

/** Readers of one queue whose lists are kept at the same time. */
const MOST_READERS_OF_QUEUE = 8;

/** One queue: its tasks by what lists are narrowed by, and those that wait in the order in which they go. */
class Queue {
  readonly kinds = new Map<string, Kind>();
  readonly waiting = createOrderedIndex<TaskRow, TaskRow>(compareRank);
  readonly tally = new QueueTally();
  /** A reader's unread tasks of all queues may be very many before one of this. */
  readonly readers: Readers<TaskPlace, TaskRow>;

  constructor(seen: SeenVersions<TaskPlace, TaskRow>) {
    this.readers = new Readers(compare, seen, {
      all: (after) => mergeWalks(compare, this.walks({ state: [...ENDED] }, after)),
      most: MOST_READERS_OF_QUEUE,
    });
  }

  /** Its tasks in order, by kinds. */
  walks(
    { lane, state }: Pick<TaskFilter, 'lane' | 'state'>,
    after: TaskPlace | undefined,
  ): readonly Walk<TaskRow>[] {
    const walks: Walk<TaskRow>[] = [];
    for (const kind of this.kinds.values())
      if ((state === undefined || state.includes(kind.state)) && (lane === undefined || lane === kind.lane))
        walks.push(kind.index.walk(after));
    return walks;
  }

  add(row: TaskRow): void {
    const { state, lane } = row;
    const name = kindOf(row);
    const kind = this.kinds.get(name) ?? {
      state,
      lane,
      index: createOrderedIndex<TaskPlace, TaskRow>(compare),
    };
    this.kinds.set(name, kind);
    kind.index.add(row);
    if (row.state === 'pending') this.waiting.add(row);
    if (!isActiveTask(row)) this.readers.add(row);
    this.tally.add(row);
  }

  remove(row: TaskRow): void {
    this.kinds.get(kindOf(row))?.index.remove(row);
    if (row.state === 'pending') this.waiting.remove(row);
    if (!isActiveTask(row)) this.readers.remove(row);
    this.tally.remove(row);
  }
}

const isWanted =
  ({ queue, lane, state }: TaskFilter) =>
  (row: TaskRow): boolean =>
    (queue === undefined || row.queue === queue) &&
    (lane === undefined || row.lane === lane) &&
    (state === undefined || state.includes(row.state));

export class TaskIndex {
  readonly #queues = new Map<string, Queue>();
  readonly #changes = createChangeOrder<TaskRow>();
  readonly #seen = new SeenVersions<TaskPlace, TaskRow>();
  readonly #readers = new Readers<TaskPlace, TaskRow>(compare, this.#seen, {
    all: (after) => this.#walk({ state: [...ENDED] }, after),
  });

  /** Follows the view from now on. */
  constructor(view: Pick<ReadView<Omit<TaskView, 'seq'>, TaskRow>, 'follow'>) {
    view.follow((before, after) => {
      if (before !== undefined) this.#remove(before);
      if (after !== undefined) this.#add(after);
    });
  }

  /** A reader's cursor over a task has moved, or is gone. */
  noteCursor(
    { reader, id }: Pick<ReadCursor, 'reader' | 'id'>,
    version: number,
    row: TaskRow | undefined,
  ): void {
    const ended = row !== undefined && !isActiveTask(row) ? row : undefined;
    const queue = ended && this.#queues.get(ended.queue);
    this.#seen.move({ reader, id, version }, ended, [this.#readers, ...(queue ? [queue.readers] : [])]);
  }

  /** The version that a reader has seen; 0: none. */
  seen(reader: string, id: string): number {
    return this.#seen.of(reader, id);
  }

  /** Puts everything that has come in its place now: the first reader after a start would wait for it. */
  sort(): void {
    for (const { kinds, waiting } of this.#queues.values()) {
      for (const { index } of kinds.values()) index.sort();
      waiting.sort();
    }
    this.#changes.sort();
  }

  /** A page of tasks in the order in which they go. */
  page(
    filter: TaskFilter,
    { after, limit }: { readonly after?: TaskPlace | undefined; readonly limit: number },
  ): Page {
    return takeRows([this.#walk(filter, after)], limit);
  }

  /** Before the first look of a reader: without it that makes the reader's lists, and everybody waits for it. */
  async prepare(reader: string, queue?: string): Promise<void> {
    await this.#readersOf(queue)?.prepare(reader);
  }

  /** ST-57: what wants attention in a queue: with a reader what is going on or unread, else everything. */
  attention(filter: TaskFilter, reader: string | undefined, limit: number): Page {
    if (reader === undefined) return this.page(filter, { limit });
    const going = this.#walk(
      { ...filter, state: ['pending', 'assigned', 'running', 'cancelling'] },
      undefined,
    );
    const unread = this.#readersOf(filter.queue)?.of(reader).unread.walk();
    const walk = mergeWalks(compare, unread === undefined ? [going] : [going, unread]);
    return takeRows([walk], limit, isWanted(filter));
  }

  /** Undefined: there was never a task in the queue. */
  #readersOf(queue: string | undefined): Readers<TaskPlace, TaskRow> | undefined {
    return queue === undefined ? this.#readers : this.#queues.get(queue)?.readers;
  }

  /** Tasks that have changed, in the order of their last change. */
  changes(range: ChangeRange, filter: TaskFilter, limit: number): ChangePage<TaskRow> {
    return changesAfter(this.#changes, range, limit, isWanted(filter));
  }

  /** HR-14, HR-15: the place of a waiting task in its queue, from 1; null for one that does not wait. */
  positionOf(row: TaskRow): number | null {
    const queue = this.#queues.get(row.queue);
    return queue === undefined || row.state !== 'pending' ? null : queue.waiting.rank(row) + 1;
  }

  /** The first waiting tasks of a queue, in the order in which they go. */
  firstWaiting(queue: string, most: number): readonly string[] {
    const waiting = this.#queues.get(queue)?.waiting;
    return waiting === undefined ? [] : takeRows([waiting.walk()], most).rows.map(({ id }) => id);
  }

  /** The counts of every queue that ever had a task, or of one, by name. */
  counts(only?: string): readonly QueueCounts[] {
    const names = only === undefined ? [...this.#queues.keys()].toSorted() : [only];
    return names.flatMap((name) => {
      const queue = this.#queues.get(name);
      return queue === undefined ? [] : [queue.tally.counts(name, queue.waiting)];
    });
  }

  #walk(filter: TaskFilter, after: TaskPlace | undefined): Walk<TaskRow> {
    const { queue } = filter;
    const of = queue === undefined ? [...this.#queues.values()] : [this.#queues.get(queue)];
    return mergeWalks(
      compare,
      of.flatMap((one) => one?.walks(filter, after) ?? []),
    );
  }

  #add(row: TaskRow): void {
    const queue = this.#queues.get(row.queue) ?? new Queue(this.#seen);
    this.#queues.set(row.queue, queue);
    queue.add(row);
    this.#changes.add(row);
    if (!isActiveTask(row)) this.#readers.add(row);
  }

  #remove(row: TaskRow): void {
    this.#queues.get(row.queue)?.remove(row);
    this.#changes.remove(row);
    if (!isActiveTask(row)) this.#readers.remove(row);
  }
}
