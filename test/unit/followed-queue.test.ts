// The queue over a followed log: what comes again and what does not, who works and who stands by, and that nothing is lost whoever dies.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createFollowedQueue } from '#libs/consumers/followed-queue.ts';
import type { FollowedLimits } from '#libs/consumers/followed-options.ts';
import { readPlace } from '#libs/consumers/place.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { Delivery } from '#libs/ports/work-queue.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import { bytes, textOf } from '#test/support/tally.ts';

const world = (limits: Partial<FollowedLimits> = {}) => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const topology = { streams: [{ name: 'LOG', subjects: ['log.>'] }], buckets: [{ name: 'places' }] };
  const broker = createMemoryBroker({ clock, ids, topology });
  const log = broker.eventLog('LOG');
  const places = broker.keyValue('places');
  let sent = 0;
  const send = async (...texts: readonly string[]): Promise<void> => {
    for (const text of texts) {
      sent += 1;
      await log.append({ subject: `log.${text}`, id: `m${sent}`, headers: {}, body: bytes(text) });
    }
    await clock.settle();
  };
  const open = (startsAt: 'first' | 'new' = 'first') =>
    createFollowedQueue({ name: 'worker', log, subjects: ['log.>'], places, startsAt, clock, ids, limits });
  /** One instance: takes what comes, says nothing of it. */
  const instance = (startsAt: 'first' | 'new' = 'first', max = 10) => {
    const got: Delivery[] = [];
    const leaving = new AbortController();
    const queue = open(startsAt);
    const taking = (async () => {
      for await (const batch of queue.batches({ max, signal: leaving.signal })) got.push(...batch);
    })();
    const stop = async (): Promise<void> => {
      leaving.abort();
      await clock.settle();
    };
    const texts = (): string[] => got.map(({ entry, attempt }) => `${textOf(entry.body)}#${attempt}`);
    /** Ends what it has got of these, and forgets it. */
    const ack = (...wanted: readonly string[]): void => {
      const ending = got.filter(({ entry }) => wanted.includes(textOf(entry.body)));
      for (const delivery of ending) {
        delivery.ack();
        got.splice(got.indexOf(delivery), 1);
      }
    };
    return { got, texts, ack, stop, taking, queue };
  };
  const place = async () => (await readPlace(places, 'worker')).place;
  return { clock, broker, log, places, send, instance, place };
};

describe('one instance', () => {
  test('gets each entry once, in order, and again only what it gives back', async () => {
    const { clock, send, instance } = world();
    await send('a', 'b');
    const one = instance();
    await clock.settle();
    await send('c');
    expect(one.texts()).toEqual(['a#1', 'b#1', 'c#1']);
    one.got[1]?.retry(500);
    one.got[1]?.ack();
    await clock.advance(499);
    expect(one.texts()).toHaveLength(3);
    await clock.advance(1);
    expect(one.texts()).toEqual(['a#1', 'b#1', 'c#1', 'b#2']);
    await clock.advance(60_000);
    expect(one.texts()).toHaveLength(4);
  });

  test('writes its place now and then, with what is open, and nothing while nothing happens', async () => {
    const { clock, send, instance, place, places } = world();
    await send('a', 'b', 'c');
    const one = instance();
    await clock.settle();
    one.ack('a', 'c');
    await clock.advance(1000);
    expect(await place()).toMatchObject({ seq: 3, open: [2] });
    one.ack('b');
    await clock.advance(1000);
    expect(await place()).toMatchObject({ seq: 3, open: [] });
    const { revision } = await readPlace(places, 'worker');
    await clock.advance(600_000);
    expect((await readPlace(places, 'worker')).revision).toBe(revision);
    expect(await one.queue.backlog()).toEqual({ pending: 0, unacknowledged: 0 });
  });

  test('takes no more than it may have open', async () => {
    const { clock, send, instance } = world({ maxOpen: 2 });
    await send('a', 'b', 'c', 'd', 'e');
    const one = instance('first', 1);
    await clock.settle();
    const most = one.got.length;
    expect(most).toBeLessThan(5);
    one.ack('a', 'b', 'c');
    await clock.settle();
    expect(one.texts().at(-1)).toBe('e#1');
  });

  test('begins with what is new where it is told so', async () => {
    const { clock, send, instance } = world();
    await send('a');
    const one = instance('new');
    await clock.settle();
    await send('b');
    expect(one.texts()).toEqual(['b#1']);
  });
});

