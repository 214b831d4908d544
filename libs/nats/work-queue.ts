// The work queue port on a durable pull consumer. What it guarantees stands in libs/ports/work-queue.ts.
import { invariant } from '#libs/kernel/invariant.ts';
import type { Delivery, TakeOptions, WorkQueue } from '#libs/ports/work-queue.ts';
import { askApi, DEFAULT_PATIENCE, type Patience } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { answerFault } from './errors.ts';
import { QueueTaker } from './queue-taker.ts';

export interface WorkQueueOptions {
  readonly stream: string;
  readonly consumer: string;
  /** Priority group of a prioritized consumer. Left out, it is looked up when the broker asks for it. */
  readonly group?: string;
  /** For `backlog`. @default 2 s and 12 s */
  readonly patience?: Patience;
}

async function* batches(
  connection: NatsConnectionHandle,
  options: WorkQueueOptions,
  take: TakeOptions,
): AsyncGenerator<readonly Delivery[]> {
  invariant(Number.isSafeInteger(take.max) && take.max > 0, 'a taker takes at least one entry');
  if (take.signal.aborted) return;
  const taker = new QueueTaker(connection, options, take);
  try {
    for (let batch = await taker.next(); batch !== undefined; batch = await taker.next()) {
      yield batch;
      taker.done(batch.length);
    }
  } finally {
    await taker.leave();
  }
}

/** Opens a queue. Nothing is sent until the first call; a consumer that is not there makes that call fault with `QUEUE_MISSING`. */
export const openWorkQueue = (connection: NatsConnectionHandle, options: WorkQueueOptions): WorkQueue => {
  const { stream, consumer, patience = DEFAULT_PATIENCE } = options;
  return {
    stream,
    consumer,
    batches: (take) => batches(connection, options, take),
    backlog: async () => {
      const what = `look at consumer ${consumer} of stream ${stream}`;
      const subject = `$JS.API.CONSUMER.INFO.${stream}.${consumer}`;
      const answer = await askApi(connection, { family: 'QUEUE', what, subject, body: '', patience });
      if (answer.kind === 'error') throw answerFault('QUEUE', what, answer.error);
      return {
        pending: Number(answer.value['num_pending'] ?? 0),
        unacknowledged: Number(answer.value['num_ack_pending'] ?? 0),
      };
    },
  };
};
