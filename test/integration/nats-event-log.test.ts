// What only the log on JetStream has: group commit with one outcome each, the faults of the broker, and what other clients see.
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import type { AppendOutcome, EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { systemClock } from '#libs/system/clock.ts';
import { freshBroker } from '#test/support/broker.ts';
import { freshName } from '#test/support/fresh-name.ts';
import { connectTo, testConnection } from '#test/support/nats-connection.ts';
import { storedMessages, type StoredMessage } from '#test/support/stored-messages.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const body = new TextEncoder().encode('{}');

let connection: NatsConnectionHandle;
beforeAll(async () => {
  connection = await testConnection();
});
afterAll(() => connection.close());

interface Setup {
  readonly stream: string;
  readonly log: EventLog;
  readonly entry: (subject: string, id: string, expectedSeq?: number) => NewEntry;
  readonly stored: () => Promise<readonly StoredMessage[]>;
}

const setup = async (
  groupCommit: 'auto' | 'always' | 'never' = 'always',
  config: Readonly<Record<string, unknown>> = {},
): Promise<Setup> => {
  const stream = freshName('log');
  await natsTopology(connection).createStream({
    name: stream,
    subjects: [`${stream}.>`],
    allow_atomic: true,
    allow_direct: true,
    ...config,
  });
  const log = createEventLog(connection, {
    stream,
    groupCommit,
    patience: { attemptMs: 1_000, withinMs: 4_000 },
  });
  return {
    stream,
    log,
    entry: (subject, id, expectedSeq) => ({
      subject: `${stream}.${subject}`,
      id,
      headers: {},
      body,
      ...(expectedSeq === undefined ? {} : { expectedSeq }),
    }),
    stored: async () => storedMessages(connection, stream, (await log.bounds()).lastSeq),
  };
};

const kinds = (outcomes: readonly AppendOutcome[]): Readonly<Record<string, number>> => {
  const count: Record<string, number> = {};
  for (const outcome of outcomes) {
    const kind = outcome.kind === 'appended' && outcome.duplicate ? 'duplicate' : outcome.kind;
    count[kind] = (count[kind] ?? 0) + 1;
  }
  return count;
};

describe('group commit', () => {
  it('stores concurrent appends to different subjects as few batches, each with its own sequence', async () => {
    const { log, entry, stored } = await setup();
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, n) => log.append(entry(`a${n}`, `id-${n}`, 0))),
    );
    expect(kinds(outcomes)).toEqual({ appended: 200 });
    const messages = await stored();
    for (const [n, outcome] of outcomes.entries())
      expect(outcome).toMatchObject({ seq: messages.find(({ id }) => id === `id-${n}`)?.seq });
    expect(new Set(messages.map(({ batchId }) => batchId)).size).toBeLessThanOrEqual(3);
  });

  it('takes a refused batch apart: conflicts and duplicates are singled out, the others stay together', async () => {
    const { log, entry, stored } = await setup();
    await log.append(entry('a3', 'before', 0));
    await log.append(entry('a5', 'id-5', 0));
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, n) => log.append(entry(`a${n}`, `id-${n}`, 0))),
    );
    expect(kinds(outcomes)).toEqual({ appended: 38, conflict: 1, duplicate: 1 });
    expect(outcomes[3]).toMatchObject({ kind: 'conflict', expectedSeq: 0, actualSeq: 1 });
    expect(outcomes[5]).toEqual({ kind: 'appended', seq: 2, duplicate: true });
    const messages = await stored();
    expect(messages).toHaveLength(40);
    const batches = messages.filter(({ batchId }) => batchId !== undefined);
    expect(batches).toHaveLength(38);
    expect(new Set(batches.map(({ batchId }) => batchId)).size).toBe(1);
  });

  it('finds a duplicate far behind the last entry of its subject', async () => {
    const { log, entry } = await setup();
    await log.append(entry('a7', 'id-7'));
    for (let n = 0; n < 5; n += 1) await log.append(entry('a7', `later-${n}`));
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, n) => log.append(entry(`a${n}`, `id-${n}`))),
    );
    expect(kinds(outcomes)).toEqual({ appended: 19, duplicate: 1 });
    expect(outcomes[7]).toEqual({ kind: 'appended', seq: 1, duplicate: true });
  });

  it('lets one entry that is too large or malformed fail alone', async () => {
    const { log, entry } = await setup();
    const appends = Array.from({ length: 20 }, (_, n) => entry(`a${n}`, `id-${n}`, 0)).map((one, n) => {
      if (n === 4) return log.append({ ...one, body: new Uint8Array(2 * 1024 * 1024) });
      if (n === 9) return log.append({ ...one, headers: { 'X-Bad': 'two\nlines' } });
      return log.append(one);
    });
    const ends = await Promise.allSettled(appends);
    const failed = ends.flatMap((end, n) =>
      end.status === 'rejected' ? [{ n, reason: end.reason as unknown }] : [],
    );
    expect(failed).toMatchObject([
      { n: 4, reason: { code: 'LOG_REFUSED', retry: 'never' } },
      { n: 9, reason: { code: 'LOG_REFUSED', retry: 'never' } },
    ]);
    expect((await log.bounds()).entries).toBe(18);
  });

  it('sends singles to a stream that takes no batches', async () => {
    const { log, entry, stored } = await setup('always', { allow_atomic: false });
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, n) => log.append(entry(`a${n}`, `id-${n}`, 0))),
    );
    expect(kinds(outcomes)).toEqual({ appended: 30 });
    expect((await stored()).every(({ batchId }) => batchId === undefined)).toBe(true);
    await expect(log.appendTogether([entry('x', 'x'), entry('y', 'y')])).rejects.toMatchObject({
      code: 'LOG_REFUSED',
    });
  });

  it('keeps the order of the calls per subject across batches', async () => {
    const { log, entry, stored } = await setup();
    const appends: Promise<AppendOutcome>[] = [];
    for (let step = 0; step < 20; step += 1)
      for (let subject = 0; subject < 12; subject += 1)
        appends.push(log.append(entry(`a${subject}`, `${subject}-${step}`)));
    expect(kinds(await Promise.all(appends))).toEqual({ appended: 240 });
    const messages = await stored();
    for (let subject = 0; subject < 12; subject += 1)
      expect(messages.filter(({ id }) => id.startsWith(`${subject}-`)).map(({ id }) => id)).toEqual(
        Array.from({ length: 20 }, (_, step) => `${subject}-${step}`),
      );
  });
});

