// The contract of single appends: expectations, repeats, what is stored and what is refused.
import { describe, expect, it } from 'vitest';
import { entry, idOf, type MakeLog, withLog } from './log-harness.ts';
import { expectFault } from './reading.ts';

const expectations = (make: MakeLog): void => {
  describe('expectations', () => {
    it(
      'appends at the expected sequence, one after another',
      withLog(make, async ({ log, subject }) => {
        const run = subject('run');
        expect(await log.append(entry(run, 'a', { expectedSeq: 0 }))).toEqual({
          kind: 'appended',
          seq: 1,
          duplicate: false,
        });
        await log.append(entry(subject('other'), 'b'));
        const third = await log.append(entry(run, 'c', { expectedSeq: 1 }));
        expect(third).toEqual({ kind: 'appended', seq: 3, duplicate: false });
        expect(idOf(await log.last(run))).toBe('c');
      }),
    );

    it(
      'answers an expectation that does not hold with the actual sequence, and stores nothing',
      withLog(make, async ({ log, subject }) => {
        const run = subject('run');
        await log.append(entry(run, 'a'));
        await log.append(entry(run, 'b'));
        for (const expectedSeq of [0, 1, 99])
          expect(await log.append(entry(run, `c${expectedSeq}`, { expectedSeq }))).toEqual({
            kind: 'conflict',
            subject: run,
            expectedSeq,
            actualSeq: 2,
          });
        expect(await log.bounds()).toMatchObject({ lastSeq: 2, entries: 2 });
      }),
    );

    it(
      'answers a conflict on an empty subject with sequence 0',
      withLog(make, async ({ log, subject }) => {
        await log.append(entry(subject('other'), 'a'));
        expect(await log.append(entry(subject('run'), 'b', { expectedSeq: 1 }))).toMatchObject({
          kind: 'conflict',
          actualSeq: 0,
        });
      }),
    );

    it(
      'does not use up the id of an append that conflicted',
      withLog(make, async ({ log, subject }) => {
        const run = subject('run');
        await log.append(entry(run, 'a'));
        expect(await log.append(entry(run, 'b', { expectedSeq: 0 }))).toMatchObject({ kind: 'conflict' });
        expect(await log.append(entry(run, 'b', { expectedSeq: 1 }))).toMatchObject({
          kind: 'appended',
          duplicate: false,
        });
      }),
    );
  });
};

const repeats = (make: MakeLog): void => {
  describe('repeats', () => {
    it(
      'answers the retry of an append with the sequence of the first time',
      withLog(make, async ({ log, subject }) => {
        const run = subject('run');
        const once = entry(run, 'a', { expectedSeq: 0 });
        const plain = entry(subject('plain'), 'p');
        await log.append(once);
        await log.append(plain);
        expect(await log.append(once)).toEqual({ kind: 'appended', seq: 1, duplicate: true });
        expect(await log.append(plain)).toEqual({ kind: 'appended', seq: 2, duplicate: true });
        expect(await log.bounds()).toMatchObject({ entries: 2 });
      }),
    );

    it(
      'tells a retry from a conflict also when others have appended to the subject since',
      withLog(make, async ({ log, subject }) => {
        const run = subject('run');
        const once = entry(run, 'a', { expectedSeq: 0 });
        await log.append(once);
        await log.append(entry(run, 'b', { expectedSeq: 1 }));
        await log.append(entry(run, 'c', { expectedSeq: 2 }));
        expect(await log.append(once)).toEqual({ kind: 'appended', seq: 1, duplicate: true });
        expect(await log.append(entry(run, 'b', { expectedSeq: 1 }))).toEqual({
          kind: 'appended',
          seq: 2,
          duplicate: true,
        });
        expect(await log.append(entry(run, 'd', { expectedSeq: 1 }))).toMatchObject({
          kind: 'conflict',
          actualSeq: 3,
        });
      }),
    );

    it('NF-04 tells a retry from a conflict after the ids of that time are forgotten', (context) =>
      withLog(make, async ({ log, subject, forgetIds }) => {
        if (forgetIds === undefined) {
          context.skip('this broker cannot be made to forget ids');
          return;
        }
        const run = subject('run');
        const once = entry(run, 'a', { expectedSeq: 0 });
        await log.append(once);
        await log.append(entry(run, 'b', { expectedSeq: 1 }));
        await forgetIds();
        expect(await log.append(once)).toEqual({ kind: 'appended', seq: 1, duplicate: true });
        expect(await log.append(entry(run, 'x', { expectedSeq: 0 }))).toMatchObject({ kind: 'conflict' });
        expect(await log.bounds()).toMatchObject({ entries: 2 });
      })());
  });
};

