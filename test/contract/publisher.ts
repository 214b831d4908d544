// The contract of the publisher, one suite for every implementation: bind it with
//   publisherContract('memory', () => makeHarness());
// in a test file. What it does not prove: speed, and what happens while a broker is away (the fault suite).
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import type { Publisher, PublishOutcome } from '#libs/ports/publisher.ts';
import { describe, expect, it } from 'vitest';
import { entry, idOf } from './log-harness.ts';
import { all } from './reading.ts';

interface PublisherHarness {
  /** The log of a stream of its own: empty, nothing was ever stored in it. */
  readonly log: EventLog;
  /** A literal subject of the stream; the same for the same name. */
  readonly subject: (name: string) => string;
  /** A publisher with this window. */
  readonly createPublisher: (window: number) => Publisher;
  readonly dispose: () => Promise<void>;
}

/** Makes a harness. Called once per test. */
export type MakePublisher = () => Promise<PublisherHarness>;

interface PublisherTest extends Omit<PublisherHarness, 'createPublisher' | 'dispose'> {
  readonly publisher: Publisher;
  readonly send: (...entries: readonly Omit<NewEntry, 'expectedSeq'>[]) => Promise<PublishOutcome[]>;
}

const withPublisher =
  (
    make: MakePublisher,
    window: number,
    body: (test: PublisherTest) => Promise<void>,
  ): (() => Promise<void>) =>
  async () => {
    const harness = await make();
    const publisher = harness.createPublisher(window);
    const send: PublisherTest['send'] = async (...entries) => {
      const outcomes: Promise<PublishOutcome>[] = [];
      for (const one of entries) outcomes.push((await publisher.publish(one)).outcome);
      return Promise.all(outcomes);
    };
    try {
      await body({ ...harness, publisher, send });
    } finally {
      await publisher.close();
      await harness.dispose();
    }
  };

const outcomes = (make: MakePublisher): void => {
  it(
    'stores entries in the order of the calls and tells each caller where',
    withPublisher(make, 32, async ({ log, subject, send }) => {
      const entries = Array.from({ length: 500 }, (_, n) => entry(subject(`s${n % 3}`), `e${n}`));
      const sent = await send(...entries);
      expect(sent).toEqual(entries.map((_, n) => ({ kind: 'stored', seq: n + 1, duplicate: false })));
      expect((await all(log.replay())).map(idOf)).toEqual(entries.map(({ id }) => id));
    }),
  );

  it(
    'keeps the order of calls that wait for room at the same time',
    withPublisher(make, 4, async ({ log, subject, publisher }) => {
      const entries = Array.from({ length: 100 }, (_, n) => entry(subject('run'), `e${n}`));
      const sent = await Promise.all(entries.map((one) => publisher.publish(one)));
      for (const { outcome } of sent) expect(await outcome).toMatchObject({ kind: 'stored' });
      expect((await all(log.replay())).map(idOf)).toEqual(entries.map(({ id }) => id));
    }),
  );

  it(
    'tells a repeat by its id',
    withPublisher(make, 8, async ({ log, subject, send }) => {
      const once = entry(subject('run'), 'once');
      const [first, second] = await send(once, once);
      expect(first).toEqual({ kind: 'stored', seq: 1, duplicate: false });
      expect(second).toEqual({ kind: 'stored', seq: 1, duplicate: true });
      expect(await log.bounds()).toMatchObject({ entries: 1 });
    }),
  );

  it(
    'gives back headers and body, without headers of the transport',
    withPublisher(make, 8, async ({ log, subject, send }) => {
      const headers = { 'ce-type': 'a.b.v1', 'X-Text': 'grün' };
      await send(entry(subject('run'), 'e1', { headers, body: Uint8Array.of(0, 255) }));
      const stored = await log.last(subject('run'));
      expect(stored?.headers).toEqual({ ...headers, 'Nats-Msg-Id': 'e1' });
      expect([...(stored?.body ?? [])]).toEqual([0, 255]);
    }),
  );

  it(
    'refuses one entry without stopping the others',
    withPublisher(make, 8, async ({ log, subject, send }) => {
      const sent = await send(
        entry(subject('run'), 'e1'),
        entry(subject('*'), 'wildcard'),
        entry(subject('run'), 'large', { body: new Uint8Array(2 * 1_048_576) }),
        entry(subject('run'), 'e2'),
      );
      expect(sent.map(({ kind }) => kind)).toEqual(['stored', 'refused', 'refused', 'stored']);
      for (const outcome of sent) if (outcome.kind === 'refused') expect(outcome.code).toBe('LOG_REFUSED');
      expect(await log.bounds()).toMatchObject({ entries: 2 });
    }),
  );
};

