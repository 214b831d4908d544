// The work queue port over a durable consumer of the memory broker: wraps what it hands out into deliveries.
// Batches are in stream order; while the taker works on one, the next is fetched.
import { Fault } from '#libs/kernel/fault.ts';
import { invariant } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Delivery, TakeOptions, WorkQueue } from '#libs/ports/work-queue.ts';
import { isAborted } from './bell.ts';
import type { ConsumerState, HandOut } from './consumer-state.ts';
import type { FaultSwitch } from './faults.ts';

/** What a queue needs of its broker; `state` throws `QUEUE_MISSING` when the consumer is not provisioned. */
export interface QueueParts {
  readonly stream: string;
  readonly consumer: string;
  readonly clock: Clock;
  readonly faults: FaultSwitch;
  readonly state: () => ConsumerState;
}

/** The fault of a consumer that nobody provisioned. */
export const missingConsumer = (stream: string, consumer: string): Fault =>
  new Fault({
    code: 'QUEUE_MISSING',
    retry: 'never',
    message: `consumer ${consumer} of stream ${stream} is not provisioned`,
  });

const toDelivery = (state: ConsumerState, { entry, attempt, pending }: HandOut): Delivery => {
  let isEnded = false;
  const end = (work: () => void): void => {
    if (isEnded) return;
    isEnded = true;
    work();
  };
  return {
    entry,
    attempt,
    pending,
    ack: () => end(() => state.ack(entry.seq)),
    retry: (delayMs) => end(() => state.retry(entry.seq, attempt, delayMs)),
    terminate: () => end(() => state.terminate(entry.seq)),
    extend: () => {
      if (!isEnded) state.extend(entry.seq, attempt);
    },
  };
};

async function* batches(parts: QueueParts, options: TakeOptions): AsyncGenerator<readonly Delivery[]> {
  const { signal } = options;
  invariant(Number.isSafeInteger(options.max) && options.max > 0, 'a taker takes at least one entry');
  await parts.faults.reachable(signal);
  if (isAborted(signal)) return;
  const state = parts.state();
  const taker = state.join(options);
  const leave = (): void => state.leave(taker);
  signal.addEventListener('abort', leave, { once: true });
  try {
    while (!isAborted(signal)) {
      if (taker.held.length === 0) {
        await taker.bell.wait(signal);
        continue;
      }
      const batch = taker.held;
      taker.held = [];
      state.pump();
      const lateMs = parts.faults.delayMs('deliveryDelayMs', { name: parts.consumer });
      if (lateMs > 0) await parts.clock.sleep(lateMs, signal);
      yield batch.sort((a, b) => a.entry.seq - b.entry.seq).map((handOut) => toDelivery(state, handOut));
    }
  } finally {
    signal.removeEventListener('abort', leave);
    leave();
  }
}

/** The port of one durable consumer. All its takers share the entries. */
export const createMemoryWorkQueue = (parts: QueueParts): WorkQueue => ({
  stream: parts.stream,
  consumer: parts.consumer,
  batches: (options) => batches(parts, options),
  backlog: async () => {
    parts.faults.check('QUEUE_UNAVAILABLE');
    return parts.state().backlog();
  },
});
