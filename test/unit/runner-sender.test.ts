// Buffered reports on their way to the log: what is sent together, what a refusal costs the others, and bodies that are too large.
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { BufferedRecord } from '#libs/outbox/outbox.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import { excerptOf } from '#services/runner/excerpt.ts';
import { createReportSender } from '#services/runner/report-sender.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { INLINE_BODY_LIMIT_BYTES } from '#streams/envelope.ts';

const SUBJECTS = ['evt.0', 'evt.1', 'evt.2'];

const setUp = (): {
  broker: MemoryBroker;
  calls: string[];
  sender: ReturnType<typeof createReportSender>;
  log: EventLog;
} => {
  const clock = createManualClock();
  const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock) });
  broker.declareStream({ name: 'EVENTS', subjects: ['evt.>'] });
  broker.declareObjectStore('bodies');
  const log = broker.eventLog('EVENTS');
  const calls: string[] = [];
  const spying: EventLog = {
    ...log,
    append: (entry) => {
      calls.push('one');
      return log.append(entry);
    },
    appendTogether: (entries) => {
      calls.push(`batch of ${entries.length}`);
      return log.appendTogether(entries);
    },
  };
  return {
    broker,
    calls,
    log,
    sender: createReportSender({
      log: spying,
      blobs: broker.blobs('bodies'),
      subjects: SUBJECTS,
      bufferId: () => 'buffer-1',
    }),
  };
};

const record = (sourceSeq: number, more: Partial<BufferedRecord> = {}): BufferedRecord => ({
  sourceSeq,
  id: `id-${sourceSeq}`,
  lane: 'session',
  kind: 'text',
  worth: 5,
  subject: `evt.${sourceSeq % 3}`,
  headers: { kept: 'as it is' },
  body: jsonBytes({ text: `t${sourceSeq}` }),
  occurredAt: 0,
  enqueuedAt: 0,
  attempts: 0,
  ...more,
});
const records = (count: number, from = 1): BufferedRecord[] =>
  Array.from({ length: count }, (_, at) => record(from + at));

const storedIds = async (log: EventLog): Promise<(string | undefined)[]> => {
  const ids: (string | undefined)[] = [];
  for await (const entry of log.replay()) ids.push(entry.headers['Nats-Msg-Id']);
  return ids;
};
const kinds = (outcomes: readonly { readonly kind: string }[]): string[] => outcomes.map(({ kind }) => kind);

describe('what is sent', () => {
  test('WK-05 goes one by one when it is little, and as one batch when it is much; each entry carries its id and its number', async () => {
    const { sender, calls, log } = setUp();
    await sender.send(records(2));
    await sender.send(records(20, 3));
    expect(calls).toEqual(['one', 'one', 'batch of 20']);
    expect(await storedIds(log)).toEqual(records(22).map(({ id }) => id));
    for await (const entry of log.replay())
      expect(entry.headers).toMatchObject({
        kept: 'as it is',
        'Fleet-Source-Seq': String(entry.seq),
        'Fleet-Source-Buffer': 'buffer-1',
      });
  });

  test('ER-16 goes one by one while it may have been stored before: what the log has already counts as delivered, and nothing is stored twice', async () => {
    const { sender, calls, log, broker } = setUp();
    await sender.send(records(1));
    broker.faults.plan({ loseAppendAck: (nth) => nth === 1 });
    expect(new Set(kinds(await sender.send(records(20, 2))))).toEqual(new Set(['unreachable']));
    expect(kinds(await sender.send(records(20, 2)))).toEqual(Array.from({ length: 20 }, () => 'delivered'));
    expect(calls.slice(1, 3)).toEqual(['batch of 20', 'one']);
    expect(await storedIds(log)).toEqual(records(21).map(({ id }) => id));
  });
});

