// The contract of concurrent appends: each caller has its own outcome however appends travel together.
import type { AppendOutcome } from '#libs/ports/event-log.ts';
import { describe, expect, it } from 'vitest';
import { entry, idOf, type MakeLog, withLog } from './log-harness.ts';
import { all, expectFault } from './reading.ts';

const callers = (make: MakeLog): void => {
  it(
    'gives each of 64 concurrent appends its own outcome: stored, conflict or duplicate',
    withLog(make, async ({ log, subject }) => {
      for (let n = 0; n < 64; n += 1)
        if (n % 3 !== 0) await log.append(entry(subject(`s${n}`), `old${n}`, { expectedSeq: 0 }));
      const before = await log.bounds();
      const outcomes = await Promise.all(
        Array.from({ length: 64 }, (_, n) =>
          log.append(entry(subject(`s${n}`), n % 3 === 2 ? `old${n}` : `new${n}`, { expectedSeq: 0 })),
        ),
      );
      for (const [n, outcome] of outcomes.entries()) {
        const lastSeq = (await log.last(subject(`s${n}`)))?.seq;
        if (n % 3 === 0) expect(outcome).toEqual({ kind: 'appended', seq: lastSeq, duplicate: false });
        if (n % 3 === 1) expect(outcome).toMatchObject({ kind: 'conflict', actualSeq: lastSeq });
        if (n % 3 === 2) expect(outcome).toEqual({ kind: 'appended', seq: lastSeq, duplicate: true });
      }
      expect((await log.bounds()).entries).toBe(before.entries + 22);
    }),
  );

  it(
    'fails only the caller whose entry is refused',
    withLog(make, async ({ log, subject }) => {
      const good = (n: number): Promise<AppendOutcome> => log.append(entry(subject(`g${n}`), `g${n}`));
      const before = Promise.all([good(1), good(2), good(3)]);
      const bad = expectFault(() => log.append(entry(subject('*'), 'bad')), 'LOG_REFUSED', 'never');
      const large = entry(subject('large'), 'large', { body: new Uint8Array(2 * 1_048_576) });
      const tooLarge = expectFault(() => log.append(large), 'LOG_REFUSED', 'never');
      const after = Promise.all([good(4), good(5)]);
      await Promise.all([bad, tooLarge]);
      for (const outcome of [...(await before), ...(await after)])
        expect(outcome).toMatchObject({ kind: 'appended', duplicate: false });
    }),
  );

  it(
    'lets appends to one subject take effect in call order',
    withLog(make, async ({ log, subject }) => {
      const calls = Array.from({ length: 200 }, (_, n) => entry(subject(`s${n % 4}`), `c${n}`));
      await Promise.all(calls.map((call) => log.append(call)));
      for (let s = 0; s < 4; s += 1) {
        const wanted = calls.filter((call) => call.subject === subject(`s${s}`)).map(({ id }) => id);
        expect((await all(log.read(subject(`s${s}`)))).map(idOf)).toEqual(wanted);
      }
    }),
  );

  it(
    'stores appends to one subject that need no order, each once, beside those that do, and each repeat as what it is',
    withLog(make, async ({ log, subject }) => {
      const free = Array.from({ length: 200 }, (_, n) => ({
        ...entry(subject('one'), `f${n}`),
        inAnyOrder: true,
      }));
      const inOrder = Array.from({ length: 20 }, (_, n) => entry(subject('one'), `o${n}`));
      const calls = free.flatMap((call, n) => (n % 10 === 0 ? [call, inOrder[n / 10] ?? call] : [call]));
      const outcomes = await Promise.all(calls.map((call) => log.append(call)));
      expect(outcomes.every((outcome) => outcome.kind === 'appended' && !outcome.duplicate)).toBe(true);
      const again = await Promise.all(free.slice(0, 50).map((call) => log.append(call)));
      expect(again.every((outcome) => outcome.kind === 'appended' && outcome.duplicate)).toBe(true);
      const stored = (await all(log.read(subject('one')))).map((one) => idOf(one) ?? '');
      expect(stored.toSorted()).toEqual(calls.map(({ id }) => id).toSorted());
      expect(stored.filter((id) => id.startsWith('o'))).toEqual(inOrder.map(({ id }) => id));
      // An expectation is an order: the flag says nothing then.
      const last = await log.last(subject('one'));
      const next = { ...entry(subject('one'), 'x', { expectedSeq: last?.seq ?? 0 }), inAnyOrder: true };
      const late = { ...entry(subject('one'), 'y', { expectedSeq: last?.seq ?? 0 }), inAnyOrder: true };
      const [first, second] = await Promise.all([log.append(next), log.append(late)]);
      expect([first.kind, second.kind]).toEqual(['appended', 'conflict']);
    }),
  );

  it(
    'lets one of 32 racers win, and tells the others who did',
    withLog(make, async ({ log, subject }) => {
      const run = subject('run');
      await log.append(entry(run, 'start'));
      const outcomes = await Promise.all(
        Array.from({ length: 32 }, (_, n) => log.append(entry(run, `racer${n}`, { expectedSeq: 1 }))),
      );
      const winners = outcomes.filter(({ kind }) => kind === 'appended');
      expect(winners).toEqual([{ kind: 'appended', seq: 2, duplicate: false }]);
      for (const outcome of outcomes)
        if (outcome.kind === 'conflict') expect(outcome).toMatchObject({ expectedSeq: 1, actualSeq: 2 });
    }),
  );

  it(
    'stores an entry once that is appended by many at the same time',
    withLog(make, async ({ log, subject }) => {
      const once = entry(subject('run'), 'once', { expectedSeq: 0 });
      const outcomes = await Promise.all(Array.from({ length: 16 }, () => log.append(once)));
      for (const outcome of outcomes) expect(outcome).toMatchObject({ kind: 'appended', seq: 1 });
      const stored = outcomes.filter((outcome) => outcome.kind === 'appended' && !outcome.duplicate);
      expect(stored).toHaveLength(1);
      expect(await log.bounds()).toMatchObject({ entries: 1 });
    }),
  );

  it(
    'does not mix a batch with what is appended beside it',
    withLog(make, async ({ log, subject }) => {
      const batches = Array.from({ length: 5 }, (_, b) =>
        log.appendTogether(Array.from({ length: 20 }, (_, n) => entry(subject(`b${b}`), `b${b}-${n}`))),
      );
      const singles = Array.from({ length: 50 }, (_, n) => log.append(entry(subject(`s${n}`), `s${n}`)));
      const outcomes = await Promise.all(batches);
      await Promise.all(singles);
      for (const outcome of outcomes) {
        const [start = 0] = outcome.kind === 'appended' ? outcome.seqs : [];
        expect(outcome).toMatchObject({ seqs: Array.from({ length: 20 }, (_, n) => start + n) });
      }
      expect(await log.bounds()).toMatchObject({ entries: 150, lastSeq: 150 });
    }),
  );
};

export const concurrencyContract = (make: MakeLog): void => {
  describe('concurrent appends', () => {
    callers(make);
  });
};
