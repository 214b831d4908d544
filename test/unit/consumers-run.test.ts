// The one loop on the memory broker under a manual clock: what becomes of each entry and of its lane.
import { afterEach, describe, expect, test } from 'vitest';
import { type Handled, ok } from '#libs/consumers/disposition.ts';
import type { HandlerContext } from '#libs/consumers/in-hand.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import { ACK_WAIT_MS, consumerHarness, stopConsumers, unavailable } from '#test/support/consumer-harness.ts';
import { textOf } from '#test/support/tally.ts';

afterEach(stopConsumers);

describe('a consumer', () => {
  test('handles entries in lane order, acknowledges them and is drained', async () => {
    const { clock, send, start, backlog, handled } = consumerHarness();
    const consumer = start();
    for (const text of ['a1', 'a2', 'b1', 'a3']) await send(text.charAt(0), text);
    await clock.settle();
    await consumer.drained();
    expect(handled.filter((text) => text.startsWith('a'))).toEqual(['a1', 'a2', 'a3']);
    expect(handled).toContain('b1');
    expect(await backlog()).toEqual({ pending: 0, unacknowledged: 0 });
  });

  test('acknowledges what a rule refuses, and tells so', async () => {
    const { clock, send, start, backlog, events } = consumerHarness();
    const refusal: Handled = { kind: 'rejected', rejection: rejection('RUN_FENCED', 'old fence') };
    start({ handle: () => Promise.resolve(refusal) });
    await send('a', 'a1');
    await clock.settle();
    expect(events).toContainEqual(expect.objectContaining({ kind: 'handled', result: refusal }));
    expect(await backlog()).toEqual({ pending: 0, unacknowledged: 0 });
  });

  test('skips what is not for it', async () => {
    const { clock, send, start, backlog, kinds, handled } = consumerHarness();
    start({ decode: () => undefined });
    await send('a', 'a1');
    await clock.settle();
    expect(handled).toEqual([]);
    expect(kinds()).toEqual(['received', 'skipped']);
    expect(await backlog()).toEqual({ pending: 0, unacknowledged: 0 });
  });

  test('parks a poison message with its origin and goes on', async () => {
    const { clock, send, start, letters, handled, backlog } = consumerHarness();
    start({
      decode: (entry) => {
        const text = textOf(entry.body);
        if (text === 'poison') throw new SyntaxError('not\nJSON');
        return text;
      },
    });
    for (const text of ['a1', 'poison', 'a2']) await send('a', text);
    await clock.settle();
    expect(handled).toEqual(['a1', 'a2']);
    const [parked, ...others] = await letters();
    expect(others).toEqual([]);
    expect(parked?.subject).toBe('dead.tests.undecodable');
    expect(parked?.entry.headers['Nats-Msg-Id']).toBe('WORK:2:worker');
    expect(parked?.letter).toMatchObject({
      reason: 'undecodable',
      code: 'UNEXPECTED_ERROR',
      message: 'not JSON',
      service: 'tests',
      consumer: 'worker',
      stream: 'WORK',
      seq: 2,
      attempts: 1,
      bodyOmitted: false,
      origin: { subject: 'work.a', headers: { kind: 'test', 'Nats-Msg-Id': 'm2' } },
    });
    expect(await backlog()).toEqual({ pending: 0, unacknowledged: 0 });
  });

  test('holds the lane of an entry that waits for its retry, and only that lane', async () => {
    const { clock, send, start, handled } = consumerHarness();
    let failures = 2;
    start({
      handle: async (message) => {
        if (message === 'a1' && failures > 0) {
          failures -= 1;
          throw unavailable;
        }
        handled.push(message);
        return ok;
      },
    });
    for (const text of ['a1', 'a2', 'b1']) await send(text.charAt(0), text);
    await clock.settle();
    expect(handled).toEqual(['b1']);
    await clock.advance(400);
    expect(handled).toEqual(['b1', 'a1', 'a2']);
  });

  test('never parks for a dependency that is away, however long, and keeps its claim on the entry', async () => {
    const { clock, send, start, letters, kinds, handled, backlog } = consumerHarness();
    let isAway = true;
    start({
      handle: async (message, { delivery }: HandlerContext) => {
        expect(delivery).toBe(1);
        if (isAway) throw unavailable;
        handled.push(message);
        return ok;
      },
    });
    await send('a', 'a1');
    await clock.advance(3_600_000);
    expect(await letters()).toEqual([]);
    expect(kinds().filter((kind) => kind === 'retrying').length).toBeGreaterThan(100);
    isAway = false;
    await clock.advance(1000);
    expect(handled).toEqual(['a1']);
    expect(await backlog()).toEqual({ pending: 0, unacknowledged: 0 });
  });

  test('parks a defect when its attempts are used up, and its lane goes on', async () => {
    const { clock, send, start, letters, handled } = consumerHarness();
    start({
      handle: async (message) => {
        if (message === 'a1') throw new TypeError('x is undefined');
        handled.push(message);
        return ok;
      },
    });
    for (const text of ['a1', 'a2']) await send('a', text);
    await clock.advance(5000);
    expect(handled).toEqual(['a2']);
    const [parked] = await letters();
    expect(parked?.letter).toMatchObject({
      reason: 'attempts-used-up',
      attempts: 3,
      message: 'x is undefined',
    });
  });

  test('runs an entry again at once when the state had moved', async () => {
    const { clock, send, start, handled, kinds } = consumerHarness();
    let moves = 3;
    start({
      handle: async (message) => {
        moves -= 1;
        if (moves > 0) throw new Fault({ code: 'COMMAND_CONTENDED', retry: 'now', message: 'moved' });
        handled.push(message);
        return ok;
      },
    });
    await send('a', 'a1');
    await clock.settle();
    expect(handled).toEqual(['a1']);
    expect(kinds()).toEqual(['received', 'handled']);
  });

  test('keeps an entry in hand until its dead letter is stored', async () => {
    const { clock, broker, send, start, letters, kinds, backlog } = consumerHarness();
    start({
      handle: () => Promise.reject(new Fault({ code: 'BODY_UNUSABLE', retry: 'never', message: 'unusable' })),
    });
    broker.faults.plan({ dropAppend: (nth) => nth > 1 && nth < 5 });
    await send('a', 'a1');
    await clock.settle();
    expect(kinds()).toEqual(['received', 'park-failed']);
    expect(await backlog()).toEqual({ pending: 0, unacknowledged: 1 });
    await clock.advance(5000);
    expect(await letters()).toHaveLength(1);
    expect(await backlog()).toEqual({ pending: 0, unacknowledged: 0 });
  });

  test('parks an entry that leaves no room for its letter without its body', async () => {
    const { clock, send, start, letters } = consumerHarness();
    start({
      handle: () => Promise.reject(new Fault({ code: 'BODY_UNUSABLE', retry: 'never', message: 'unusable' })),
    });
    await send('a', 'x'.repeat(1_048_400));
    await clock.settle();
    const [parked] = await letters();
    expect(parked?.letter).toMatchObject({
      bodyOmitted: true,
      stream: 'WORK',
      seq: 1,
      code: 'BODY_UNUSABLE',
    });
    expect(parked?.entry.body).toHaveLength(0);
  });

  test('parks once, also when the answer of the dead-letter log is lost', async () => {
    const { clock, broker, send, start, letters } = consumerHarness();
    start({
      handle: () => Promise.reject(new Fault({ code: 'BODY_UNUSABLE', retry: 'never', message: 'unusable' })),
    });
    await send('a', 'a1');
    broker.faults.plan({ loseAppendAck: (nth) => nth === 1 });
    await clock.advance(1000);
    expect(await letters()).toHaveLength(1);
  });

  test('ends without acknowledging when an invariant breaks', async () => {
    const { clock, send, start, backlog, fatal, handled } = consumerHarness();
    const consumer = start({
      handle: async (message) => {
        if (message === 'a1') throw new InvariantBroken('impossible');
        handled.push(message);
        return ok;
      },
    });
    for (const text of ['a1', 'a2']) await send('a', text);
    await clock.settle();
    await consumer.finished;
    expect(consumer.state()).toBe('failed');
    expect(fatal).toEqual([expect.any(InvariantBroken)]);
    expect(handled).toEqual([]);
    expect(await backlog()).toEqual({ pending: 0, unacknowledged: 2 });
  });

  test('parks an entry that broke an invariant in every process that had it', async () => {
    const { clock, send, start, letters, handled } = consumerHarness();
    await send('a', 'a1');
    await send('a', 'a2');
    for (let process = 1; process <= 3; process += 1) {
      start({
        handle: async (message) => {
          if (message === 'a1') throw new InvariantBroken('impossible');
          handled.push(message);
          return ok;
        },
      });
      await clock.advance(2 * ACK_WAIT_MS);
    }
    expect((await letters()).map(({ letter }) => letter?.reason)).toEqual(['invariant-broken']);
    expect(handled).toEqual(['a2']);
  });

  test('is fatal when its queue does not exist, and waits when the broker is away', async () => {
    const { clock, broker, send, start, fatal, handled } = consumerHarness();
    const missing = start({ queue: broker.workQueue('WORK', 'nobody') });
    await clock.settle();
    expect(missing.state()).toBe('failed');
    expect(fatal).toEqual([expect.objectContaining({ code: 'QUEUE_MISSING' })]);
    broker.faults.goAway();
    const consumer = start();
    await clock.advance(60_000);
    expect(consumer.state()).toBe('running');
    broker.faults.comeBack();
    await send('a', 'a1');
    await clock.advance(30_000);
    expect(handled).toEqual(['a1']);
  });

  test('holds no more entries than it may, and takes more as they are done', async () => {
    const { clock, send, start } = consumerHarness();
    const gate = Promise.withResolvers<void>();
    let most = 0;
    const consumer = start({
      handle: async () => {
        await gate.promise;
        return ok;
      },
      limits: { maxInHand: 8, width: 4 },
      observe: () => {
        most = Math.max(most, consumer?.inHand() ?? 0);
      },
    });
    for (let at = 0; at < 100; at += 1) await send(`lane${at % 20}`, `${at}`);
    await clock.settle();
    expect(consumer.inHand()).toBeGreaterThan(4);
    gate.resolve();
    await clock.settle();
    expect(consumer.inHand()).toBe(0);
    expect(most).toBeLessThanOrEqual(8);
  });

  test('gives back the tail of a lane that waits for long, so that other lanes go on, and keeps its order', async () => {
    const { clock, send, start, handled } = consumerHarness();
    let isAway = true;
    start({
      handle: async (message) => {
        if (isAway && message.startsWith('a')) throw unavailable;
        handled.push(message);
        return ok;
      },
      limits: { maxInHand: 8, maxHeldInLane: 4 },
    });
    await send('a', 'a0');
    await clock.settle();
    for (let at = 1; at < 20; at += 1) await send('a', `a${at}`);
    for (let at = 0; at < 10; at += 1) await send('b', `b${at}`);
    await clock.advance(20_000);
    expect(handled).toEqual(Array.from({ length: 10 }, (_, at) => `b${at}`));
    isAway = false;
    await clock.advance(120_000);
    expect(handled.slice(10)).toEqual(Array.from({ length: 20 }, (_, at) => `a${at}`));
  });
});
