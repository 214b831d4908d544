// The watch over the numbers of reports on a real broker, two instances at once: a hole is an alarm on record, told once, and over
// when it is filled or named; and what is known survives a restart of everything.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { audit } from '#services/audit/service.ts';
import { gateway } from '#services/gateway/service.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { decodeReport, encodeReport } from '#streams/report-codec.ts';
import type { ReportData } from '#streams/reports.ts';
import { typedFilter } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';

let broker: FreshBroker;
let planes: ControlPlane[];

const start = (): Promise<ControlPlane> =>
  startControlPlane({
    broker,
    services: [audit, gateway],
    config: { audit: { graceMs: 300, lookMs: 100 }, gateway: { port: 0 } },
  });
const plane = (): ControlPlane => {
  const [one] = planes;
  if (one === undefined) throw new Error('no control plane runs');
  return one;
};

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  planes = [await start(), await start()];
});
afterAll(async () => {
  expect(planes.flatMap(({ fatal }) => fatal)).toEqual([]);
  await Promise.all(planes.map((one) => one.stop()));
  await broker[Symbol.asyncDispose]();
});

const about = { runId: makeId('run', systemIds.ulid()), sessionId: makeId('session', systemIds.ulid()) };

/** Appends a report with this number, as the runner of an agent does. */
const report = async (agent: string, sourceSeq: number, named?: [number, number]): Promise<void> => {
  const meta = {
    boundary: BOUNDARY,
    agent,
    id: makeId('event', systemIds.ulid()),
    source: `/runner/${agent}`,
    timeMs: 1_763_712_000_000,
    actor: `agent:${agent}`,
    sourceSeq,
    sourceBuffer: `buffer-of-${agent}`,
  };
  const turn = { ...about, turnId: makeId('turn', systemIds.ulid()) };
  const entry =
    named === undefined
      ? encodeReport('text', { ...turn, text: `number ${sourceSeq}` }, meta)
      : encodeReport(
          'gap',
          { firstSourceSeq: named[0], lastSourceSeq: named[1], dropped: 1, reason: 'the buffer was full' },
          meta,
        );
  await plane().ports.log('EVENTS').append(entry);
};

/** The summaries are stored once a second. */
const PATIENCE = { timeout: 20_000 };

type Told = ReportData<'source-alarm'> | ReportData<'source-cleared'>;

/** Waits for as many alarms and clearings of an agent as asked for, in their order. */
const told = async (agent: string, count: number): Promise<Told[]> => {
  const found: Told[] = [];
  const enough = new AbortController();
  const filter = { ...BOUNDARY, id: agent };
  const subjects = ['source-alarm', 'source-cleared'].map((type) => typedFilter('evt', { ...filter, type }));
  const replay = plane().ports.log('EVENTS').replay({ subjects, follow: true, signal: enough.signal });
  for await (const entry of replay) {
    const reading = decodeReport(entry);
    if (reading.kind !== 'known') throw new Error(`unreadable: ${entry.subject}`);
    if (reading.name === 'source-alarm' || reading.name === 'source-cleared') found.push(reading.data);
    if (found.length === count) enough.abort();
  }
  return found;
};

const sourceOf = async (agent: string): Promise<Record<string, unknown> | undefined> => {
  const response = await fetch(`${plane().url()}/api/v1/sources`);
  const { sources } = (await response.json()) as { sources: Record<string, unknown>[] };
  return sources.find((source) => source['agent'] === agent);
};

test('a hole that no gap report names is an alarm, told once by two instances, and over when it is filled', async () => {
  for (const number of [1, 2, 5, 6, 8]) await report('loser', number);
  // A gap report names what was dropped: no alarm. It stands behind what it tells of.
  await report('loser', 9, [7, 7]);
  const [alarm] = await told('loser', 1);
  expect(alarm).toMatchObject({
    problem: 'missing',
    buffer: 'buffer-of-loser',
    ranges: [[3, 4]],
    reports: 2,
    noticedSeq: 3,
  });
  await expect
    .poll(() => sourceOf('loser'), PATIENCE)
    .toMatchObject({
      reports: 6,
      numberings: [{ highSeq: 9, missing: [{ range: [3, 4] }], named: [[7, 7]] }],
    });
  await expect
    .poll(async () => (await plane().board.report()).find(({ name }) => name === 'audit.reports'), PATIENCE)
    .toMatchObject({
      ok: true,
      detail: '1 with missing reports: loser misses 2, from 3; see fleetlog alarms',
    });
  const metrics = await plane().metrics();
  expect(metrics).toContain('fleetlog_source_missing_reports{agent="loser"} 2');
  await report('loser', 4);
  await report('loser', 3);
  const all = await told('loser', 2);
  const rest = all.slice(1).flatMap(({ ranges }) => ranges);
  // In one clearing, or one for each, by when somebody looked.
  expect([
    [[3, 4]],
    [[4, 4]],
    [
      [4, 4],
      [3, 3],
    ],
  ]).toContainEqual(rest);
  await expect
    .poll(() => sourceOf('loser'), PATIENCE)
    .toMatchObject({ numberings: [{ missing: [], cleared: [] }] });
});

test('a repeated number is an alarm at once', async () => {
  for (const number of [1, 2, 3, 2]) await report('repeater', number);
  const [alarm] = await told('repeater', 1);
  expect(alarm).toMatchObject({
    problem: 'repeated',
    ranges: [[2, 2]],
    reports: 1,
    noticedSeq: expect.any(Number),
  });
  expect(await sourceOf('repeater')).toMatchObject({ repeated: 1 });
});

test('what is known survives a restart of the control plane, and nothing is told again', async () => {
  for (const number of [1, 3]) await report('survivor', number);
  await told('survivor', 1);
  await Promise.all(planes.map((one) => one.stop()));
  planes = [await start()];
  await expect
    .poll(() => sourceOf('survivor'), PATIENCE)
    .toMatchObject({ numberings: [{ missing: [{ range: [2, 2], alarmSeq: expect.any(Number) }] }] });
  await report('survivor', 5);
  expect((await told('survivor', 2)).map(({ ranges }) => ranges)).toEqual([[[2, 2]], [[4, 4]]]);
  const kv = plane().ports.bucket('sources');
  expect(parseJson((await kv.get('local.main.survivor'))?.value ?? new Uint8Array())).toMatchObject({
    repeated: 0,
    unlisted: 0,
  });
});
