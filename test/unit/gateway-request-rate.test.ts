// How often one identity may ask.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toFault } from '#libs/kernel/fault.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createRequestRate, type RequestRate } from '#services/gateway/request-rate.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const waitOf = (rate: RequestRate, name = 'anna'): unknown => {
  try {
    rate.take(name);
    return undefined;
  } catch (error) {
    const { code, retry, detail } = toFault(error);
    return { code, retry, ...detail };
  }
};

describe('the rate of requests', () => {
  test('lets a burst through, then says how long to wait, and keeps others apart', async () => {
    const clock = createManualClock();
    const rate = createRequestRate({ perSecond: 2, burst: 3 }, clock);
    expect([waitOf(rate), waitOf(rate), waitOf(rate)]).toEqual([undefined, undefined, undefined]);
    expect(waitOf(rate)).toEqual({ code: 'REQUESTS_TOO_MANY', retry: 'later', retryAfterSeconds: 1 });
    expect(waitOf(rate, 'ben')).toBeUndefined();
    await clock.advance(1000);
    expect([waitOf(rate), waitOf(rate)]).toEqual([undefined, undefined]);
    expect(waitOf(rate)).toMatchObject({ code: 'REQUESTS_TOO_MANY' });
  });

  test('never lets more through than burst and rate allow, and always again after the time that it named', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({ perSecond: fc.integer({ min: 1, max: 50 }), burst: fc.integer({ min: 1, max: 50 }) }),
        fc.array(fc.integer({ min: 0, max: 3000 }), { maxLength: 60 }),
        async (limits, pauses) => {
          const clock = createManualClock();
          const rate = createRequestRate(limits, clock);
          let passed = 0;
          let elapsedMs = 0;
          for (const pauseMs of pauses) {
            await clock.advance(pauseMs);
            elapsedMs += pauseMs;
            const refused = waitOf(rate) as { retryAfterSeconds: number } | undefined;
            if (refused === undefined) passed += 1;
            expect(passed).toBeLessThanOrEqual(limits.burst + (elapsedMs * limits.perSecond) / 1000 + 1e-6);
            if (refused === undefined) continue;
            await clock.advance(refused.retryAfterSeconds * 1000);
            elapsedMs += refused.retryAfterSeconds * 1000;
            expect(waitOf(rate)).toBeUndefined();
            passed += 1;
          }
        },
      ),
      propertyRuns(50),
    );
  });
});
