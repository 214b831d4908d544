// Stopping the one loop, and handing its queue over to another instance.
import { afterEach, describe, expect, test } from 'vitest';
import { ok } from '#libs/consumers/disposition.ts';
import type { RunningConsumer } from '#libs/consumers/consumer-options.ts';
import { ACK_WAIT_MS, consumerHarness, stopConsumers, unavailable } from '#test/support/consumer-harness.ts';

afterEach(stopConsumers);

describe('stopping a consumer', () => {
  test('finishes what runs, gives back what waits, and takes nothing more', async () => {
    const { clock, send, start, handled, backlog } = consumerHarness();
    const gate = Promise.withResolvers<void>();
    const consumer = start({
      handle: async (message) => {
        if (message.startsWith('w')) throw unavailable;
        await gate.promise;
        handled.push(message);
        return ok;
      },
    });
    for (const text of ['a1', 'a2', 'w1', 'w2']) await send(text.charAt(0), text);
    await clock.settle();
    const stopped = consumer.stop();
    expect(consumer.state()).toBe('stopping');
    await send('a', 'a3');
    gate.resolve();
    await stopped;
    expect(consumer.state()).toBe('stopped');
    expect(handled).toEqual(['a1', 'a2']);
    expect(await backlog()).toEqual({ pending: 1, unacknowledged: 2 });
    start();
    await clock.settle();
    expect(handled.slice(2).sort()).toEqual(['a3', 'w1', 'w2']);
  });

  test('gives everything back at its deadline and tells the handlers', async () => {
    const { clock, send, start, handled, backlog } = consumerHarness();
    let told = false;
    const forever = Promise.withResolvers<void>();
    const consumer = start({
      handle: async (_message, { signal }) => {
        signal.addEventListener('abort', () => (told = true));
        await forever.promise;
        return ok;
      },
    });
    for (const text of ['a1', 'a2']) await send('a', text);
    await clock.settle();
    const stopped = consumer.stop(500);
    await clock.advance(500);
    await stopped;
    expect(told).toBe(true);
    expect(consumer.inHand()).toBe(0);
    start();
    await clock.settle();
    expect(handled).toEqual(['a1', 'a2']);
    forever.resolve();
    await clock.settle();
    expect(await backlog(), 'the late answer acknowledges nothing').toEqual({
      pending: 0,
      unacknowledged: 0,
    });
  });

  test('leaves no timer behind', async () => {
    const { clock, send, start } = consumerHarness();
    const consumer = start();
    await send('a', 'a1');
    await clock.settle();
    await consumer.stop();
    // The broker's own: it watches the ack wait of what it handed out.
    await clock.advance(ACK_WAIT_MS);
    expect(clock.pendingTimers()).toBe(0);
  });
});

describe('a prioritized consumer', () => {
  test('is taken over by the next when it ends, and nothing is missed', async () => {
    const { clock, send, start, handled } = consumerHarness({ maxAckPending: 1, priorityGroup: 'owner' });
    const by: string[] = [];
    const as = (name: string, priority: number): RunningConsumer =>
      start({
        priority,
        handle: async (message) => {
          by.push(name);
          handled.push(message);
          return ok;
        },
      });
    const owner = as('owner', 0);
    as('heir', 1);
    for (const text of ['a1', 'a2']) await send('a', text);
    await clock.settle();
    await owner.stop();
    for (const text of ['a3', 'a4']) await send('a', text);
    await clock.settle();
    expect(handled).toEqual(['a1', 'a2', 'a3', 'a4']);
    expect(by).toEqual(['owner', 'owner', 'heir', 'heir']);
  });
});
