// What the contract of work queues asks of whoever runs it, and how its tests take and fill.
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Delivery, WorkQueue } from '#libs/ports/work-queue.ts';
import { entry, idOf } from './log-harness.ts';

/** What the suite asks of a consumer. */
interface QueueShape {
  readonly ackWaitMs: number;
  readonly maxAckPending: number;
  readonly prioritized: boolean;
  /** Names as for `subject`, with `*` and `>`; none: every subject of the stream. */
  readonly filters: readonly string[];
}

interface QueueHarness {
  /** The log of the stream behind the queues: empty, nothing was ever stored in it. */
  readonly log: EventLog;
  /** A literal subject of the stream (or a filter, when the name holds wildcards), the same for the same name. */
  readonly subject: (name: string) => string;
  /** Creates a durable consumer that starts with the first entry, and gives its queue. */
  readonly createQueue: (shape: QueueShape) => Promise<WorkQueue>;
  /** Time passes; does nothing on a real broker, where the tests wait for what time brings about. */
  readonly advance: (ms: number) => Promise<void>;
  readonly dispose: () => Promise<void>;
}

/** Makes a harness. Called once per test. */
export type MakeQueues = () => Promise<QueueHarness>;

/** The test's way to a queue: defaults for its shape, and takers that end with the test. */
export interface QueueTest extends Pick<QueueHarness, 'log' | 'subject' | 'advance'> {
  readonly queue: (shape?: Partial<QueueShape>) => Promise<WorkQueue>;
  /** Appends entries `<name>` on subject `<name>`'s first part, in order: `a1` goes to subject `a`. */
  readonly fill: (...ids: readonly string[]) => Promise<void>;
  readonly take: (queue: WorkQueue, max: number, priority?: number) => Taker;
}

/** One taker, read delivery by delivery or batch by batch. */
export interface Taker {
  /** The next delivery; fetches a batch when none is left. */
  readonly next: () => Promise<Delivery>;
  readonly nextBatch: () => Promise<readonly Delivery[]>;
  /** Aborts and waits for the end. */
  readonly stop: () => Promise<void>;
  /** Aborts; the end comes when it comes. */
  readonly abort: () => void;
}

const SHAPE: QueueShape = { ackWaitMs: 1_000, maxAckPending: 1_000, prioritized: false, filters: [] };

const takerOf = (queue: WorkQueue, max: number, priority: number): Taker => {
  const controller = new AbortController();
  const { signal } = controller;
  const iterator = queue.batches({ max, priority, signal })[Symbol.asyncIterator]();
  let left: Delivery[] = [];
  const nextBatch = async (): Promise<readonly Delivery[]> => {
    const step = await iterator.next();
    if (step.done === true) throw new Error('the queue ended while the test was taking');
    return step.value;
  };
  return {
    nextBatch,
    next: async () => {
      if (left.length === 0) left = [...(await nextBatch())];
      const [delivery, ...rest] = left;
      if (delivery === undefined) throw new Error('a batch without deliveries');
      left = rest;
      return delivery;
    },
    abort: () => controller.abort(),
    stop: async () => {
      controller.abort();
      while ((await iterator.next()).done !== true) left = [];
    },
  };
};

/** Runs a test on a harness of its own and ends its takers. */
export const withQueues =
  (make: MakeQueues, body: (test: QueueTest) => Promise<void>): (() => Promise<void>) =>
  async () => {
    const harness = await make();
    const { log, subject, advance } = harness;
    const takers: Taker[] = [];
    try {
      await body({
        log,
        subject,
        advance,
        queue: (shape = {}) => harness.createQueue({ ...SHAPE, ...shape }),
        fill: async (...ids) => {
          if (ids.length > 0) await log.appendTogether(ids.map((id) => entry(subject(id.charAt(0)), id)));
        },
        take: (queue, max, priority = 0) => {
          const taker = takerOf(queue, max, priority);
          takers.push(taker);
          return taker;
        },
      });
    } finally {
      for (const taker of takers) taker.abort();
      await Promise.all(takers.map((taker) => taker.stop()));
      await harness.dispose();
    }
  };

/** The id of what was delivered and the attempt, e.g. `a1#2`. */
export const label = (delivery: Delivery): string => `${idOf(delivery.entry)}#${delivery.attempt}`;

/** Takes and acknowledges so many, one after another; gives their labels. */
export const takeAndAck = async (taker: Taker, count: number): Promise<string[]> => {
  const labels: string[] = [];
  while (labels.length < count) {
    const delivery = await taker.next();
    labels.push(label(delivery));
    delivery.ack();
  }
  return labels;
};

/** `a1`, `a2`, … */
export const idsUpTo = (count: number): string[] => Array.from({ length: count }, (_, n) => `a${n + 1}`);
