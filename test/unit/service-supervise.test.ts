// The supervision of a loop, and the drain.
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { createCheckBoard } from '#libs/service/checks.ts';
import { drain, type Drainable } from '#libs/service/drain.ts';
import { backoff, backoffMs, supervise } from '#libs/service/supervise.ts';
import { createLogBook, loggerInto } from '#test/support/process-kit.ts';

/** A loop whose every run is ended by hand. */
const handLoop = () => {
  const runs: PromiseWithResolvers<void>[] = [];
  return {
    runs,
    last: () => runs.at(-1) ?? Promise.withResolvers<void>(),
    loop: {
      name: 'work',
      run: (signal: AbortSignal) => {
        const run = Promise.withResolvers<void>();
        signal.addEventListener('abort', () => run.resolve());
        runs.push(run);
        return run.promise;
      },
    },
  };
};

const supervised = () => {
  const clock = createManualClock();
  const book = createLogBook();
  const board = createCheckBoard(clock);
  const stop = new AbortController();
  const hand = handLoop();
  const fatal: unknown[] = [];
  let restarts = 0;
  const done = supervise(hand.loop, {
    clock,
    ids: createSeededIds(3, clock),
    logger: loggerInto(book, clock),
    check: board.of('tasks').push('work'),
    signal: stop.signal,
    onFatal: (error) => void fatal.push(error),
    onRestart: () => void (restarts += 1),
  });
  const check = async () => (await board.report())[0];
  return { clock, book, stop, hand, fatal, done, check, restarts: () => restarts };
};

const away = (): Fault =>
  new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'the broker is away' });

describe('a supervised loop', () => {
  test('that fails shows in its check, runs again after a backoff, and is ok again once it is steady', async () => {
    const { clock, hand, check, book, restarts } = supervised();
    expect(await check()).toMatchObject({ ok: true, detail: 'running' });
    hand.last().reject(away());
    await clock.settle();
    expect(await check()).toMatchObject({
      ok: false,
      detail: expect.stringMatching(
        /^LOG_UNAVAILABLE: the broker is away; restart 1 after \d+ ms$/,
      ) as unknown,
    });
    await clock.advance(backoff.firstMs);
    expect([hand.runs.length, restarts()]).toEqual([2, 1]);
    expect(await check()).toMatchObject({ ok: false });
    await clock.advance(backoff.steadyMs);
    expect(await check()).toMatchObject({ ok: true, detail: 'running' });
    expect(book.lines).toMatchObject([
      { level: 'warn', message: 'loop is down and will be restarted', code: 'LOG_UNAVAILABLE', attempt: 1 },
    ]);
  });

  test('that returns before the drain is not silently dead', async () => {
    const { clock, hand, check } = supervised();
    hand.last().resolve();
    await clock.settle();
    expect(await check()).toMatchObject({
      ok: false,
      detail: expect.stringContaining('LOOP_ENDED: it returned before the drain') as unknown,
    });
    await clock.advance(backoff.firstMs);
    expect(hand.runs).toHaveLength(2);
  });

  test('waits longer each time, and forgets after it has run for a while', async () => {
    const { clock, hand, book } = supervised();
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      hand.last().reject(away());
      await clock.advance(backoff.slowestMs);
    }
    await clock.advance(backoff.forgottenMs);
    hand.last().reject(away());
    await clock.settle();
    expect(book.lines.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 1]);
  });

  test('with a fault that retrying cannot help is an error and tried at the slowest pace', async () => {
    const { clock, hand, book } = supervised();
    hand.last().reject(new Fault({ code: 'QUEUE_MISSING', retry: 'never', message: 'not provisioned' }));
    await clock.advance(backoff.slowestMs - 1);
    expect(hand.runs).toHaveLength(1);
    await clock.advance(1);
    expect(hand.runs).toHaveLength(2);
    expect(book.lines).toMatchObject([{ level: 'error', code: 'QUEUE_MISSING', waitMs: backoff.slowestMs }]);
  });

  test('with a broken invariant is not started again', async () => {
    const { clock, hand, fatal, done, check } = supervised();
    const error = new InvariantBroken('two holders');
    hand.last().reject(error);
    await done;
    await clock.advance(backoff.slowestMs * 2);
    expect([fatal, hand.runs.length]).toEqual([[error], 1]);
    expect(await check()).toMatchObject({ ok: false, detail: 'an invariant is broken' });
  });

  test('ends with the drain, while it runs and while it waits', async () => {
    const running = supervised();
    running.stop.abort();
    await running.done;
    expect(running.hand.runs).toHaveLength(1);

    const waiting = supervised();
    waiting.hand.last().reject(away());
    await waiting.clock.settle();
    waiting.stop.abort();
    await waiting.done;
    expect(waiting.hand.runs).toHaveLength(1);
  });

  test('leaves no timer behind', async () => {
    const { clock, stop, done } = supervised();
    stop.abort();
    await done;
    expect(clock.pendingTimers()).toBe(0);
  });

  test('backs off between half and all of a doubling step, up to a limit', () => {
    expect([backoffMs(1, 0), backoffMs(1, 1), backoffMs(3, 1), backoffMs(99, 1), backoffMs(99, 0)]).toEqual([
      125, 250, 1_000, 30_000, 15_000,
    ]);
  });
});

describe('the drain', () => {
  const stoppable = (
    name: string,
    order: string[],
    stopped: Promise<void> = Promise.resolve(),
  ): Drainable => ({
    name,
    stop: () => {
      order.push(name);
      return stopped;
    },
    waitingFor: () => [`loop of ${name}`],
  });

  test('stops one after another, last started first', async () => {
    const clock = createManualClock();
    const order: string[] = [];
    const hold = Promise.withResolvers<void>();
    const items = [stoppable('a', order), stoppable('b', order, hold.promise), stoppable('c', order)];
    const report = drain(items, { clock, logger: loggerInto(createLogBook(), clock), deadlineMs: 1_000 });
    await clock.settle();
    expect(order).toEqual(['c', 'b']);
    hold.resolve();
    expect(await report).toEqual({ late: [], tookMs: 0 });
    expect(order).toEqual(['c', 'b', 'a']);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('goes on after a deadline and says what was late and what it was waiting for', async () => {
    const clock = createManualClock();
    const book = createLogBook();
    const order: string[] = [];
    const items = [stoppable('a', order), stoppable('b', order, new Promise(() => undefined))];
    const report = drain(items, { clock, logger: loggerInto(book, clock), deadlineMs: 1_000 });
    await clock.advance(1_000);
    expect(await report).toEqual({ late: ['b'], tookMs: 1_000 });
    expect(order).toEqual(['b', 'a']);
    expect(book.lines).toMatchObject([
      { message: 'stopping', what: 'b', waitingFor: ['loop of b'] },
      {
        level: 'error',
        message: 'did not stop in time',
        what: 'b',
        deadlineMs: 1_000,
        waitingFor: ['loop of b'],
      },
      { message: 'stopping', what: 'a' },
      { message: 'stopped', what: 'a' },
    ]);
  });

  test('goes on after a stop that fails', async () => {
    const clock = createManualClock();
    const book = createLogBook();
    const order: string[] = [];
    const items = [stoppable('a', order), stoppable('b', order, Promise.reject(new Error('no')))];
    expect((await drain(items, { clock, logger: loggerInto(book, clock), deadlineMs: 1_000 })).late).toEqual([
      'b',
    ]);
    expect(order).toEqual(['b', 'a']);
    expect(book.lines[1]).toMatchObject({
      level: 'error',
      message: 'failed to stop',
      error: { message: 'no' },
    });
  });
});
