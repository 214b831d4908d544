// When a lease is renewed and when work under it ends: the arithmetic, and the keeper under a clock that is moved by hand.
import { assert, integer, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { LeaseKeeper } from '#services/runner/lease-keeper.ts';
import { renewInMs, stopAtMs, stopGraceMs } from '#services/runner/lease-times.policy.ts';
import type { RunsAnswer } from '#services/runner/runs-client.ts';
import { propertyRuns } from '#test/support/seeds.ts';

type Answer = RunsAnswer<{ leaseMs: number; cancelRequested: boolean }>;

test('for every lease: three chances to renew, and after SIGTERM there is time for SIGKILL before it is over', () => {
  assert(
    property(
      integer({ min: 2000, max: 3_600_000 }),
      integer({ min: 0, max: 60_000 }),
      (leaseMs, killAfterMs) => {
        const times = { leaseMs, killAfterMs, sentAtMs: 1000 };
        const end = times.sentAtMs + leaseMs;
        expect(stopAtMs(times)).toBeGreaterThan(times.sentAtMs + renewInMs(times, true));
        expect(stopAtMs(times) + stopGraceMs(times)).toBeLessThan(end);
        expect(renewInMs(times, false)).toBeLessThanOrEqual(2000);
      },
    ),
    propertyRuns(500),
  );
});

describe('the keeper', () => {
  const keep = (answers: (at: number) => Answer) => {
    const clock = createManualClock();
    const said: [string, number][] = [];
    const asked: number[] = [];
    const note = (what: string): void => void said.push([what, Math.round(clock.monotonicMs())]);
    const keeper = new LeaseKeeper({
      clock,
      times: { leaseMs: 30_000, sentAtMs: clock.monotonicMs(), killAfterMs: 2000 },
      renew: async () => {
        asked.push(Math.round(clock.monotonicMs()));
        return answers(clock.monotonicMs());
      },
      onRenewed: (cancelRequested) => note(cancelRequested ? 'cancel' : 'renewed'),
      onRefused: (code) => note(code),
      onEnding: () => note('ending'),
    });
    return { clock, said, asked, keeper };
  };
  const ok: Answer = { kind: 'ok', result: { leaseMs: 30_000, cancelRequested: false } };
  const away: Answer = { kind: 'away', message: 'nobody' };

  test('HR-12 renews every third of the lease', async () => {
    const { clock, asked, said, keeper } = keep(() => ok);
    await clock.advance(60_000);
    keeper.stop();
    expect(asked).toEqual([10_000, 20_000, 30_000, 40_000, 50_000, 60_000]);
    expect(new Set(said.map(([what]) => what))).toEqual(new Set(['renewed']));
    await clock.advance(60_000);
    expect(asked).toHaveLength(6);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('says that the lease is ending 3 s before it is over, counted from when the last good request was sent', async () => {
    const { clock, said, asked, keeper } = keep((at) => (at > 15_000 ? away : ok));
    await clock.advance(60_000);
    keeper.stop();
    expect(said).toEqual([
      ['renewed', 10_000],
      ['ending', 37_000],
    ]);
    // Nobody answers: it goes on asking every 2 s.
    expect(asked.slice(1, 4)).toEqual([20_000, 22_000, 24_000]);
  });

  test('WK-79 a lease in doubt is asked for at once, once, and then in its usual rhythm', async () => {
    const { clock, asked, keeper } = keep(() => ok);
    await clock.advance(4000);
    keeper.renewNow();
    keeper.renewNow();
    await clock.advance(16_000);
    expect(asked).toEqual([4000, 14_000]);
    keeper.stop();
    keeper.renewNow();
    await clock.advance(20_000);
    expect(asked).toHaveLength(2);
  });

  test('a wall clock that jumps changes nothing', async () => {
    const { clock, asked, said, keeper } = keep(() => ok);
    await clock.advance(5000);
    clock.jumpWall(3_600_000);
    await clock.advance(5000);
    clock.jumpWall(-7_200_000);
    await clock.advance(10_000);
    keeper.stop();
    expect(asked).toEqual([10_000, 20_000]);
    expect(said.map(([what]) => what)).toEqual(['renewed', 'renewed']);
  });

  test('tells of a refusal once and stops asking', async () => {
    const { clock, asked, said } = keep(() => ({ kind: 'refused', code: 'RUN_FENCED', message: 'no' }));
    await clock.advance(120_000);
    expect(asked).toEqual([10_000]);
    expect(said).toEqual([['RUN_FENCED', 10_000]]);
    expect(clock.pendingTimers()).toBe(0);
  });

  test('passes on that a cancel was asked for', async () => {
    const { clock, said, keeper } = keep(() => ({
      kind: 'ok',
      result: { leaseMs: 30_000, cancelRequested: true },
    }));
    await clock.advance(10_000);
    keeper.stop();
    expect(said).toEqual([['cancel', 10_000]]);
  });
});