describe('a broker that syncs every write', () => {
  // What a sync costs is the disk's, so no count of batches holds everywhere: rounds are written until the log has changed its mind.
  it('makes the log learn that batches are cheaper', { timeout: 60_000 }, async () => {
    await using broker = await freshBroker({ sync: 'always' });
    // A clock that does not tell what was waited for: on a fast disk this process would have nothing to wait for, and never mind.
    const clock = { ...systemClock };
    Reflect.deleteProperty(clock, 'idleMs');
    const own = await connectTo({ ...broker, urls: [broker.url] }, { clock });
    await natsTopology(own).createStream({ name: 'LOG', subjects: ['log.>'], allow_atomic: true });
    const log = createEventLog(own, { stream: 'LOG' });
    const lastSeqs = Array.from({ length: 100 }, () => 0);
    const writeRound = (round: number): Promise<void[]> =>
      Promise.all(
        lastSeqs.map(async (_, writer) => {
          for (let step = 0; step < 10; step += 1) {
            const id = `${writer}-${round}-${step}`;
            const expectedSeq = lastSeqs[writer] ?? 0;
            const outcome = await log.append({
              subject: `log.a${writer}`,
              id,
              headers: {},
              body,
              expectedSeq,
            });
            lastSeqs[writer] = outcome.kind === 'appended' ? outcome.seq : -1;
          }
        }),
      );
    const batchedAfter = async (round: number): Promise<number> => {
      await writeRound(round);
      const messages = await storedMessages(own, 'LOG', (await log.bounds()).lastSeq);
      expect(messages).toHaveLength((round + 1) * 1_000);
      return messages.filter(({ batchId }) => batchId !== undefined).length;
    };
    let round = 0;
    while ((await batchedAfter(round)) === 0) round += 1;
    await own.close();
  });
});

