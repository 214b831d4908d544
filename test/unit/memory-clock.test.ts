// The manual clock: timers ring in order, work settles between them, and time moves only when told.
import { createManualClock } from '#libs/memory/clock.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

describe('manual clock', () => {
  it('stands still until it is advanced', async () => {
    const clock = createManualClock(5_000);
    let hasRung = false;
    clock.timer(1, () => {
      hasRung = true;
    });
    await clock.settle();
    expect([clock.now(), clock.monotonicMs(), hasRung]).toEqual([5_000, 0, false]);
    await clock.advance(1);
    expect([clock.now(), clock.monotonicMs(), hasRung]).toEqual([5_001, 1, true]);
  });

  it('rings timers in the order they are due, ties in the order they were set, each at its time', async () => {
    const property = fc.asyncProperty(fc.array(fc.nat(20), { maxLength: 60 }), async (delays) => {
      const clock = createManualClock(0);
      const rung: { delay: number; at: number; nth: number }[] = [];
      for (const [nth, delay] of delays.entries())
        clock.timer(delay, () => rung.push({ delay, nth, at: clock.now() }));
      await clock.advance(20);
      const wanted = delays
        .map((delay, nth) => ({ delay, nth, at: delay }))
        .sort((a, b) => a.delay - b.delay || a.nth - b.nth);
      expect(rung).toEqual(wanted);
      expect(clock.pendingTimers()).toBe(0);
    });
    await fc.assert(property, propertyRuns(50));
  });

  it('lets everything that a timer started settle before the next one rings', async () => {
    const clock = createManualClock();
    const trace: string[] = [];
    clock.timer(10, () => {
      void (async () => {
        for (let n = 0; n < 50; n += 1) await Promise.resolve();
        trace.push('work of the first');
      })();
    });
    clock.timer(10, () => trace.push('second'));
    await clock.advance(10);
    expect(trace).toEqual(['work of the first', 'second']);
  });

  it('rings timers that are set while it advances, if they fall due on the way', async () => {
    const clock = createManualClock(0);
    const rung: number[] = [];
    const beat = (): void => {
      rung.push(clock.monotonicMs());
      clock.timer(300, beat);
    };
    clock.timer(300, beat);
    await clock.advance(1_000);
    expect(rung).toEqual([300, 600, 900]);
    expect(clock.pendingTimers()).toBe(1);
    await clock.advance(200);
    expect(rung).toEqual([300, 600, 900, 1_200]);
  });

  it('does not ring what was cancelled, also when most timers are', async () => {
    const clock = createManualClock();
    const rung: number[] = [];
    const cancels = Array.from({ length: 1_000 }, (_, n) => clock.timer(n, () => rung.push(n)));
    for (const [n, cancel] of cancels.entries()) if (n % 100 !== 0) cancel();
    cancels[5]?.();
    expect(clock.pendingTimers()).toBe(10);
    await clock.advance(1_000);
    expect(rung).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    for (const cancel of cancels) cancel();
    expect(clock.pendingTimers()).toBe(0);
  });

  it('goes from timer to timer, and says when there is none', async () => {
    const clock = createManualClock(0);
    const rung: string[] = [];
    clock.timer(86_400_000, () => rung.push('day'));
    clock.timer(50, () => rung.push('soon'));
    expect(await clock.advanceToNext()).toBe(true);
    expect([clock.now(), rung]).toEqual([50, ['soon']]);
    expect(await clock.advanceToNext()).toBe(true);
    expect(clock.now()).toBe(86_400_000);
    expect(await clock.advanceToNext()).toBe(false);
  });

  it('jumps the wall clock in both directions without touching timers and monotonic time', async () => {
    const clock = createManualClock(100_000);
    let hasRung = false;
    clock.timer(1_000, () => {
      hasRung = true;
    });
    clock.jumpWall(-50_000);
    expect([clock.now(), clock.monotonicMs()]).toEqual([50_000, 0]);
    clock.jumpWall(3_600_000);
    await clock.advance(999);
    expect(hasRung).toBe(false);
    await clock.advance(1);
    expect([hasRung, clock.now(), clock.monotonicMs()]).toEqual([true, 3_651_000, 1_000]);
  });

  it('ends a sleep at its time or when its signal aborts, and leaves no timer behind', async () => {
    const clock = createManualClock();
    const trace: string[] = [];
    const abort = new AbortController();
    void clock.sleep(100).then(() => trace.push('slept'));
    void clock.sleep(10_000, abort.signal).then(() => trace.push('aborted'));
    void clock.sleep(10_000, AbortSignal.abort()).then(() => trace.push('never slept'));
    await clock.settle();
    expect(trace).toEqual(['never slept']);
    abort.abort();
    await clock.settle();
    expect(trace).toEqual(['never slept', 'aborted']);
    await clock.advance(100);
    expect(trace).toEqual(['never slept', 'aborted', 'slept']);
    expect(clock.pendingTimers()).toBe(0);
  });

  it('lets advances queue behind one another', async () => {
    const clock = createManualClock(0);
    const rung: number[] = [];
    for (const delay of [10, 20, 30]) clock.timer(delay, () => rung.push(delay));
    await Promise.all([clock.advance(10), clock.advance(10), clock.advance(5)]);
    expect([clock.now(), rung]).toEqual([25, [10, 20]]);
  });

  it('goes on until something is so, and says when it did not become so', async () => {
    const clock = createManualClock(0);
    const rung: number[] = [];
    const again = (delayMs: number): void => {
      clock.timer(delayMs, () => {
        // What a timer starts has settled before the next one rings.
        void Promise.resolve()
          .then(() => undefined)
          .then(() => rung.push(clock.monotonicMs()));
        again(delayMs);
      });
    };
    again(10);
    expect(await clock.advanceUntil(() => rung.length === 200, 60_000)).toBe(true);
    expect([rung.at(-1), clock.monotonicMs()]).toEqual([2_000, 2_000]);
    expect(await clock.advanceUntil(() => false, 100)).toBe(false);
    expect(rung.length).toBe(210);
    await expect(
      clock.advanceUntil(() => {
        throw new Error('no');
      }, 100),
    ).rejects.toThrow('no');
    expect(await createManualClock(0).advanceUntil(() => false, 100)).toBe(false);
  });
});
