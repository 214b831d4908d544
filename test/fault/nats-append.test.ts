// Appends while the broker dies, hangs and comes back: nothing acknowledged is lost, nothing is stored twice, and every
// stored expectation held.
import { createEventLog } from '#libs/nats/event-log.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { brokenChains, storedMessages } from '#test/support/stored-messages.ts';
import { describe, expect, it } from 'vitest';

const STREAM = 'LOG';
const body = new TextEncoder().encode('{}');

const entryOf = (subject: string, id: string, expectedSeq?: number): NewEntry => ({
  subject,
  id,
  headers: { 'ce-type': 'test' },
  body,
  ...(expectedSeq === undefined ? {} : { expectedSeq }),
});

const open = async (broker: FreshBroker): Promise<NatsConnectionHandle> => {
  const connection = await connectTo({ ...broker, urls: [broker.url] });
  await natsTopology(connection).createStream({
    name: STREAM,
    subjects: ['log.>'],
    allow_atomic: true,
    allow_direct: true,
  });
  return connection;
};

interface Writer {
  readonly subject: string;
  readonly acknowledged: { readonly id: string; readonly seq: number }[];
}

/** Appends to one aggregate, each entry after the last one, until told to stop; retries with the same id while unavailable. */
const write = async (log: EventLog, writer: Writer, isOver: () => boolean): Promise<void> => {
  let expectedSeq = 0;
  for (let step = 1; !isOver(); step += 1) {
    const entry = entryOf(writer.subject, `${writer.subject}-${step}`, expectedSeq);
    const outcome = await log.append(entry);
    if (outcome.kind === 'conflict') throw new Error(`a conflict with nobody: ${JSON.stringify(outcome)}`);
    writer.acknowledged.push({ id: entry.id, seq: outcome.seq });
    expectedSeq = outcome.seq;
  }
};

/** The same with two aggregates, where each entry of the second follows one of the first. */
const writePairs = async (log: EventLog, writer: Writer, isOver: () => boolean): Promise<void> => {
  const subjects = [writer.subject, `${writer.subject}-next`];
  const expected = [0, 0];
  for (let step = 1; !isOver(); step += 1) {
    const pair = subjects.map((subject, at) => entryOf(subject, `${subject}-${step}`, expected[at]));
    const outcomes = await log.appendInOrder(pair);
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome.kind === 'conflict') throw new Error(`a conflict with nobody: ${JSON.stringify(outcome)}`);
      writer.acknowledged.push({ id: pair[at]?.id ?? '', seq: outcome.seq });
      expected[at] = outcome.seq;
    }
    expect(outcomes).toHaveLength(2);
    expect(expected[0]).toBeLessThan(expected[1] ?? 0);
  }
};

const WRITERS = 24;

const expectAllThereOnce = async (
  connection: NatsConnectionHandle,
  log: EventLog,
  writers: readonly Writer[],
): Promise<void> => {
  const { lastSeq } = await log.bounds();
  const messages = await storedMessages(connection, STREAM, lastSeq);
  const byId = new Map(messages.map((message) => [message.id, message.seq]));
  expect(byId.size).toBe(messages.length);
  for (const { acknowledged } of writers)
    for (const { id, seq } of acknowledged) expect(byId.get(id)).toBe(seq);
  expect(brokenChains(messages)).toEqual([]);
};