describe('after a crash', () => {
  test('the next one begins at once with what was in hand, and does not repeat what was saved', async () => {
    const { clock, send, instance } = world();
    await send('a', 'b', 'c');
    const one = instance();
    await clock.settle();
    one.ack('a', 'c');
    await clock.advance(1000);
    const two = instance();
    await clock.settle();
    expect(two.texts()).toEqual(['b#1']);
    await send('d');
    expect(two.texts()).toEqual(['b#1', 'd#1']);
  });

  test('an entry that ends whoever works on it is seen to come again and again', async () => {
    const { clock, send, instance } = world();
    await send('deadly');
    for (let times = 1; times <= 10; times += 1) {
      const one = instance();
      await clock.settle();
      expect(one.texts()).toEqual([`deadly#${times}`]);
    }
  });

  test('a log that has lost its end is gone on from where it ends', async () => {
    const { clock, send, instance, places } = world();
    await places.put('worker', bytes('{"seq":900,"open":[7,800],"owner":"x","claimedAt":7,"claims":1}'));
    await send('a');
    const one = instance();
    await clock.settle();
    await send('b');
    expect(one.texts()).toEqual(['b#1']);
  });
});

describe('two instances', () => {
  test('one works and the other stands by, until the first is stopped', async () => {
    const { clock, send, instance } = world();
    const [one, two] = [instance(), instance()];
    await clock.settle();
    await send('a');
    // The second has claimed the place after the first: who does not know it yet works along, and hears of it when it saves.
    one.ack('a');
    two.ack('a');
    await clock.advance(1000);
    await send('b', 'c');
    const [worker, other] = one.got.length > 0 ? [one, two] : [two, one];
    expect([worker.texts(), other.texts()]).toEqual([['b#1', 'c#1'], []]);
    worker.ack('b');
    await worker.stop();
    expect(other.texts(), 'not while the first still works on it').toEqual([]);
    worker.ack('c');
    await clock.settle();
    await send('d');
    expect(other.texts()).toEqual(['d#1']);
  });

  test('who stands by takes over from one that is silent with work at hand, not before its time, and not from one that is idle', async () => {
    const { clock, send, instance, places, place } = world();
    const one = instance();
    await clock.settle();
    await send('a');
    one.ack('a');
    // Another process has claimed the place, and dies before it does anything.
    const dead = '{"seq":1,"open":[],"owner":"dead","claimedAt":2,"claims":1}';
    await places.put('worker', bytes(dead));
    await clock.advance(1000);
    await clock.advance(600_000);
    expect(await place(), 'there was nothing to do').toMatchObject({ owner: 'dead' });
    await places.put('worker', bytes(dead));
    await send('b');
    await clock.advance(2499);
    expect(one.texts()).toEqual([]);
    await clock.advance(1251);
    expect(one.texts()).toEqual(['b#2']);
  });

  test('an owner with work in hand says that it lives', async () => {
    const { clock, send, instance, place } = world();
    const [one, two] = [instance(), instance()];
    await clock.settle();
    await send('a');
    await clock.advance(60_000);
    expect([one.texts(), two.texts()]).toContainEqual(['a#1']);
    expect([one.texts(), two.texts()]).toContainEqual([]);
    expect(await place()).toMatchObject({ seq: 1, open: [1] });
  });
});

test('nothing is lost, whoever dies when, and what was saved does not come again', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('send' as const) }),
    fc.record({ kind: fc.constant('work' as const), pick: fc.nat(), retries: fc.boolean() }),
    fc.record({ kind: fc.constant('crash' as const) }),
    fc.record({ kind: fc.constant('save' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { clock, send, instance, log } = world();
      const done = new Set<string>();
      const [mine, saved] = [new Set<string>(), new Set<string>()];
      let now = instance();
      await clock.settle();
      let count = 0;
      for (const each of steps) {
        if (each.kind === 'send') await send(`t${(count += 1)}`);
        else if (each.kind === 'crash') {
          now = instance();
          mine.clear();
        } else if (each.kind === 'save') {
          await clock.advance(1000);
          for (const text of mine) saved.add(text);
        } else {
          const delivery = now.got.splice(each.pick % Math.max(1, now.got.length), 1)[0];
          if (delivery === undefined) continue;
          const text = textOf(delivery.entry.body);
          expect(saved.has(text), `${text} was saved`).toBe(false);
          if (each.retries) delivery.retry(10);
          else {
            delivery.ack();
            done.add(text);
            mine.add(text);
          }
        }
        await clock.settle();
      }
      for (let left = 0; left < 100 && done.size < count; left += 1) {
        for (const delivery of now.got.splice(0)) {
          delivery.ack();
          done.add(textOf(delivery.entry.body));
        }
        await clock.advance(10);
      }
      expect(done.size).toBe((await log.bounds()).lastSeq);
    }),
    propertyRuns(100),
  );
});
