// The table of dispositions, row by row, and the waits between tries.
import { describe, expect, test } from 'vitest';
import { backoffDelayMs } from '#libs/consumers/backoff.ts';
import { disposition, type TryOutcome } from '#libs/consumers/disposition.ts';
import { Fault, type RetryClass, toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import { rejection } from '#libs/kernel/rejection.ts';

const limits = { maxAttempts: 3, maxImmediate: 2 };
const first = { deliveries: 1, inARow: 1, counted: 0 };
const fault = (retry: RetryClass): Fault => new Fault({ code: 'LOG_UNAVAILABLE', retry, message: 'away' });
const failed = (error: unknown): TryOutcome => ({ kind: 'failed', error });

describe('disposition of a try', () => {
  test('every answer of a handler is acknowledged, a refusal too', () => {
    for (const kind of ['ok', 'accepted', 'unchanged'] as const)
      expect(disposition({ kind: 'handled', result: { kind } }, first, limits)).toEqual({ kind: 'ack' });
    const refused = { kind: 'rejected', rejection: rejection('RUN_FENCED', 'old fence') } as const;
    expect(disposition({ kind: 'handled', result: refused }, first, limits)).toEqual({ kind: 'ack' });
  });

  test('what cannot be decoded parks at once', () => {
    const outcome = disposition({ kind: 'undecodable', error: new SyntaxError('bad') }, first, limits);
    expect(outcome).toEqual({ kind: 'park', reason: 'undecodable' });
  });

  test('a fault that retrying cannot help parks at once', () => {
    const outcome = disposition(failed(fault('never')), first, limits);
    expect(outcome).toEqual({ kind: 'park', reason: 'refused-for-good' });
  });

  test('a dependency that is away never parks, however often it was tried', () => {
    const tries = { deliveries: 10_000, inARow: 10_000, counted: 10_000 };
    expect(disposition(failed(fault('later')), tries, limits)).toEqual({ kind: 'wait', counts: false });
  });

  test('a state that moved is tried again at once, a bounded number of times, and counts after that', () => {
    const now = failed(fault('now'));
    expect(disposition(now, { ...first, inARow: 2 }, limits)).toEqual({ kind: 'again' });
    expect(disposition(now, { ...first, inARow: 3 }, limits)).toEqual({ kind: 'wait', counts: true });
    expect(disposition(now, { ...first, inARow: 3, counted: 2 }, limits)).toEqual({
      kind: 'park',
      reason: 'attempts-used-up',
    });
  });

  test('a defect counts, and parks when its attempts are used up', () => {
    const defect = new TypeError('x is undefined');
    for (const error of [defect, toFault(defect)]) {
      expect(disposition(failed(error), first, limits)).toEqual({ kind: 'wait', counts: true });
      expect(disposition(failed(error), { ...first, counted: 2 }, limits)).toEqual({
        kind: 'park',
        reason: 'attempts-used-up',
      });
    }
  });

  test('a broken invariant ends the process, until its deliveries are used up', () => {
    const broken = new InvariantBroken('impossible');
    expect(disposition(failed(broken), { ...first, deliveries: 2 }, limits)).toEqual({ kind: 'fatal' });
    expect(disposition({ kind: 'undecodable', error: broken }, first, limits)).toEqual({ kind: 'fatal' });
    expect(disposition(failed(broken), { ...first, deliveries: 3 }, limits)).toEqual({
      kind: 'park',
      reason: 'invariant-broken',
    });
  });
});

describe('waits between tries', () => {
  const policy = { baseMs: 100, maxMs: 1000 };

  test('double from the base to the maximum, and lie in the upper half', () => {
    expect([1, 2, 3, 4, 5, 50].map((failures) => backoffDelayMs(policy, failures, 1))).toEqual([
      100, 200, 400, 800, 1000, 1000,
    ]);
    expect([1, 2, 3].map((failures) => backoffDelayMs(policy, failures, 0))).toEqual([50, 100, 200]);
  });

  test('are finite after any number of failures', () => {
    expect(backoffDelayMs(policy, Number.MAX_SAFE_INTEGER, 0.5)).toBe(750);
  });
});
