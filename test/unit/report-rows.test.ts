// Reports from the runner to the log, row by row: what is fixed when they are made, what a refusal means, and that nothing is told apart, joined or
// done again because of what it looks like.
import { describe, expect, test } from 'vitest';
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { Outbox } from '#libs/outbox/outbox.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import { parseTime } from '#libs/system/clock.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { coalesce } from '#services/runner/providers/coalesce.policy.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import { createReportSender } from '#services/runner/report-sender.ts';
import { ReportWriter, type TurnScope } from '#services/runner/report-writer.ts';
import { decodeReport } from '#streams/report-codec.ts';
import { useOutboxRig } from '#test/support/outbox-rig.ts';
import { turnRig } from '#test/support/turn-rig.ts';

const rig = useOutboxRig();

const SCOPE: TurnScope = {
  runId: 'run_01JZZZZZZZZZZZZZZZZZZZZZZZ',
  sessionId: 'ses_01JZZZZZZZZZZZZZZZZZZZZZZZ',
  turnId: 'trn_01JZZZZZZZZZZZZZZZZZZZZZZZ',
  commandId: 'cmd_01JZZZZZZZZZZZZZZZZZZZZZZZ',
  fence: 3,
};
const RATIO = {
  signal: 'context-ratio',
  value: { ratio: 0.5, gatheringCalls: 1, totalToolCalls: 2 },
  endReason: 'done',
  workspace: '/w',
};

interface Way {
  readonly broker: MemoryBroker;
  readonly outbox: Outbox;
  readonly writer: ReportWriter;
  readonly stored: () => Promise<readonly StoredEntry[]>;
}

/** A writer, its buffer on disk and the log behind it. */
const way = (broker?: MemoryBroker, around: (log: EventLog) => EventLog = (log) => log): Way => {
  const { clock } = rig();
  const ids = createSeededIds(broker === undefined ? 7 : 8, clock);
  const behind = broker ?? createMemoryBroker({ clock, ids });
  if (broker === undefined) {
    behind.declareStream({ name: 'EVENTS', subjects: ['fleet.*.*.evt.>'] });
    behind.declareObjectStore('bodies');
  }
  const log = behind.eventLog('EVENTS');
  const outbox: Outbox = rig().start({
    // The clock of the test does not wait for a real disk.
    syncFile: async () => undefined,
    sender: createReportSender({
      log: around(log),
      blobs: behind.blobs('bodies'),
      subjects: [],
      bufferId: () => outbox.bufferId,
    }),
  });
  const boundary = { tenant: 'local', project: 'main' };
  const writer = new ReportWriter({
    outbox,
    redactor: createRedactor(),
    boundary,
    agent: 'builder-1',
    clock,
    ids,
  });
  return {
    broker: behind,
    outbox,
    writer,
    stored: async () => {
      const entries: StoredEntry[] = [];
      for await (const entry of log.replay()) entries.push(entry);
      return entries;
    },
  };
};

describe('what a report is sent with', () => {
  test('RN-08 RN-09 WK-05 its id and its time are fixed when it is made: however late and often it is sent, an insight too, the log has it once', async () => {
    const { broker, outbox, writer, stored } = way();
    broker.faults.goAway();
    const madeAt = rig().clock.now();
    await writer.write(SCOPE, 'text', { text: 'hello' }, { id: 'evt-text' });
    await writer.write(SCOPE, 'insight', RATIO, { id: 'evt-insight' });
    await rig().clock.advance(3_600_000);
    // Back, but its first answer is lost: sent once more.
    broker.faults.plan({ loseAppendAck: (nth) => nth === 1 });
    broker.faults.comeBack();
    outbox.nudge();
    for (let look = 0; look < 5; look += 1) await rig().clock.advance(60_000);
    await outbox.drained();
    const entries = await stored();
    expect(entries.map(({ headers }) => headers['Nats-Msg-Id'])).toEqual(['evt-text', 'evt-insight']);
    for (const { headers } of entries) expect(parseTime(headers['ce-time'] ?? '')).toBe(madeAt);
    expect(entries.map((entry) => decodeReport(entry))).toMatchObject([
      { name: 'text', data: { text: 'hello' } },
      { name: 'insight', data: RATIO },
    ]);
  });

  test('RN-10 a report of a kind that this version does not know is sent as it is, not dropped', async () => {
    const { outbox, stored } = way();
    await outbox.enqueue({
      lane: 'session',
      kind: 'hologram',
      worth: 5,
      subject: 'fleet.local.main.evt.0.builder-1.hologram',
      headers: { 'ce-type': 'fleetlog.hologram.v9' },
      body: new TextEncoder().encode('{"depth":3}'),
    });
    await outbox.drained();
    const [entry] = await stored();
    expect(entry?.headers).toMatchObject({ 'ce-type': 'fleetlog.hologram.v9', 'Fleet-Source-Seq': '1' });
    expect(new TextDecoder().decode(entry?.body)).toBe('{"depth":3}');
  });

  test('WK-37 every report has a number of its own, growing in the order of making, also over a restart', async () => {
    const first = way();
    for (let n = 0; n < 40; n += 1) await first.writer.write(SCOPE, 'text', { text: `${n}` });
    await first.outbox.drained();
    await rig().closeNow(first.outbox);
    const second = way(first.broker);
    for (let n = 40; n < 60; n += 1) await second.writer.write(SCOPE, 'text', { text: `${n}` });
    await second.outbox.drained();
    const entries = await second.stored();
    expect(entries.map(({ headers }) => Number(headers['Fleet-Source-Seq']))).toEqual(
      Array.from({ length: 60 }, (_, at) => at + 1),
    );
    expect(entries.map((entry) => decodeReport(entry))).toMatchObject(
      Array.from({ length: 60 }, (_, at) => ({ data: { text: `${at}` } })),
    );
    expect(new Set(entries.map(({ headers }) => headers['Nats-Msg-Id'])).size).toBe(60);
  });
});

