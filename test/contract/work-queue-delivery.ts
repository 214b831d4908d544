// The contract of deliveries: order, contents, filters, and what a queue says of itself.
import { describe, expect, it } from 'vitest';
import { entry } from './log-harness.ts';
import { idsUpTo, label, type MakeQueues, takeAndAck, withQueues } from './queue-harness.ts';

export const deliveryContract = (make: MakeQueues): void => {
  describe('deliveries', () => {
    it(
      'hands out what is there and what comes later, in stream order, each entry once',
      withQueues(make, async ({ queue, fill, take }) => {
        await fill(...idsUpTo(25));
        const taker = take(await queue(), 10);
        expect(await takeAndAck(taker, 25)).toEqual(idsUpTo(25).map((id) => `${id}#1`));
        const next = taker.next();
        await fill('b1', 'b2');
        expect(label(await next)).toBe('b1#1');
        expect(label(await taker.next())).toBe('b2#1');
      }),
    );

    it(
      'hands out batches of one to max entries',
      withQueues(make, async ({ queue, fill, take }) => {
        await fill(...idsUpTo(10));
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
        await fill(...idsUpTo(5));
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
  });
};