const window = (make: MakePublisher): void => {
  it(
    'has at most a window of entries in flight',
    withPublisher(make, 3, async ({ subject, publisher }) => {
      const settled: PublishOutcome[] = [];
      const attempt = (id: string): boolean =>
        publisher.tryPublish(entry(subject('run'), id), (outcome) => settled.push(outcome));
      expect(['a', 'b', 'c', 'd', 'e'].map(attempt)).toEqual([true, true, true, false, false]);
      await publisher.room();
      expect(attempt('d')).toBe(true);
      await publisher.drained();
      expect(settled).toHaveLength(4);
      for (const outcome of settled) expect(outcome).toMatchObject({ kind: 'stored', duplicate: false });
    }),
  );

  it(
    'lets a caller wait for room',
    withPublisher(make, 1, async ({ log, subject, publisher }) => {
      const order: string[] = [];
      const first = await publisher.publish(entry(subject('run'), 'a'));
      void first.outcome.then(() => order.push('a stored'));
      const second = await publisher.publish(entry(subject('run'), 'b'));
      order.push('b sent');
      await second.outcome;
      expect(order).toEqual(['a stored', 'b sent']);
      expect(await log.bounds()).toMatchObject({ entries: 2 });
    }),
  );

  it(
    'has drained when everything has its outcome, at once when nothing is in flight',
    withPublisher(make, 4, async ({ log, subject, publisher }) => {
      await publisher.drained();
      await publisher.room();
      const settled: PublishOutcome[] = [];
      for (const id of ['a', 'b', 'c'])
        publisher.tryPublish(entry(subject('run'), id), (outcome) => settled.push(outcome));
      await publisher.drained();
      expect(settled.map(({ kind }) => kind)).toEqual(['stored', 'stored', 'stored']);
      expect(await log.bounds()).toMatchObject({ entries: 3 });
    }),
  );

  it(
    'owes nobody an outcome when it is closed',
    withPublisher(make, 4, async ({ subject, publisher }) => {
      const sent = await publisher.publish(entry(subject('run'), 'a'));
      const settled: PublishOutcome[] = [];
      publisher.tryPublish(entry(subject('run'), 'b'), (outcome) => settled.push(outcome));
      await publisher.close();
      // What was in flight may be stored or not; its writer is told that it does not know.
      expect(['stored', 'unreachable']).toContain((await sent.outcome).kind);
      expect(settled).toHaveLength(1);
    }),
  );

  it(
    'sends nothing more when it is closed, and says so without rejecting',
    withPublisher(make, 4, async ({ log, subject, publisher }) => {
      await publisher.close();
      const { outcome } = await publisher.publish(entry(subject('run'), 'a'));
      expect(await outcome).toMatchObject({ kind: 'unreachable' });
      const told = Promise.withResolvers<PublishOutcome>();
      expect(publisher.tryPublish(entry(subject('run'), 'b'), told.resolve)).toBe(true);
      expect(await told.promise).toMatchObject({ kind: 'unreachable' });
      expect(await log.bounds()).toMatchObject({ entries: 0 });
    }),
  );
};

export const publisherContract = (name: string, make: MakePublisher): void => {
  describe(`publisher: ${name}`, { timeout: 30_000 }, () => {
    outcomes(make);
    window(make);
  });
};
