// The contract of deliveries: order, acknowledgement, retries, the ack wait, giving up, and what a queue says of itself.
import { describe, expect, it } from 'vitest';
import { label, type MakeQueues, type Taker, withQueues } from './queue-harness.ts';
import { entry } from './log-harness.ts';

const ids = (count: number): string[] => Array.from({ length: count }, (_, n) => `a${n + 1}`);

const takeAndAck = async (taker: Taker, count: number): Promise<string[]> => {
  const labels: string[] = [];
  while (labels.length < count) {
    const delivery = await taker.next();
    labels.push(label(delivery));
    delivery.ack();
  }
  return labels;
};

const order = (make: MakeQueues): void => {
  it(
    'hands out what is there and what comes later, in stream order, each entry once',
    withQueues(make, async ({ queue, fill, take }) => {
      await fill(...ids(25));
      const taker = take(await queue(), 10);
      expect(await takeAndAck(taker, 25)).toEqual(ids(25).map((id) => `${id}#1`));
      const next = taker.next();
      await fill('b1', 'b2');
      expect(label(await next)).toBe('b1#1');
      expect(label(await taker.next())).toBe('b2#1');
    }),
  );

  it(
    'hands out batches of one to max entries',
    withQueues(make, async ({ queue, fill, take }) => {
      await fill(...ids(10));
      const taker = take(await queue(), 4);
      let seen = 0;
      while (seen < 10) {
        const batch = await taker.nextBatch();
        expect(batch.length).toBeGreaterThan(0);
        expect(batch.length).toBeLessThanOrEqual(4);
        expect(batch.map(({ entry: { seq } }) => seq)).toEqual(batch.map((_, n) => seen + n + 1));
        for (const delivery of batch) delivery.ack();
        seen += batch.length;
      }
    }),
  );

  it(
    'gives the entry as it was stored',
    withQueues(make, async ({ log, subject, queue, take }) => {
      const body = Uint8Array.of(0, 255, 10);
      await log.append(entry(subject('a'), 'a1', { headers: { 'X-Kind': 'k' }, body, expectedSeq: 0 }));
      const { entry: got, attempt } = await take(await queue(), 1).next();
      expect(got).toMatchObject({ seq: 1, subject: subject('a') });
      expect(got.headers).toEqual({ 'X-Kind': 'k', 'Nats-Msg-Id': 'a1' });
      expect([...got.body]).toEqual([0, 255, 10]);
      expect(got.storedAt).toBe((await log.last(subject('a')))?.storedAt);
      expect(attempt).toBe(1);
    }),
  );

  it(
    'hands out only what its filters select',
    withQueues(make, async ({ queue, fill, take }) => {
      await fill('a1', 'b1', 'c1', 'b2', 'a2');
      const taker = take(await queue({ filters: ['a', 'c'] }), 10);
      expect(await takeAndAck(taker, 3)).toEqual(['a1#1', 'c1#1', 'a2#1']);
    }),
  );

  it(
    'says how many entries are not yet handed out',
    withQueues(make, async ({ queue, fill, take }) => {
      await fill('a1', 'b1', 'a2', 'a3');
      const taker = take(await queue({ filters: ['a'] }), 1);
      for (const pending of [2, 1, 0]) {
        const delivery = await taker.next();
        expect(delivery.pending).toBe(pending);
        delivery.ack();
      }
    }),
  );

  it(
    'counts its backlog: not yet handed out, and handed out without acknowledgement',
    withQueues(make, async ({ queue, fill, take }) => {
      const work = await queue({ maxAckPending: 2 });
      expect(await work.backlog()).toEqual({ pending: 0, unacknowledged: 0 });
      await fill(...ids(5));
      expect(await work.backlog()).toEqual({ pending: 5, unacknowledged: 0 });
      const taker = take(work, 2);
      const first = await taker.next();
      const second = await taker.next();
      expect(await work.backlog()).toEqual({ pending: 3, unacknowledged: 2 });
      first.ack();
      second.ack();
      const third = await taker.next();
      const fourth = await taker.next();
      expect([third, fourth].map(label)).toEqual(['a3#1', 'a4#1']);
      expect(await work.backlog()).toEqual({ pending: 1, unacknowledged: 2 });
    }),
  );
};

