// The contract of takers: they share, they give back what they have not passed on, and by priority one goes first.
import { describe, expect, it } from 'vitest';
import { idOf } from './log-harness.ts';
import { idsUpTo, label, type MakeQueues, type Taker, withQueues } from './queue-harness.ts';
import { all } from './reading.ts';

const sharing = (make: MakeQueues): void => {
  it(
    'shares the entries among its takers, each entry once',
    withQueues(make, async ({ queue, fill, take }) => {
      await fill(...idsUpTo(60));
      const work = await queue({ ackWaitMs: 30_000 });
      const seen: (string | undefined)[] = [];
      const drain = async (taker: Taker): Promise<void> => {
        while (seen.length < 60) {
          const delivery = await taker.next();
          seen.push(idOf(delivery.entry));
          delivery.ack();
          if (seen.length === 60) for (const one of takers) one.abort();
        }
      };
      const takers = [take(work, 5), take(work, 5), take(work, 5)];
      await Promise.allSettled(takers.map((taker) => drain(taker)));
      expect(seen).toHaveLength(60);
      expect(new Set(seen)).toEqual(new Set(idsUpTo(60)));
    }),
  );

  it(
    'lets another taker go on while one is busy',
    withQueues(make, async ({ queue, fill, take }) => {
      const work = await queue({ ackWaitMs: 30_000 });
      const busy = take(work, 2);
      const first = busy.nextBatch();
      await fill('a1');
      expect((await first).map(label)).toEqual(['a1#1']);
      const other = take(work, 100);
      const seen = new Set<string | undefined>();
      const next = other.next();
      await fill(...Array.from({ length: 20 }, (_, n) => `b${n}`));
      seen.add(idOf((await next).entry));
      // The busy one may hold up to twice its max: what it works on and what it has fetched meanwhile.
      while (seen.size < 16) seen.add(idOf((await other.next()).entry));
      expect(seen.has('a1')).toBe(false);
    }),
  );

  it(
    'gives back at once what a taker fetched and did not pass on',
    withQueues(make, async ({ queue, fill, take }) => {
      const work = await queue({ ackWaitMs: 30_000 });
      const leaving = take(work, 3);
      const first = leaving.nextBatch();
      await fill('a1');
      const [held] = await first;
      await fill('b1', 'b2', 'b3');
      leaving.abort();
      const staying = take(work, 10);
      const seen = [await staying.next(), await staying.next(), await staying.next()];
      expect(new Set(seen.map(({ entry }) => idOf(entry)))).toEqual(new Set(['b1', 'b2', 'b3']));
      expect(held === undefined ? undefined : label(held)).toBe('a1#1');
      await leaving.stop();
    }),
  );

  it(
    'takes the acknowledgement of a taker that has left',
    withQueues(make, async ({ queue, fill, take, advance }) => {
      await fill('a1', 'a2');
      const work = await queue({ ackWaitMs: 1_000, maxAckPending: 1 });
      const leaving = take(work, 1);
      const held = await leaving.next();
      await leaving.stop();
      held.ack();
      const staying = take(work, 1);
      const next = staying.next();
      await advance(1_100);
      expect(label(await next)).toBe('a2#1');
    }),
  );

  it(
    'is over at once when the signal has aborted before',
    withQueues(make, async ({ queue, fill }) => {
      await fill('a1');
      const work = await queue();
      expect(await all(work.batches({ max: 1, signal: AbortSignal.abort() }))).toEqual([]);
      expect(await work.backlog()).toEqual({ pending: 1, unacknowledged: 0 });
    }),
  );
};

const priorities = (make: MakeQueues): void => {
  it(
    'hands everything to the taker with the lowest number while it asks',
    withQueues(make, async ({ queue, fill, take }) => {
      const work = await queue({ ackWaitMs: 30_000, maxAckPending: 1, prioritized: true });
      const preferred = take(work, 1, 0);
      const standby = take(work, 1, 1);
      const first = preferred.next();
      await fill('z1');
      let delivery = await first;
      // Asks all the time and gets nothing; ends with the test.
      standby.next().catch(() => undefined);
      await fill(...idsUpTo(8));
      const labels: string[] = [];
      while (labels.length < 8) {
        const next = preferred.next();
        delivery.ack();
        delivery = await next;
        labels.push(label(delivery));
      }
      expect(labels).toEqual(idsUpTo(8).map((id) => `${id}#1`));
    }),
  );

  it(
    'hands over to the next one when the preferred taker leaves',
    withQueues(make, async ({ queue, fill, take }) => {
      const work = await queue({ ackWaitMs: 2_000, maxAckPending: 1, prioritized: true });
      const preferred = take(work, 1, 0);
      const first = preferred.next();
      await fill('a1', 'a2');
      (await first).ack();
      const second = await preferred.next();
      expect(label(second)).toBe('a2#1');
      second.ack();
      const standby = take(work, 1, 1);
      const next = standby.next();
      await preferred.stop();
      await fill('a3');
      expect(idOf((await next).entry)).toBe('a3');
    }),
  );
};

const apart = (make: MakeQueues): void => {
  it(
    'keeps queues of one stream apart',
    withQueues(make, async ({ queue, fill, take }) => {
      await fill('a1');
      const one = take(await queue(), 1);
      const two = take(await queue(), 1);
      (await one.next()).ack();
      expect(label(await two.next())).toBe('a1#1');
    }),
  );
};

export const takerContract = (make: MakeQueues): void => {
  describe('takers', () => {
    sharing(make);
    apart(make);
  });
  describe('priorities', () => {
    priorities(make);
  });
};
