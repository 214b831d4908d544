// A property of durable consumers under random work: whatever is retried how often, by how many takers and under whatever
// limits, each entry has its attempts in order, ends once, and never comes again after its end.
import type { Delivery, WorkQueue } from '#libs/ports/work-queue.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { entry, idOf } from './log-harness.ts';
import type { MakeQueues } from './queue-harness.ts';

const LAST = 'last';

const shapeArbitrary = fc.record({
  /** One number an entry: retries before its end. */
  retries: fc.array(fc.constantFrom(0, 0, 0, 1, 2, 3), { minLength: 1, maxLength: 20 }),
  takers: fc.integer({ min: 1, max: 3 }),
  max: fc.integer({ min: 1, max: 6 }),
  maxAckPending: fc.integer({ min: 1, max: 8 }),
  prioritized: fc.boolean(),
});

/** Ends each entry after its retries; notes every attempt. */
class Work {
  readonly attempts = new Map<string, number[]>();
  readonly ended = new Set<string>();
  readonly #retries: ReadonlyMap<string, number>;
  readonly #done = Promise.withResolvers<void>();

  constructor(retries: ReadonlyMap<string, number>) {
    this.#retries = retries;
  }

  get done(): Promise<void> {
    return this.#done.promise;
  }

  handle(delivery: Delivery): void {
    const id = idOf(delivery.entry) ?? '';
    const before = this.attempts.get(id) ?? [];
    this.attempts.set(id, [...before, delivery.attempt]);
    if (this.ended.has(id)) this.#done.reject(new Error(`${id} came again after its end`));
    if (before.length < (this.#retries.get(id) ?? 0)) {
      delivery.retry(0);
      return;
    }
    this.ended.add(id);
    if (delivery.entry.seq % 3 === 0) delivery.terminate('by the property');
    else delivery.ack();
    if (this.ended.size === this.#retries.size) this.#done.resolve();
  }
}

const takeAll = async (
  queue: WorkQueue,
  work: Work,
  options: { max: number; priority: number; signal: AbortSignal },
) => {
  for await (const batch of queue.batches(options)) {
    expect(batch.length).toBeLessThanOrEqual(options.max);
    for (const delivery of batch) work.handle(delivery);
  }
};

export const workQueueProperty = (make: MakeQueues, runs: number): void => {
  it('ends each entry once after its retries, whoever takes it', async () => {
    const property = fc.asyncProperty(shapeArbitrary, async ({ retries, takers, max, ...limits }) => {
      const { log, subject, createQueue, dispose } = await make();
      const scripts = new Map([...retries.map((count, n) => [`e${n}`, count] as const), [LAST, 0] as const]);
      const work = new Work(scripts);
      const queue = await createQueue({ ackWaitMs: 30_000, filters: [], ...limits });
      const abort = new AbortController();
      const { signal } = abort;
      const taking = Array.from({ length: takers }, (_, priority) =>
        takeAll(queue, work, { max, priority, signal }),
      );
      for (const id of scripts.keys()) await log.append(entry(subject('a'), id));
      await Promise.race([work.done, Promise.all(taking)]);
      abort.abort();
      await Promise.all(taking);
      for (const [id, count] of scripts) {
        const attempts = Array.from({ length: count + 1 }, (_, n) => n + 1);
        expect(work.attempts.get(id), id).toEqual(attempts);
      }
      await dispose();
    });
    await fc.assert(property, propertyRuns(runs));
  });
};