describe.each([
  { sync: 'relaxed', groupCommit: 'never' },
  { sync: 'always', groupCommit: 'always' },
] as const)('a broker that is killed amid appends (sync $sync, group commit $groupCommit)', (profile) => {
  it(
    'loses no acknowledged append, doubles none, and lets no expectation slip',
    { timeout: 90_000 },
    async () => {
      await using broker = await freshBroker({ sync: profile.sync });
      const connection = await open(broker);
      const log = createEventLog(connection, {
        stream: STREAM,
        groupCommit: profile.groupCommit,
        patience: { attemptMs: 1_000, withinMs: 30_000 },
      });
      const writers: Writer[] = Array.from({ length: WRITERS }, (_, n) => ({
        subject: `log.a${n}`,
        acknowledged: [],
      }));
      const acknowledged = (): number => writers.reduce((sum, writer) => sum + writer.acknowledged.length, 0);
      let goal = Number.POSITIVE_INFINITY;
      const isOver = (): boolean => acknowledged() >= goal;
      const working = Promise.all(
        writers.map((writer, at) => (at % 4 === 0 ? writePairs : write)(log, writer, isOver)),
      );
      for (let round = 1; round <= 3; round += 1) {
        const before = acknowledged();
        await expect.poll(acknowledged, { timeout: 20_000, interval: 5 }).toBeGreaterThan(before + 200);
        await broker.kill();
        await broker.restart();
      }
      goal = acknowledged() + 200;
      await working;
      await expectAllThereOnce(connection, log, writers);
      await connection.close();
    },
  );
});

describe('a broker that hangs', () => {
  it('stores an append once that it answers only after it was sent again', { timeout: 60_000 }, async () => {
    await using broker = await freshBroker();
    const connection = await open(broker);
    const log = createEventLog(connection, {
      stream: STREAM,
      patience: { attemptMs: 200, withinMs: 30_000 },
    });
    broker.pause();
    const appends = [
      log.append(entryOf('log.one', 'ghost-1', 0)),
      log.append(entryOf('log.two', 'ghost-2')),
      log.appendTogether([entryOf('log.three', 'ghost-3', 0), entryOf('log.three', 'ghost-4')]),
    ];
    // Each attempt is in the socket of the hung broker, which will read all of them.
    await expect.poll(() => connection.nc.stats().outMsgs, { timeout: 10_000 }).toBeGreaterThan(8);
    broker.resume();
    const outcomes = await Promise.all(appends);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['appended', 'appended', 'appended']);
    await connection.nc.flush();
    const messages = await storedMessages(connection, STREAM, (await log.bounds()).lastSeq);
    expect(messages.map(({ id }) => id).sort()).toEqual(['ghost-1', 'ghost-2', 'ghost-3', 'ghost-4']);
    await connection.close();
  });

  it('is noticed by the connection, and appends go on when it lives again', { timeout: 60_000 }, async () => {
    await using broker = await freshBroker();
    const connection = await open(broker);
    const log = createEventLog(connection, {
      stream: STREAM,
      patience: { attemptMs: 1_000, withinMs: 40_000 },
    });
    broker.pause();
    const append = log.append(entryOf('log.one', 'late', 0));
    await expect.poll(() => connection.connected, { timeout: 15_000 }).toBe(false);
    broker.resume();
    expect(await append).toMatchObject({ kind: 'appended' });
    expect(await log.append(entryOf('log.one', 'late', 0))).toMatchObject({ duplicate: true });
    expect((await log.bounds()).entries).toBe(1);
    await connection.close();
  });
});

describe('a broker that stays away', () => {
  it('ends an append as unavailable, and the retry with the same id is stored once', async () => {
    await using broker = await freshBroker();
    const connection = await open(broker);
    const log = createEventLog(connection, { stream: STREAM, patience: { attemptMs: 200, withinMs: 600 } });
    await broker.kill();
    const entry = entryOf('log.one', 'patient', 0);
    await expect(log.append(entry)).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE', retry: 'later' });
    await expect(log.appendTogether([entry, entryOf('log.two', 'b')])).rejects.toMatchObject({
      code: 'LOG_UNAVAILABLE',
    });
    await expect(log.last('log.one')).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' });
    await broker.restart();
    await connection.whenConnected();
    expect(await log.append(entry)).toMatchObject({ kind: 'appended' });
    expect((await log.bounds()).entries).toBe(1);
    await connection.close();
  });
});
