// The contract of streams whose entries ring later, one suite for every implementation: bind it with
//   schedulesContract('memory', () => makeHarness());
// in a test file. A schedule is an ordinary append with the headers `Nats-Schedule: @at <time>` and `Nats-Schedule-Target`.
import type { EventLog, NewEntry, StoredEntry } from '#libs/ports/event-log.ts';
import { describe, expect, it } from 'vitest';
import { entry, idOf, textOf } from './log-harness.ts';
import { expectFault, type Reader, readerOf } from './reading.ts';

interface SchedulesHarness {
  /** The log of a stream of its own that takes schedules and lifetimes: empty, nothing was ever stored in it. */
  readonly log: EventLog;
  /** A literal subject of the stream (or a filter, when the name holds wildcards); the same for the same name. */
  readonly subject: (name: string) => string;
  /** Wall time of the broker, epoch ms. */
  readonly now: () => number;
  /** Time passes; does nothing on a real broker, where the tests wait for what time brings about. */
  readonly advance: (ms: number) => Promise<void>;
  readonly dispose: () => Promise<void>;
}

/** Makes a harness. Called once per test. */
export type MakeSchedules = () => Promise<SchedulesHarness>;

interface SchedulesTest extends SchedulesHarness {
  /** An entry on `set.<name>` that rings on `fire.<name>` after a while. Rounded up to the next second. */
  readonly schedule: (name: string, id: string, afterMs: number, headers?: NewEntry['headers']) => NewEntry;
  /** What rings from now on. */
  readonly rung: Reader<StoredEntry>;
}

/** `2030-03-17T17:46:40Z`, without touching a clock. */
const timestamp = (ms: number): string =>
  `${new Intl.DateTimeFormat('sv', { timeZone: 'UTC', dateStyle: 'short', timeStyle: 'medium' }).format(ms).replace(' ', 'T')}Z`;

const withSchedules =
  (make: MakeSchedules, body: (test: SchedulesTest) => Promise<void>): (() => Promise<void>) =>
  async () => {
    const harness = await make();
    const { log, subject, now } = harness;
    const rung = readerOf(log.replay({ subjects: [subject('fire.>')], follow: true }));
    const schedule: SchedulesTest['schedule'] = (name, id, afterMs, headers = {}) => ({
      ...entry(subject(`set.${name}`), id),
      headers: {
        ...headers,
        'Nats-Schedule': `@at ${timestamp(Math.ceil((now() + afterMs) / 1_000) * 1_000)}`,
        'Nats-Schedule-Target': subject(`fire.${name}`),
      },
    });
    try {
      await body({ ...harness, schedule, rung });
    } finally {
      await rung.close();
      await harness.dispose();
    }
  };

const ringing = (make: MakeSchedules): void => {
  it(
    'NF-07 rings once at its time, with the body and headers of the writer, and is gone',
    withSchedules(make, async ({ log, subject, schedule, rung, now, advance }) => {
      const next = rung.next();
      const due = schedule('a', 's1', 1_000, { 'X-Own': 'kept' });
      const setAt = now();
      expect(await log.append(due)).toMatchObject({ kind: 'appended', seq: 1 });
      expect(await log.last(subject('fire.a'))).toBeUndefined();
      await advance(2_000);
      const stored = await next;
      expect(stored.subject).toBe(subject('fire.a'));
      expect(textOf(stored.body)).toBe('s1');
      expect(stored.headers).toEqual({
        'X-Own': 'kept',
        'Nats-Scheduler': subject('set.a'),
        'Nats-Schedule-Next': 'purge',
      });
      expect(stored.storedAt).toBeGreaterThanOrEqual(setAt + 1_000);
      expect(await log.last(subject('set.a'))).toBeUndefined();
      expect(await log.bounds()).toMatchObject({ entries: 1, lastSeq: 2 });
    }),
  );

  it(
    'NF-07 rings at once when its time has passed',
    withSchedules(make, async ({ log, schedule, rung, advance }) => {
      const next = rung.next();
      await log.append(schedule('late', 's1', -60_000));
      await advance(0);
      expect(textOf((await next).body)).toBe('s1');
    }),
  );

  it(
    'rings several in the order of their times',
    withSchedules(make, async ({ log, schedule, rung, advance }) => {
      const next = rung.next();
      await log.appendTogether([schedule('b', 's2', 2_000), schedule('a', 's1', 1_000)]);
      await advance(4_000);
      expect([textOf((await next).body), textOf((await rung.next()).body)]).toEqual(['s1', 's2']);
    }),
  );

  it(
    'hands the lifetime that a schedule gives to what rings',
    withSchedules(make, async ({ log, schedule, rung, advance }) => {
      const next = rung.next();
      await log.append(schedule('a', 's1', 0, { 'Nats-Schedule-TTL': '5m' }));
      await advance(1_000);
      expect((await next).headers).toMatchObject({ 'Nats-TTL': '5m' });
    }),
  );
};