const again = (make: MakeQueues): void => {
  it(
    'goes on behind what was acknowledged when a new taker comes',
    withQueues(make, async ({ queue, fill, take }) => {
      await fill(...ids(6));
      const work = await queue({ maxAckPending: 1 });
      const first = take(work, 1);
      expect(await takeAndAck(first, 3)).toEqual(['a1#1', 'a2#1', 'a3#1']);
      const held = await first.next();
      held.ack();
      await first.stop();
      // What the first taker had fetched already comes as a second attempt.
      const rest = await takeAndAck(take(work, 1), 2);
      expect(rest.map((text) => text.slice(0, 2))).toEqual(['a5', 'a6']);
    }),
  );

  it(
    'hands out again after the ack wait what nobody ended, with the next attempt',
    withQueues(make, async ({ queue, fill, take, advance }) => {
      await fill('a1', 'a2');
      const taker = take(await queue({ ackWaitMs: 1_000 }), 10);
      const labels = [label(await taker.next())];
      const second = await taker.next();
      second.ack();
      const next = taker.next();
      await advance(1_100);
      const third = await next;
      labels.push(label(third));
      const afterNext = taker.next();
      await advance(1_100);
      const fourth = await afterNext;
      fourth.ack();
      expect([...labels, label(fourth)]).toEqual(['a1#1', 'a1#2', 'a1#3']);
    }),
  );

  it(
    'hands out again after the delay of a retry, and lets the entries behind it pass',
    withQueues(make, async ({ queue, fill, take, advance }) => {
      await fill('a1', 'a2', 'a3');
      const taker = take(await queue({ ackWaitMs: 30_000 }), 1);
      (await taker.next()).retry(800);
      expect(await takeAndAck(taker, 2)).toEqual(['a2#1', 'a3#1']);
      const next = taker.next();
      await advance(800);
      expect(label(await next)).toBe('a1#2');
    }),
  );

  it(
    'lets nothing pass a retry when it allows one at a time',
    withQueues(make, async ({ queue, fill, take, advance }) => {
      await fill('a1', 'a2');
      const taker = take(await queue({ ackWaitMs: 30_000, maxAckPending: 1 }), 1);
      (await taker.next()).retry(300);
      const next = taker.next();
      await advance(300);
      const second = await next;
      expect(label(second)).toBe('a1#2');
      second.retry(0);
      expect(await takeAndAck(taker, 2)).toEqual(['a1#3', 'a2#1']);
    }),
  );

  it(
    'never hands out again what was terminated',
    withQueues(make, async ({ queue, fill, take, advance }) => {
      await fill('a1', 'a2', 'a3');
      const work = await queue({ ackWaitMs: 1_000, maxAckPending: 1 });
      const taker = take(work, 1);
      (await taker.next()).terminate('beyond help');
      const second = await taker.next();
      expect(label(second)).toBe('a2#1');
      const next = taker.next();
      await advance(1_100);
      const again = await next;
      expect(label(again)).toBe('a2#2');
      again.ack();
      const third = await taker.next();
      expect(label(third)).toBe('a3#1');
      expect(await work.backlog()).toEqual({ pending: 0, unacknowledged: 1 });
    }),
  );

  it(
    'starts the ack wait again when the taker is still working',
    withQueues(make, async ({ queue, fill, take, advance }) => {
      await fill('a1', 'a2', 'a3');
      const taker = take(await queue({ ackWaitMs: 1_500 }), 1);
      const first = await taker.next();
      expect([first, await taker.next()].map(label)).toEqual(['a1#1', 'a2#1']);
      // The retry shows that time has passed.
      (await taker.next()).retry(800);
      const passed = taker.next();
      await advance(800);
      const third = await passed;
      expect(label(third)).toBe('a3#2');
      third.ack();
      first.extend();
      const next = taker.next();
      await advance(800);
      const second = await next;
      expect(label(second)).toBe('a2#2');
      second.ack();
      const afterNext = taker.next();
      await advance(800);
      expect(label(await afterNext)).toBe('a1#2');
    }),
  );

  it(
    'takes the first of several endings of one delivery',
    withQueues(make, async ({ queue, fill, take }) => {
      await fill('a1', 'a2');
      const work = await queue({ ackWaitMs: 30_000, maxAckPending: 1 });
      const taker = take(work, 1);
      const first = await taker.next();
      first.retry(0);
      first.ack();
      first.terminate('no');
      const second = await taker.next();
      expect(label(second)).toBe('a1#2');
      expect(await work.backlog()).toEqual({ pending: 1, unacknowledged: 1 });
      second.ack();
      second.retry(0);
      expect(label(await taker.next())).toBe('a2#1');
    }),
  );

  it(
    'hands out no more than the consumer allows until something is ended',
    withQueues(make, async ({ queue, fill, take }) => {
      await fill(...ids(6));
      const work = await queue({ ackWaitMs: 30_000, maxAckPending: 3 });
      const taker = take(work, 10);
      const deliveries = [await taker.next(), await taker.next(), await taker.next()];
      expect(await work.backlog()).toEqual({ pending: 3, unacknowledged: 3 });
      const next = taker.next();
      deliveries[1]?.ack();
      expect(label(await next)).toBe('a4#1');
    }),
  );
};

export const deliveryContract = (make: MakeQueues): void => {
  describe('deliveries', () => {
    order(make);
    again(make);
  });
};
