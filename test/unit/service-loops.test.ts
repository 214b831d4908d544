// Consumers and projections as loops of a service: measured, logged, drained, restarted.
import type { MemoryBroker } from '#libs/memory/broker.ts';
import { encodePosition, POSITION_KEY } from '#libs/projections/position.ts';
import { describe, expect, test } from 'vitest';
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { ok } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { defineService, type Service } from '#libs/service/define-service.ts';
import { consumerLoop, projectionLoop, type ConsumerLoopOptions } from '#libs/service/loops.ts';
import { environmentOf, startInTest } from '#test/support/process-kit.ts';
import { appendAdded, bucketContent, bytes, tallyProjection, textOf } from '#test/support/tally.ts';

const deadLettersOf = (context: ServiceContext) =>
  createDeadLetters({ log: context.log('DEAD'), build: (_, id) => ({ subject: `dead.${id}`, headers: {} }) });

/** A service with one consumer, which reads the stream WORK. */
const working = (given: Partial<ConsumerLoopOptions<string>> = {}): Service =>
  defineService({
    name: 'tasks',
    loops: (context) => [
      consumerLoop<string>(context, {
        name: 'tasks-work',
        queue: context.queue('WORK', 'tasks-work'),
        decode: (entry) => textOf(entry.body),
        lane: (message) => message,
        handle: async () => ok,
        deadLetters: deadLettersOf(context),
        ...given,
      }),
    ],
  });

const start = async (
  service: Service,
  environment: Readonly<Record<string, string>> = {},
  before: (broker: MemoryBroker) => Promise<void> = () => Promise.resolve(),
) => {
  const kit = await startInTest([service], { sources: environmentOf(environment) });
  const { broker, clock, started } = kit;
  broker.declare({
    streams: [
      { name: 'WORK', subjects: ['work.>'] },
      { name: 'LOG', subjects: ['LOG.>'] },
      { name: 'DEAD', subjects: ['dead.>'] },
    ],
    buckets: [{ name: 'tally' }, { name: 'tally-rebuild' }],
    consumers: [{ name: 'tasks-work', stream: 'WORK' }],
  });
  await before(broker);
  await started.booted;
  let sent = 0;
  const send = async (text: string): Promise<void> => {
    sent += 1;
    await broker
      .eventLog('WORK')
      .append({ subject: 'work.a', id: `m${sent}`, headers: {}, body: bytes(text) });
  };
  const metric = async (line: string): Promise<boolean> =>
    (await (await fetch(`${started.healthUrl}/metrics`)).text()).split('\n').includes(line);
  await clock.advance(60_000);
  return { ...kit, send, metric };
};

describe('a consumer loop', () => {
  test('counts what it handles, refuses, skips and parks', async () => {
    const { send, metric, clock, book } = await start(
      working({
        decode: (entry) => {
          const text = textOf(entry.body);
          if (text === 'poison') throw new SyntaxError('not a message');
          return text === 'other' ? undefined : text;
        },
        handle: async (message) =>
          message === 'no' ? { kind: 'rejected', rejection: rejection('RUN_FENCED', 'old fence') } : ok,
      }),
    );
    for (const text of ['yes', 'yes', 'no', 'other', 'poison']) await send(text);
    await clock.settle();
    for (const [outcome, count] of Object.entries({ handled: 2, rejected: 1, skipped: 1, parked: 1 })) {
      const line = `fleetlog_consumer_entries_total{consumer="tasks-work",outcome="${outcome}"} ${count}`;
      expect(await metric(line), line).toBe(true);
    }
    expect(book.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        message: 'entry is parked',
        service: 'tasks',
        consumer: 'tasks-work',
        reason: 'undecodable',
        subject: 'work.a',
        seq: 5,
        letterSeq: 1,
      }),
    );
  });

  test('is started again after a fault of its queue, visibly', async () => {
    const { clock, broker, ready, book, send } = await start(
      defineService({
        name: 'tasks',
        loops: (context) => [
          consumerLoop<string>(context, {
            name: 'late',
            queue: context.queue('WORK', 'late'),
            decode: (entry) => textOf(entry.body),
            lane: () => 'one',
            handle: async (message) => {
              context.logger.info('handled', { text: message });
              return ok;
            },
            deadLetters: deadLettersOf(context),
          }),
        ],
      }),
    );
    expect(await ready()).toMatchObject({
      status: 503,
      body: {
        checks: [
          { ok: true },
          { name: 'tasks.late', ok: false, detail: expect.stringContaining('QUEUE_MISSING') as unknown },
          { ok: true },
        ],
      },
    });
    broker.declare({ consumers: [{ name: 'late', stream: 'WORK' }] });
    await send('at last');
    await clock.advance(60_000);
    expect(await ready()).toMatchObject({ status: 200 });
    expect(book.lines).toContainEqual(expect.objectContaining({ message: 'handled', text: 'at last' }));
  });

  test('ends the process when a handler breaks an invariant', async () => {
    const { send, started, clock } = await start(
      working({
        handle: () => {
          throw new InvariantBroken('two holders');
        },
      }),
    );
    await send('x');
    await clock.settle();
    expect(await started.failed).toBeInstanceOf(InvariantBroken);
  });

  test('finishes what it has in hand before the drain of its service ends', async () => {
    const inHand = Promise.withResolvers<void>();
    const { send, started, clock, broker } = await start(
      working({
        handle: async () => {
          await inHand.promise;
          return ok;
        },
      }),
    );
    await send('x');
    await clock.settle();
    const draining = started.drain();
    await clock.settle();
    inHand.resolve();
    expect(await draining).toMatchObject({ late: [] });
    expect(await broker.workQueue('WORK', 'tasks-work').backlog()).toEqual({ pending: 0, unacknowledged: 0 });
  });

  test('gives back what takes too long, in time for the drain', async () => {
    const { send, started, clock, book } = await start(
      working({ handle: () => new Promise(() => undefined) }),
      {
        FLEETLOG_DRAIN_MS: '1s',
        FLEETLOG_LOG_LEVEL: 'debug',
      },
    );
    await send('x');
    await clock.settle();
    const draining = started.drain();
    await clock.advance(900);
    expect(await draining).toMatchObject({ late: [] });
    expect(book.lines).toContainEqual(
      expect.objectContaining({ message: 'entry is given back undone', consumer: 'tasks-work', seq: 1 }),
    );
  });
});