const ending = (make: MakeSchedules): void => {
  it(
    'NF-07 is replaced by the next schedule on its subject: one subject, one schedule',
    withSchedules(make, async ({ log, subject, schedule, rung, advance }) => {
      const next = rung.next();
      await log.append(schedule('a', 's1', 1_000));
      await log.append(schedule('a', 's2', 2_000));
      expect(idOf(await log.last(subject('set.a')))).toBe('s2');
      expect(await log.bounds()).toMatchObject({ entries: 1 });
      await advance(4_000);
      expect(textOf((await next).body)).toBe('s2');
    }),
  );

  it(
    'is set only where it is expected, so that of two writers one wins',
    withSchedules(make, async ({ log, subject, schedule }) => {
      const first = await log.append({ ...schedule('a', 's1', 60_000), expectedSeq: 0 });
      expect(first).toMatchObject({ kind: 'appended', seq: 1 });
      const second = await log.append({ ...schedule('a', 's2', 60_000), expectedSeq: 0 });
      expect(second).toEqual({ kind: 'conflict', subject: subject('set.a'), expectedSeq: 0, actualSeq: 1 });
      const third = await log.append({ ...schedule('a', 's3', 60_000), expectedSeq: 1 });
      expect(third).toMatchObject({ kind: 'appended', seq: 2 });
    }),
  );

  it(
    'never rings once it is cancelled, by a plain entry on its subject or by one that names it',
    withSchedules(make, async ({ log, subject, schedule, rung, advance }) => {
      const next = rung.next();
      await log.append(schedule('a', 's1', 1_000));
      await log.append(schedule('b', 's2', 1_000));
      await log.append(schedule('c', 's3', 2_000));
      await log.append(entry(subject('set.a'), 'off-a', { expectedSeq: 1 }));
      const headers = { 'Nats-Scheduler': subject('set.b'), 'Nats-Schedule-Next': 'purge' };
      await log.append(entry(subject('cancelled.b'), 'off-b', { headers }));
      expect(await log.last(subject('set.b'))).toBeUndefined();
      await advance(4_000);
      expect(textOf((await next).body)).toBe('s3');
    }),
  );
};

const refusals = (make: MakeSchedules): void => {
  it(
    'NF-07 is refused without a time or a target in the same stream',
    withSchedules(make, async ({ log, subject, schedule }) => {
      const good = schedule('a', 's1', 1_000);
      const bad = [
        { ...good.headers, 'Nats-Schedule': '@at tomorrow' },
        { ...good.headers, 'Nats-Schedule-Target': 'nobody.takes.this' },
        { ...good.headers, 'Nats-Schedule-Target': good.subject },
        { ...good.headers, 'Nats-Schedule-Target': subject('fire.*') },
      ];
      for (const headers of bad)
        await expectFault(() => log.append({ ...good, headers }), 'LOG_REFUSED', 'never');
      expect(await log.bounds()).toMatchObject({ entries: 0 });
    }),
  );
};

export const schedulesContract = (name: string, make: MakeSchedules): void => {
  describe(`schedules: ${name}`, { timeout: 30_000 }, () => {
    ringing(make);
    ending(make);
    refusals(make);
  });
};
