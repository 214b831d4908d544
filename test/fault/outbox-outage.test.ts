// A runner's buffer on a real broker under its own broker user: the answer to a report is lost, and the outage that follows is longer
// than the log remembers ids.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import type { Outbox } from '#libs/outbox/outbox.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import { createReportSender } from '#services/runner/report-sender.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { accountsOf, runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { typedFilter, typedSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { gapRecordOf, recordOf } from '#test/support/outbox-peer.ts';

const AGENT = 'builder-1';
const BOUNDARY = { tenant: 'acme', project: 'web' };
const TYPES = ['text', 'usage', 'turn-finished'];
const SUBJECTS = TYPES.map((type) => typedSubject(BOUNDARY, 'evt', AGENT, type));
/** As short as the broker takes it. */
const WINDOW_NS = 100_000_000;
const LONG = 60_000;
const PATIENCE = { withinMs: 1000, attemptMs: 500 };

let dir: string;
let broker: FreshBroker;
let control: NatsConnectionHandle;
let runner: NatsConnectionHandle;
let open: Outbox[];

beforeEach(async () => {
  open = [];
  dir = mkdtempSync(join(tmpdir(), 'fleetlog-outage-'));
  const accounts = accountsOf(
    { agents: [{ ...BOUNDARY, agent: AGENT }] },
    {
      systemPassword: 'system',
      controlPassword: 'control',
      viewerPassword: 'viewer',
      runnerPasswords: { [AGENT]: 'secret' },
    },
  );
  broker = await freshBroker({ accounts });
  control = await connectTo({ ...broker, urls: [broker.url] });
  await natsTopology(control).createStream({
    name: 'EVENTS',
    subjects: [typedFilter('evt')],
    storage: 'file',
    allow_atomic: true,
    allow_direct: true,
    duplicate_window: WINDOW_NS,
  });
  runner = await connectTo(
    { urls: [broker.url], user: runnerUser(AGENT), password: 'secret' },
    { inboxPrefix: runnerInboxPrefix(AGENT) },
  );
});
afterEach(async () => {
  for (const outbox of open) await outbox.close({ drainMs: 0 });
  await runner.close();
  await control.close();
  await broker[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

/** Keeps the answers from the sender once told to; what was asked has been done by then. */
const losingAnswers = (log: EventLog, isLost: () => boolean, onLost: () => void): EventLog => {
  const lost = async <T>(answer: Promise<T>): Promise<T> => {
    const value = await answer;
    if (!isLost()) return value;
    onLost();
    throw new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'no answer' });
  };
  return {
    ...log,
    append: (entry) => lost(log.append(entry)),
    appendTogether: (entries) => lost(log.appendTogether(entries)),
    // While answers are lost, nobody can be asked either.
    lastSeen: (subject) => lost(log.lastSeen(subject)),
  };
};

const start = (log: EventLog): Outbox => {
  const outbox = openOutbox({
    dir,
    name: AGENT,
    sender: createReportSender({
      log,
      subjects: SUBJECTS,
      bufferId: () => 'buffer-1',
      blobs: { put: () => Promise.reject(new Error('no body is large')), get: async () => undefined },
    }),
    clock: systemClock,
    ids: systemIds,
    gapRecord: gapRecordOf,
    storeLetter: () => Promise.resolve(),
    onFatal: (error) => expect.unreachable(String(error)),
  });
  open.push(outbox);
  return outbox;
};

const enqueue = (outbox: Outbox, from: number, count: number): Promise<unknown> =>
  Promise.all(
    Array.from({ length: count }, (_, at) =>
      outbox.enqueue(
        recordOf(`r${from + at}`, {
          id: `id-${from + at}`,
          lane: `ses_${at % 2}`,
          subject: SUBJECTS[at % SUBJECTS.length] ?? '',
        }),
      ),
    ),
  );

const numbers = async (): Promise<number[]> => {
  const found: number[] = [];
  for await (const { headers } of createEventLog(control, { stream: 'EVENTS' }).replay())
    found.push(Number(headers['Fleet-Source-Seq']));
  return found;
};

/** The log no longer knows an id that it stored: what is sent twice now is stored twice. */
const expectForgotten = async (id: string): Promise<void> => {
  const outcome = await createEventLog(control, { stream: 'EVENTS' }).append({
    subject: typedSubject(BOUNDARY, 'evt', 'somebody-else', 'text'),
    id,
    headers: {},
    body: new Uint8Array(),
  });
  expect(outcome).toMatchObject({ kind: 'appended', duplicate: false });
};

/** Longer than the memory for ids: a broker can be back within a tenth of a second. */
const outage = async (): Promise<void> => {
  await broker.kill();
  const killedAt = systemClock.monotonicMs();
  await expect
    .poll(() => (systemClock.monotonicMs() - killedAt) * 1e6, { timeout: LONG })
    .toBeGreaterThan(WINDOW_NS);
  await broker.restart();
};

test.each([
  ['one report', 1],
  ['a few, one by one', 5],
  ['many, as one batch', 40],
])(
  'OB-26 WK-07 %s stored without an answer is not sent again after an outage longer than the memory for ids',
  async (_, count) => {
    let isLost = false;
    const wasLost = Promise.withResolvers<void>();
    const log = createEventLog(runner, { stream: 'EVENTS', patience: PATIENCE });
    const outbox = start(
      losingAnswers(
        log,
        () => isLost,
        () => wasLost.resolve(),
      ),
    );
    await enqueue(outbox, 1, 2);
    await outbox.drained();
    isLost = true;
    await enqueue(outbox, 3, count);
    await expect.poll(numbers, { timeout: LONG }).toContain(3);
    // One that the broker has not given yet would be asked for again by the connection itself, within the real memory for ids.
    await wasLost.promise;
    await outage();
    await expectForgotten('id-3');
    isLost = false;
    outbox.nudge();
    await enqueue(outbox, 3 + count, 3);
    await outbox.drained();
    const mine = (await numbers()).filter((seq) => !Number.isNaN(seq));
    expect(mine).toEqual(Array.from({ length: count + 5 }, (__, at) => at + 1));
  },
  LONG,
);

test(
  'OB-26 nor by the next process, when the first one never learnt that they were stored',
  async () => {
    const deaf = losingAnswers(
      createEventLog(runner, { stream: 'EVENTS', patience: PATIENCE }),
      () => true,
      () => undefined,
    );
    // The first process never asks: it is sure of a fresh log, sends, and hears nothing.
    const first = start({ ...deaf, lastSeen: async () => undefined });
    await enqueue(first, 1, 4);
    await expect.poll(numbers, { timeout: LONG }).toContain(1);
    await first.close({ drainMs: 0 });
    await outage();
    await expectForgotten('id-1');
    const second = start(createEventLog(runner, { stream: 'EVENTS' }));
    await enqueue(second, 5, 3);
    await second.drained();
    const mine = (await numbers()).filter((seq) => !Number.isNaN(seq));
    expect(mine.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(mine).toEqual(mine.toSorted((a, b) => a - b));
  },
  LONG,
);
