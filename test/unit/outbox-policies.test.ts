// The rules of the durable buffer: how long it waits, what travels together, what gives way. Pure functions.
import { describe, expect, test } from 'vitest';
import { MAX_ATTEMPTS, refusedWaitMs, unreachableWaitMs } from '#libs/outbox/backoff.policy.ts';
import { takeBatch } from '#libs/outbox/batch.policy.ts';
import type { BufferedRecord } from '#libs/outbox/outbox.ts';
import { chooseVictims, gapsOf, type Candidate } from '#libs/outbox/shed.policy.ts';

describe('waiting', () => {
  test('OB-20 the wait after a refusal doubles from 0.5–1 s to 30–60 s', () => {
    const bounds = [1, 2, 3, 4, 5, 6, 7, 8, 40].map((attempts) => [
      refusedWaitMs(attempts, 0),
      refusedWaitMs(attempts, 1),
    ]);
    expect(bounds).toEqual([
      [500, 1000],
      [1000, 2000],
      [2000, 4000],
      [4000, 8000],
      [8000, 16_000],
      [16_000, 32_000],
      [30_000, 60_000],
      [30_000, 60_000],
      [30_000, 60_000],
    ]);
  });

  test('OB-20 the eleven waits before a record is parked sum to between 182 and 363 s', () => {
    const sum = (random: number): number =>
      Array.from({ length: MAX_ATTEMPTS - 1 }, (_, at) => refusedWaitMs(at + 1, random)).reduce(
        (total, ms) => total + ms,
        0,
      );
    expect(Math.trunc(sum(0) / 1000)).toBe(181);
    expect(sum(1) / 1000).toBe(363);
  });

  test('the wait for an unreachable other side never passes 60 s, however long it is away', () => {
    for (const failures of [1, 2, 9, 100, 1_000_000])
      expect(unreachableWaitMs(failures, 1)).toBeLessThanOrEqual(60_000);
    expect(unreachableWaitMs(1, 0)).toBe(125);
  });
});

const record = (sourceSeq: number, more: Partial<BufferedRecord> = {}): BufferedRecord => ({
  sourceSeq,
  id: `id-${sourceSeq}`,
  lane: 'lane',
  kind: 'note',
  worth: 5,
  subject: 's',
  headers: {},
  body: new Uint8Array(10),
  occurredAt: 0,
  enqueuedAt: 0,
  attempts: 0,
  ...more,
});
const seqs = (batch: readonly { readonly sourceSeq: number }[]): number[] =>
  batch.map((one) => one.sourceSeq);

describe('a batch', () => {
  const limits = { rows: 3, bytes: 25 };

  test('takes records in order up to its rows and bytes, and always one', () => {
    expect(
      seqs(
        takeBatch(
          [1, 2, 3, 4].map((seq) => record(seq)),
          limits,
        ),
      ),
    ).toEqual([1, 2]);
    expect(seqs(takeBatch([record(1, { body: new Uint8Array(900) }), record(2)], limits))).toEqual([1]);
    expect(takeBatch([], limits)).toEqual([]);
  });

  test('a record that was refused before travels alone', () => {
    expect(seqs(takeBatch([record(1, { attempts: 1 }), record(2)], limits))).toEqual([1]);
    expect(seqs(takeBatch([record(1), record(2, { attempts: 3 })], limits))).toEqual([1]);
  });
});

describe('shedding', () => {
  const candidate = (sourceSeq: number, lane = 'a', kind = 'text'): Candidate => ({
    sourceSeq,
    lane,
    kind,
    bytes: 100,
  });

  test('takes the least worthy first and stops a tenth below the budget', () => {
    const victims = chooseVictims(
      { rows: 11, bytes: 1100 },
      { rows: 10, bytes: 1_000_000 },
      [7, 8, 1, 2].map((seq) => candidate(seq)),
    );
    expect(seqs(victims)).toEqual([7, 8]);
  });

  test('a gap names what was dropped, lane by lane, as ranges and kinds', () => {
    const victims = [candidate(5), candidate(3, 'b'), candidate(4), candidate(9, 'a', 'output')];
    expect(gapsOf(victims)).toEqual([
      {
        reason: 'budget',
        lane: 'a',
        firstSourceSeq: 4,
        lastSourceSeq: 9,
        dropped: 3,
        ranges: [
          [4, 5],
          [9, 9],
        ],
        kinds: { text: 2, output: 1 },
      },
      {
        reason: 'budget',
        lane: 'b',
        firstSourceSeq: 3,
        lastSourceSeq: 3,
        dropped: 1,
        ranges: [[3, 3]],
        kinds: { text: 1 },
      },
    ]);
  });
});
