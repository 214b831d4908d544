// The contract of what comes again: after the ack wait, after a retry, never after an end; and how much is out at once.
import { describe, expect, it } from 'vitest';
import { idsUpTo, label, type MakeQueues, takeAndAck, withQueues } from './queue-harness.ts';

export const redeliveryContract = (make: MakeQueues): void => {
  describe('redelivery', () => {
    it(
      'goes on behind what was acknowledged when a new taker comes',
      withQueues(make, async ({ queue, fill, take }) => {
        await fill(...idsUpTo(6));
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
        await fill(...idsUpTo(6));
        const work = await queue({ ackWaitMs: 30_000, maxAckPending: 3 });
        const taker = take(work, 10);
        const deliveries = [await taker.next(), await taker.next(), await taker.next()];
        expect(await work.backlog()).toEqual({ pending: 3, unacknowledged: 3 });
        const next = taker.next();
        deliveries[1]?.ack();
        expect(label(await next)).toBe('a4#1');
      }),
    );
  });
};
