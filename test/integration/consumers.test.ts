// The one loop on a real broker: dispositions, order, hand-over, drain.
import { afterEach, describe, expect, test } from 'vitest';
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { ok } from '#libs/consumers/disposition.ts';
import type { ConsumerOptions, RunningConsumer } from '#libs/consumers/consumer-options.ts';
import { runConsumer } from '#libs/consumers/run-consumer.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { systemClock as clock } from '#libs/system/clock.ts';
import { systemIds as ids } from '#libs/system/ids.ts';
import { readDeadLetter } from '#test/support/read-letter.ts';
import { createSignal, natsWorld } from '#test/support/nats-world.ts';
import { testConnection } from '#test/support/nats-connection.ts';
import { bytes, textOf } from '#test/support/tally.ts';

const connections: NatsConnectionHandle[] = [];
const running: RunningConsumer[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((consumer) => consumer.stop(0)));
  await Promise.all(connections.splice(0).map((connection) => connection.close()));
});

const setup = async (shape: { readonly ackWaitMs?: number; readonly isPrioritized?: boolean } = {}) => {
  const connection = await testConnection();
  connections.push(connection);
  const world = natsWorld(connection);
  const [log, dead] = [await world.stream('work'), await world.stream('dead')];
  const queue = await world.queue(log.stream, shape);
  const handled: string[] = [];
  const signal = createSignal();
  const start = (options: Partial<ConsumerOptions<string>> = {}): RunningConsumer => {
    const consumer = runConsumer<string>({
      name: queue.consumer,
      queue,
      decode: (entry) => textOf(entry.body),
      lane: (_message, entry) => entry.subject,
      handle: async (message) => {
        handled.push(message);
        return ok;
      },
      deadLetters: createDeadLetters({
        log: dead,
        build: ({ reason }) => ({ subject: `${dead.stream}.${reason}`, headers: {} }),
      }),
      clock,
      ids,
      observe: signal.changed,
      onFatal: (error) => expect.unreachable(String(error)),
      ...options,
      limits: { backoff: { baseMs: 20, maxMs: 100 }, ...options.limits },
    });
    running.push(consumer);
    return consumer;
  };
  const send = (texts: readonly string[]) =>
    Promise.all(
      texts.map((text) =>
        log.append({ subject: `${log.stream}.${text.charAt(0)}`, id: text, headers: {}, body: bytes(text) }),
      ),
    );
  return { world, log, dead, queue, handled, signal, start, send };
};

const texts = (lanes: string, each: number): string[] =>
  Array.from({ length: each }, (_, at) => lanes.split('').map((lane) => `${lane}${at}`)).flat();

const unique = (list: readonly string[]): string[] => [...new Set(list)];

describe('a consumer on a broker', () => {
  test('handles everything in lane order, retries what failed in its place and parks poison', async () => {
    const { log, dead, queue, handled, signal, start, send } = await setup();
    const failures = new Map<string, number>();
    start({
      decode: (entry) => {
        const text = textOf(entry.body);
        if (text.endsWith('7')) throw new Error('poison');
        return text;
      },
      handle: async (message) => {
        const failed = failures.get(message) ?? 0;
        failures.set(message, failed + 1);
        if (message.endsWith('3') && failed < 2)
          throw new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'away' });
        handled.push(message);
        return ok;
      },
    });
    await send(texts('abcd', 50));
    await signal.until(() => handled.length === 4 * 45);
    for (const lane of 'abcd') {
      const order = handled.filter((text) => text.startsWith(lane)).map((text) => Number(text.slice(1)));
      expect(order).toEqual(order.toSorted((a, b) => a - b));
    }
    const letters: string[] = [];
    for await (const entry of dead.replay())
      letters.push(readDeadLetter(entry)?.origin.headers['Nats-Msg-Id'] ?? '');
    expect(letters.sort()).toEqual(
      texts('abcd', 50)
        .filter((text) => text.endsWith('7'))
        .sort(),
    );
    expect(log.stream).toBe(queue.stream);
  });

  test('keeps its claim on entries that take longer than the ack wait', async () => {
    const { handled, signal, start, send, queue } = await setup({ ackWaitMs: 1000 });
    const deliveries: number[] = [];
    start({
      limits: { ackWaitMs: 1000 },
      handle: async (message, { delivery }) => {
        deliveries.push(delivery);
        // Work that takes its time: the broker counts in real seconds.
        await clock.sleep(2500);
        handled.push(message);
        return ok;
      },
    });
    await send(['a1', 'b1']);
    await signal.until(() => handled.length === 2);
    expect(deliveries).toEqual([1, 1]);
    expect(await queue.backlog()).toMatchObject({ pending: 0 });
  });

  test('gives back what it has not finished, and the next one gets it at once', async () => {
    const { handled, signal, start, send } = await setup();
    const stuck = Promise.withResolvers<void>();
    let started = 0;
    const first = start({
      handle: async () => {
        started += 1;
        signal.changed();
        await stuck.promise;
        return ok;
      },
      limits: { width: 2 },
    });
    await send(texts('abcdef', 5));
    await signal.until(() => started === 2);
    await first.stop(50);
    start();
    await signal.until(() => unique(handled).length === 30);
    stuck.resolve();
  });

  test('that is prioritized is taken over by the next process, in order', async () => {
    const { world, log, queue, handled, signal, start, send } = await setup({
      ackWaitMs: 2000,
      isPrioritized: true,
    });
    const other = await testConnection();
    connections.push(other);
    const owner = start({ priority: 0 });
    start({ priority: 1, queue: world.over(other).queue(log.stream, queue.consumer) });
    const first = texts('a', 20);
    await send(first);
    await signal.until(() => handled.length === 20);
    await owner.stop();
    for (let at = 20; at < 40; at += 1) await send([`a${at}`]);
    await signal.until(() => unique(handled).length === 40);
    expect(unique(handled).slice(20)).toEqual(Array.from({ length: 20 }, (_, at) => `a${at + 20}`));
  });
});