describe('faults of the log', () => {
  it('are LOG_FULL while the stream takes no more', async () => {
    const { log, entry } = await setup('never', { max_msgs: 2, discard: 'new' });
    await log.append(entry('a', '1'));
    await log.append(entry('a', '2'));
    await expect(log.append(entry('a', '3'))).rejects.toMatchObject({ code: 'LOG_FULL', retry: 'later' });
    await expect(log.appendTogether([entry('a', '4'), entry('b', '5')])).rejects.toMatchObject({
      code: 'LOG_FULL',
    });
  });

  it('are LOG_REFUSED for a subject of another stream', async () => {
    const { log, entry } = await setup();
    const other = await setup();
    const stray = other.entry('a', 'stray');
    await expect(log.append(stray)).rejects.toMatchObject({ code: 'LOG_REFUSED', retry: 'never' });
    await expect(log.append({ ...entry('a', '1'), subject: 'nobody.takes.this' })).rejects.toMatchObject({
      code: 'LOG_REFUSED',
      message: expect.stringContaining('does not take nobody.takes.this'),
    });
  });

  it('are LOG_REFUSED for a user who may not publish there', async () => {
    await using broker = await freshBroker({
      accounts: [
        {
          name: 'FLEET',
          jetstream: true,
          users: [
            { user: 'control', password: 'control' },
            {
              user: 'r1',
              password: 'r1',
              permissions: {
                publish: { allow: ['log.r1.>', '$JS.API.>'] },
                subscribe: { allow: ['_INBOX_r1.>'] },
              },
            },
          ],
        },
      ],
    });
    const control = await connectTo({ ...broker, urls: [broker.url] });
    await natsTopology(control).createStream({ name: 'LOG', subjects: ['log.>'], allow_atomic: true });
    const runner = await connectTo(
      { urls: [broker.url], user: 'r1', password: 'r1' },
      { inboxPrefix: '_INBOX_r1' },
    );
    const log = createEventLog(runner, { stream: 'LOG' });
    const mine: NewEntry = { subject: 'log.r1.a', id: 'mine', headers: {}, body };
    expect(await log.append(mine)).toMatchObject({ kind: 'appended' });
    await expect(log.append({ ...mine, subject: 'log.r2.a', id: 'foreign' })).rejects.toMatchObject({
      code: 'LOG_REFUSED',
      message: expect.stringContaining('no permission'),
    });
    const foreign = { ...mine, subject: 'log.r2.a', id: 'b2' };
    for (const batch of [
      [{ ...mine, id: 'b1' }, foreign],
      [foreign, { ...mine, id: 'b1' }],
    ])
      await expect(log.appendTogether(batch)).rejects.toMatchObject({ code: 'LOG_REFUSED' });
    expect((await log.bounds()).entries).toBe(1);
    await runner.close();
    await control.close();
  });

  it('are LOG_UNAVAILABLE once the connection is closed', async () => {
    const own = await testConnection();
    const log = createEventLog(own, { stream: 'ANY', patience: { attemptMs: 100, withinMs: 300 } });
    await own.close();
    const entry: NewEntry = { subject: 'any.a', id: '1', headers: {}, body };
    await expect(log.append(entry)).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' });
    await expect(log.appendTogether([entry, { ...entry, id: '2' }])).rejects.toMatchObject({
      code: 'LOG_UNAVAILABLE',
    });
    await expect(log.replay()[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'LOG_UNAVAILABLE',
    });
  });
});
