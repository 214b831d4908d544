// Seeded ids: repeatable, valid, strictly increasing whatever the wall clock does.
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { describe, expect, it } from 'vitest';
import { decodeTime, isValid } from 'ulid';

const many = (count: number, next: () => string): string[] => Array.from({ length: count }, next);

describe('seeded ids', () => {
  it('gives the same ids and numbers for the same seed, and others for another', () => {
    const draw = (seed: number): unknown[] => {
      const ids = createSeededIds(seed, createManualClock(1_000));
      return [...many(20, () => ids.ulid()), ids.random(), ids.random()];
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
  });

  it('gives valid ULIDs with the time of the clock', async () => {
    const clock = createManualClock(1_893_456_000_123);
    const ids = createSeededIds(1, clock);
    expect(decodeTime(ids.ulid())).toBe(1_893_456_000_123);
    await clock.advance(1_000);
    const later = ids.ulid();
    expect(isValid(later)).toBe(true);
    expect(decodeTime(later)).toBe(1_893_456_001_123);
  });

  it('increases strictly while the wall clock stands still, and when it jumps back', async () => {
    const clock = createManualClock();
    const ids = createSeededIds(3, clock);
    const drawn = many(1_000, () => ids.ulid());
    clock.jumpWall(-3_600_000);
    drawn.push(...many(1_000, () => ids.ulid()));
    await clock.advance(10);
    drawn.push(...many(1_000, () => ids.ulid()));
    expect(drawn).toEqual([...new Set(drawn)].sort());
    expect(drawn.every((id) => isValid(id))).toBe(true);
  });

  it('keeps forks apart: what one draws does not shift another', () => {
    const fresh = () => createSeededIds(5, createManualClock(0));
    const quiet = fresh().fork('runner-2').ulid();
    const busy = fresh();
    many(100, () => busy.ulid());
    const first = busy.fork('runner-1');
    many(10, () => first.ulid());
    expect(busy.fork('runner-2').ulid()).toBe(quiet);
    expect(busy.fork('runner-1').ulid()).not.toBe(quiet);
  });

  it('draws numbers that are spread evenly over [0, 1)', () => {
    const ids = createSeededIds(11, createManualClock());
    const buckets = Array.from({ length: 10 }, () => 0);
    for (let n = 0; n < 10_000; n += 1) {
      const number = ids.random();
      expect(number >= 0 && number < 1).toBe(true);
      const at = Math.floor(number * 10);
      buckets[at] = (buckets[at] ?? 0) + 1;
    }
    for (const count of buckets) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});
