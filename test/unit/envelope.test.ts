// The envelope: what is written, what is read back, and which headers are refused by name.
import { Fault } from '#libs/kernel/fault.ts';
import { decodeEnvelope, encodeEnvelope, type Envelope } from '#streams/envelope.ts';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

const least: Envelope = {
  id: 'evt_1',
  type: 'fleetlog.turn.text.v1',
  source: '/runner/builder-1',
  subject: 'builder-1',
  timeMs: 1_763_712_000_123,
  actor: 'agent:builder-1',
};
const full: Envelope = {
  ...least,
  causation: 'cmd_1',
  correlation: 'run_1',
  fence: 17,
  sourceSeq: 42,
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  dataref: `blob:sha256-${'a'.repeat(64)}`,
  contentType: 'application/octet-stream',
};

const problemOf = (headers: Record<string, string>): string => {
  const reading = decodeEnvelope(headers);
  return reading.ok ? 'no problem' : reading.problem;
};

describe('writing', () => {
  test('the headers are those of CloudEvents in binary mode, and our own', () => {
    expect(encodeEnvelope(full)).toEqual({
      'ce-specversion': '1.0',
      'ce-id': 'evt_1',
      'ce-type': 'fleetlog.turn.text.v1',
      'ce-source': '/runner/builder-1',
      'ce-subject': 'builder-1',
      'ce-time': '2025-11-21T08:00:00.123Z',
      'content-type': 'application/octet-stream',
      'Fleet-Actor': 'agent:builder-1',
      'Fleet-Causation': 'cmd_1',
      'Fleet-Correlation': 'run_1',
      'Fleet-Fence': '17',
      'Fleet-Source-Seq': '42',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      'ce-dataref': `blob:sha256-${'a'.repeat(64)}`,
    });
  });

  test('what is absent has no header', () => {
    expect(Object.keys(encodeEnvelope(least)).sort()).toEqual([
      'Fleet-Actor',
      'ce-id',
      'ce-source',
      'ce-specversion',
      'ce-subject',
      'ce-time',
      'ce-type',
      'content-type',
    ]);
  });

  const UNWRITABLE: readonly [keyof Envelope, Partial<Envelope>][] = [
    ['id', { id: '' }],
    ['id', { id: 'a'.repeat(256) }],
    ['type', { type: 'run.created' }],
    ['source', { source: 'a\r\nFleet-Fence: 9' }],
    ['subject', { subject: ' builder-1' }],
    ['actor', { actor: 'user:anna\nFleet-Fence: 9' }],
    ['causation', { causation: '' }],
    ['correlation', { correlation: 'run_1\u0000' }],
    ['traceparent', { traceparent: 'x ' }],
    ['fence', { fence: -1 }],
    ['fence', { fence: 1.5 }],
    ['sourceSeq', { sourceSeq: Number.NaN }],
    ['timeMs', { timeMs: Number.POSITIVE_INFINITY }],
    ['timeMs', { timeMs: 253_402_300_800_000 }],
    ['dataref', { dataref: 'blob:md5-1' }],
  ];
  for (const [field, change] of UNWRITABLE)
    test(`${field} ${JSON.stringify(Object.values(change)[0])?.slice(0, 40)} is not written`, () => {
      const write = (): unknown => encodeEnvelope({ ...least, ...change });
      expect(write).toThrow(Fault);
      expect(write).toThrow(new RegExp(`^${field} of an envelope`));
    });
});

describe('reading', () => {
  test('what was written comes back', () => {
    for (const envelope of [least, full])
      expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual({ ok: true, envelope });
  });

  test('every time that can be written comes back, whatever its day', () => {
    const times = fc.integer({ min: 0, max: 253_402_300_799_999 });
    const DAY_MS = 86_400_000;
    // Of every year one of the days that not every month has is near.
    const lateDays = fc
      .record({ years: fc.integer({ min: 0, max: 8000 }), month: fc.integer({ min: 0, max: 11 }) })
      .map(({ years, month }) => Math.floor(years * 365.2425 + 28 + month * 30.44) * DAY_MS);
    fc.assert(
      fc.property(fc.oneof(times, lateDays), (timeMs) => {
        const envelope = { ...least, timeMs };
        expect(decodeEnvelope(encodeEnvelope(envelope))).toEqual({ ok: true, envelope });
      }),
    );
  });

  test.each(['2026-02-29', '2026-02-30', '2026-04-31', '2026-11-31', '2026-01-32', '2026-13-01'])(
    'a day that there is not (%s) is named',
    (day) => {
      expect(problemOf({ ...encodeEnvelope(least), 'ce-time': `${day}T08:00:00.123Z` })).toMatch(
        /^ce-time: /,
      );
    },
  );

  test('headers of others are ignored', () => {
    const headers = { ...encodeEnvelope(least), 'Nats-Msg-Id': 'evt_1', 'X-Anything': 'goes' };
    expect(decodeEnvelope(headers)).toEqual({ ok: true, envelope: least });
  });

  test('a delivery of another stream that was aimed at this one is refused', () => {
    for (const forged of ['Nats-Stream', 'Nats-Sequence'])
      expect(problemOf({ ...encodeEnvelope(full), [forged]: '1' })).toMatch(/forwarded delivery/);
  });

  const BAD: Readonly<Record<string, string>> = {
    'ce-specversion': '0.3',
    'ce-id': '',
    'ce-type': 'fleetlog.Run.v1',
    'ce-source': '',
    'ce-subject': '',
    'ce-time': 'yesterday',
    'content-type': 'text/html',
    'Fleet-Actor': '',
    'Fleet-Fence': 'seventeen',
    'Fleet-Source-Seq': '-1',
    'ce-dataref': 'http://elsewhere/',
  };
  for (const [name, value] of Object.entries(BAD))
    test(`a bad ${name} is named`, () => {
      expect(problemOf({ ...encodeEnvelope(full), [name]: value })).toMatch(new RegExp(`^${name}: `));
    });

  for (const name of Object.keys(encodeEnvelope(least)))
    test(`a missing ${name} is named`, () => {
      const { [name]: _gone, ...rest } = encodeEnvelope(least);
      expect(problemOf(rest)).toMatch(new RegExp(`^${name}: `));
    });

  test('every header at fault is named in one line', () => {
    const problem = problemOf({ ...encodeEnvelope(least), 'ce-time': 'x', 'Fleet-Fence': 'y' });
    expect(problem).toMatch(/ce-time: .*; Fleet-Fence: /);
    expect(problem).not.toContain('\n');
  });
});