describe('what the log turns down', () => {
  test('RN-12 RN-13 WK-12 a conflict acknowledges nothing: the report waits, is tried again, and at last is kept for a person with the code', async () => {
    let conflicts = 0;
    const { outbox, writer, stored } = way(undefined, (log) => ({
      ...log,
      append: async () => {
        conflicts += 1;
        return { kind: 'conflict', subject: '', expectedSeq: 0, actualSeq: 9 };
      },
    }));
    await writer.write(SCOPE, 'turn-finished', {
      commandId: SCOPE.commandId,
      endedAt: 1,
      result: {
        outcome: 'done',
        failure: null,
        exitCode: 0,
        signal: null,
        summary: 'merged',
        durationMs: 1,
        events: 0,
      },
    });
    await rig().clock.settle();
    expect(outbox.status()).toMatchObject({ pending: 1, parked: 0 });
    for (let attempt = 0; attempt < 12; attempt += 1) await rig().clock.advance(60_000);
    expect(conflicts).toBe(12);
    expect(outbox.status()).toMatchObject({ pending: 0, parked: 1 });
    expect(outbox.parked()).toMatchObject([
      {
        record: { kind: 'turn-finished' },
        refusal: { code: 'LOG_CONFLICT', attempts: 12 },
        isLetterStored: true,
      },
    ]);
    expect(rig().letters).toHaveLength(1);
    expect(await stored()).toEqual([]);
  });
});

describe('what looks alike', () => {
  const result = (callId: string): ProviderEvent => ({
    kind: 'tool-finished',
    callId,
    output: 'ok',
    isError: false,
  });

  test('HR-26 WK-40 two equal results in a row, of two calls, stay two', async () => {
    const events = [result('1'), result('2')];
    expect([...coalesce(events, true)]).toEqual(events);
    const turn = turnRig();
    await turn.start();
    for (const event of events) await turn.program().sink(event);
    turn.program().end();
    await turn.turn.over;
    const told = turn.commits.flatMap(({ reports, bodies }) =>
      bodies.filter((_, at) => reports[at] === 'tool-finished'),
    );
    expect(told).toMatchObject([
      { callId: '1', output: 'ok' },
      { callId: '2', output: 'ok' },
    ]);
  });

  test('HR-29 a turn without a word of its program is told by the errors of its tools', async () => {
    const failure = (callId: string, output: string): ProviderEvent => ({
      kind: 'tool-finished',
      callId,
      output,
      isError: true,
    });
    const turn = turnRig();
    await turn.start();
    const events = [
      failure('1', 'no such file'),
      result('2'),
      failure('3', 'no such file'),
      failure('4', 'no right'),
    ];
    for (const event of events) await turn.program().sink(event);
    turn.program().end({ closing: { outcome: 'done', summary: '', message: '' }, lastText: '' });
    expect(await turn.turn.over).toBe('reported');
    const [end] = turn.commits.flatMap(({ reports, bodies }) =>
      bodies.filter((_, at) => reports[at] === 'turn-finished'),
    );
    expect(end).toMatchObject({ result: { outcome: 'done', summary: 'no such file\n\nno right' } });
  });

  test.each([
    ['a result', { outcome: 'done', summary: '', message: '' } as const],
    ['no result', null],
  ])('WK-39 a program that says no word and %s is not run a second time in its turn', async (_, closing) => {
    const turn = turnRig();
    await turn.start();
    turn.program().end({ closing, lastText: '', events: 0 });
    expect(await turn.turn.over).toBe('reported');
    expect(turn.happened.filter((what) => what === 'start program')).toHaveLength(1);
    expect(turn.happened.filter((what) => what === 'report turn-finished')).toHaveLength(1);
  });
});