describe('a projection loop', () => {
  const projecting = defineService({
    name: 'runs',
    loops: (context) => [
      projectionLoop(context, {
        projection: tallyProjection({ stream: 'LOG', bucket: 'tally' }),
        deadLetters: deadLettersOf(context),
      }),
    ],
  });

  test('folds, counts, and parks what cannot be folded', async () => {
    const { broker, clock, metric, book } = await start(projecting);
    const log = broker.eventLog('LOG');
    await appendAdded(log, { key: 'a', add: 1 });
    await appendAdded(log, { key: 'a', add: 'boom' });
    await appendAdded(log, { key: 'a', add: 2 });
    await clock.advance(60_000);
    expect(await bucketContent(broker.keyValue('tally'))).toMatchObject({ a: { sum: 3 } });
    expect(await metric('fleetlog_projection_position{projection="tally"} 3')).toBe(true);
    expect(book.messages()).toContain('projection is active');
    expect(book.lines).toContainEqual(
      expect.objectContaining({
        level: 'error',
        message: 'entry cannot be folded',
        service: 'runs',
        projection: 'tally',
        seq: 2,
      }),
    );
    expect((await broker.eventLog('DEAD').bounds()).entries).toBe(1);
  });

  test('folds a bucket of an older version anew when it has another one to do it in', async () => {
    const newer = defineService({
      name: 'runs',
      loops: (context) => [
        projectionLoop(context, {
          projection: tallyProjection({ stream: 'LOG', bucket: 'tally', version: 2 }),
          deadLetters: deadLettersOf(context),
          scratch: (bucket) => `${bucket}-rebuild`,
        }),
      ],
    });
    const old = { seq: 0, projection: 'tally', version: 1, owner: 'before' };
    const { broker, book } = await start(newer, {}, async (made) => {
      await appendAdded(made.eventLog('LOG'), { key: 'a', add: 1 });
      await made.keyValue('tally').put('gone', bytes('{"seq":1,"sum":1,"count":1,"trail":"1;"}'));
      await made.keyValue('tally').put(POSITION_KEY, encodePosition(old));
    });
    expect(book.messages()).toEqual(
      expect.arrayContaining(['bucket is folded anew from the log', 'bucket was folded anew']),
    );
    expect(await bucketContent(broker.keyValue('tally'))).toEqual({
      a: { seq: 1, sum: 1, count: 1, trail: '1;' },
    });
  });

  test('stops with the drain', async () => {
    const { started } = await start(projecting);
    expect(await started.drain()).toMatchObject({ late: [] });
  });
});

test('a fault is no reason to end the process', async () => {
  const { send, clock, started, ready } = await start(
    working({
      handle: () => {
        throw new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'the broker is away' });
      },
    }),
  );
  await send('x');
  await clock.advance(5_000);
  expect(await Promise.race([started.failed, Promise.resolve('alive')])).toBe('alive');
  expect((await ready()).status).toBe(200);
});