const contents = (make: MakeLog): void => {
  describe('contents', () => {
    it(
      'gives headers back as they were written, without those of the transport',
      withLog(make, async ({ log, subject }) => {
        const headers = {
          'ce-type': 'fleetlog.run.claimed.v1',
          'X-Case': 'upper',
          'x-case': 'lower',
          'X-Text': 'grün: a=b; "c" – 100 %',
        };
        const run = subject('run');
        await log.append(entry(run, 'alone', { headers, expectedSeq: 0 }));
        await Promise.all(
          Array.from({ length: 20 }, (_, n) =>
            log.append(entry(subject(`together-${n}`), `t${n}`, { headers, expectedSeq: 0 })),
          ),
        );
        await log.appendTogether([
          entry(subject('b1'), 'b1', { headers, expectedSeq: 0 }),
          entry(subject('b2'), 'b2', { headers }),
        ]);
        for await (const stored of log.replay())
          expect(stored.headers).toEqual({ ...headers, 'Nats-Msg-Id': idOf(stored) });
        expect(await log.bounds()).toMatchObject({ entries: 23 });
      }),
    );

    it(
      'gives every byte of a body back, and no byte of an empty one',
      withLog(make, async ({ log, subject }) => {
        const bodies = {
          binary: Uint8Array.from({ length: 256 }, (_, n) => n),
          empty: new Uint8Array(),
          large: new Uint8Array(500_000).fill(0xa5),
        };
        for (const [name, body] of Object.entries(bodies)) {
          await log.append(entry(subject(name), name, { body }));
          const stored = await log.last(subject(name));
          expect(stored?.body).toHaveLength(body.length);
          expect(Uint8Array.from(stored?.body ?? [])).toEqual(body);
        }
      }),
    );

    it(
      'keeps what was appended when the writer reuses its buffer',
      withLog(make, async ({ log, subject }) => {
        const body = Uint8Array.of(1, 2, 3);
        await log.append(entry(subject('run'), 'a', { body }));
        body.fill(9);
        const stored = await log.last(subject('run'));
        expect([...(stored?.body ?? [])]).toEqual([1, 2, 3]);
      }),
    );

    it(
      'knows the last entry of a subject, and none of an empty one',
      withLog(make, async ({ log, subject }) => {
        await log.append(entry(subject('run'), 'a'));
        await log.append(entry(subject('run'), 'b'));
        await log.append(entry(subject('run2'), 'c'));
        expect(await log.last(subject('run'))).toMatchObject({ seq: 2, subject: subject('run') });
        expect(await log.last(subject('nothing'))).toBeUndefined();
        expect(await log.lastSeen(subject('run'))).toMatchObject({ seq: 2, headers: { 'Nats-Msg-Id': 'b' } });
        expect(await log.lastSeen(subject('nothing'))).toBeUndefined();
      }),
    );
  });
};

const refusals = (make: MakeLog): void => {
  describe('refusals', () => {
    it(
      'refuses what no stream could store, for ever, and stores nothing',
      withLog(make, async ({ log, subject }) => {
        const run = subject('run');
        const bad = [
          entry(subject('*'), 'wildcard'),
          entry(subject('a b'), 'blank'),
          entry(`${run}..x`, 'hole'),
          entry('nobody.takes.this', 'elsewhere'),
          entry(run, 'x'.repeat(256)),
          entry(run, ''),
          entry(run, 'two-lines', { headers: { 'X-Text': 'one\r\ntwo' } }),
          entry(run, 'large', { body: new Uint8Array(2 * 1_048_576) }),
        ];
        for (const one of bad) await expectFault(() => log.append(one), 'LOG_REFUSED', 'never');
        expect(await log.bounds()).toMatchObject({ lastSeq: 0, entries: 0 });
      }),
    );
  });
};

export const appendContract = (make: MakeLog): void => {
  expectations(make);
  repeats(make);
  contents(make);
  refusals(make);
};