test('what is stored last is told subject by subject; whoever may not ask still sends', async () => {
  const { sender, log, broker } = setUp();
  await sender.send(records(4));
  expect((await sender.lastStored?.())?.toSorted((a, b) => a.sourceSeq - b.sourceSeq)).toEqual([
    { sourceSeq: 2, id: 'id-2' },
    { sourceSeq: 3, id: 'id-3' },
    { sourceSeq: 4, id: 'id-4' },
  ]);
  const forbidden: EventLog = {
    ...log,
    lastSeen: () => Promise.reject(new Fault({ code: 'LOG_REFUSED', retry: 'never', message: 'no right' })),
  };
  const parts = { blobs: broker.blobs('bodies'), subjects: SUBJECTS, bufferId: () => 'buffer-1' };
  expect(await createReportSender({ ...parts, log: forbidden }).lastStored?.()).toEqual([]);
  broker.faults.goAway();
  await expect(createReportSender({ ...parts, log }).lastStored?.()).rejects.toMatchObject({
    code: 'LOG_UNAVAILABLE',
  });
});

describe('what is refused', () => {
  test('is named alone, and nothing goes past it: what is stored of a batch is its front', async () => {
    const { sender, log } = setUp();
    await sender.send(records(1));
    const bad = record(4, { subject: 'elsewhere.1', lane: 'other' });
    const outcomes = await sender.send([...records(2, 2), bad, ...records(6, 5)]);
    expect(kinds(outcomes)).toEqual([
      'delivered',
      'delivered',
      'refused',
      ...Array.from({ length: 6 }, () => 'held'),
    ]);
    expect(await storedIds(log)).toEqual(['id-1', 'id-2', 'id-3']);
  });

  test('an error that is no fault counts as a refusal, so that a defect cannot block the buffer for ever', async () => {
    const { log } = setUp();
    const broken: EventLog = { ...log, append: () => Promise.reject(new TypeError('a defect')) };
    const sender = createReportSender({
      log: broken,
      blobs: { put: async () => '', get: async () => undefined },
      subjects: SUBJECTS,
      bufferId: () => 'buffer-1',
    });
    expect(await sender.send(records(1))).toEqual([
      { kind: 'refused', code: 'UNEXPECTED_ERROR', message: 'a defect' },
    ]);
  });

  test('a stream that is not there is an outage, not a refusal', async () => {
    const clock = createManualClock();
    const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock) });
    const sender = createReportSender({
      log: broker.eventLog('EVENTS'),
      blobs: broker.blobs('bodies'),
      subjects: SUBJECTS,
      bufferId: () => 'buffer-1',
    });
    expect(kinds(await sender.send(records(1)))).toEqual(['unreachable']);
  });

  test('after a loss of contact nothing more is tried', async () => {
    const { sender, broker, calls } = setUp();
    broker.faults.goAway();
    expect(kinds(await sender.send(records(3)))).toEqual(['unreachable', 'held', 'held']);
    expect(calls).toEqual(['one']);
  });
});

test('a body over the inline limit goes to the object store, and an excerpt into the log', async () => {
  const { sender, broker, log } = setUp();
  const data = { runId: 'run_1', text: 'ü'.repeat(INLINE_BODY_LIMIT_BYTES), cutBytes: 0 };
  await sender.send([record(1, { body: jsonBytes(data) })]);
  const entry = await log.last('evt.1');
  expect(entry?.body.byteLength).toBeLessThan(INLINE_BODY_LIMIT_BYTES);
  expect(parseJson(entry?.body ?? new Uint8Array())).toMatchObject({
    runId: 'run_1',
    cutBytes: 0,
    text: /^ü+…$/,
  });
  const digest = entry?.headers['ce-dataref']?.replace('blob:', '') ?? '';
  expect(parseJson((await broker.blobs('bodies').get(digest)) ?? new Uint8Array())).toEqual(data);
});

test.each([
  ['a text', { a: 'x'.repeat(9_000_000) }],
  ['many texts', Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`k${at}`, 'y'.repeat(100)]))],
  ['a long list', { a: Array.from({ length: 500_000 }, (_, at) => at) }],
  ['control characters', { a: '\u0001'.repeat(2_000_000) }],
  ['deep', { a: Array.from({ length: 200 }, () => Array.from({ length: 200 }, () => 'z'.repeat(50))) }],
])('the excerpt of %s is below the inline limit', (_, value) => {
  expect(jsonBytes(excerptOf(value)).byteLength).toBeLessThan(INLINE_BODY_LIMIT_BYTES);
});
