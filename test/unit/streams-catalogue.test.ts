// Entries and their codecs: what is written comes back typed, what breaks the contract is named, what is unknown is kept.
import { CATALOGUE, catalogueEntryOf, readEntry } from '#streams/catalogue.ts';
import { jsonBytes, type EntryLike } from '#streams/entry.ts';
import { ALL_REPORTS, exampleEntries } from '#streams/generate-example-entries.ts';
import { EXAMPLE, INSTRUCTION_EXAMPLES, REPORT_EXAMPLES, RUN_EXAMPLES } from '#streams/generate-examples.ts';
import { decodeInstruction, encodeInstruction } from '#streams/instruction-codec.ts';
import { decodeReport, encodeReport } from '#streams/report-codec.ts';
import { REPORTS, type ReportName } from '#streams/reports.ts';
import { decodeRunEvent, encodeRunEvent } from '#streams/run-codec.ts';
import { streamDefinitions } from '#streams/streams.ts';
import { parseSubject } from '#streams/subjects.ts';
import { describe, expect, test } from 'vitest';

const { boundary, agent, runId } = EXAMPLE;
const meta = {
  boundary,
  id: 'evt_1',
  source: '/service/runs',
  actor: 'user:anna',
  causation: 'cmd_1',
  correlation: runId,
  fence: 17,
  sourceSeq: 3,
  timeMs: 1_763_712_000_000,
};
const created = RUN_EXAMPLES['fleetlog.run.created.v1'];
const text = (): EntryLike => encodeReport('text', REPORT_EXAMPLES.text, { ...meta, agent });

const problemOf = (entry: EntryLike): string => {
  const reading = readEntry(entry);
  return reading.kind === 'problem' ? reading.problem : `no problem: ${reading.kind}`;
};

describe('the catalogue', () => {
  test('names each type once, with its version, a meaning and a declared stream', () => {
    const streams = streamDefinitions(1).map(({ name }) => name);
    const types = CATALOGUE.map(({ type }) => type);
    expect(new Set(types).size).toBe(types.length);
    for (const entry of CATALOGUE) {
      expect(entry.type.endsWith(`.v${entry.version}`), entry.type).toBe(true);
      expect(entry.means.length).toBeGreaterThan(10);
      expect(streams).toContain(entry.stream);
      expect(catalogueEntryOf(entry.type)).toBe(entry);
    }
    expect(catalogueEntryOf('fleetlog.run.created.v2')).toBeUndefined();
  });

  test('has an example of each type, which is read as that type and fits the stream it belongs to', () => {
    const examples = exampleEntries();
    expect(examples.map(({ headers }) => headers['ce-type'])).toEqual(CATALOGUE.map(({ type }) => type));
    for (const [index, entry] of CATALOGUE.entries()) {
      const example = examples[index];
      if (example === undefined) return expect.unreachable();
      const reading = readEntry(example);
      expect(reading).toMatchObject({ type: entry.type });
      expect(parseSubject(example.subject)).toMatchObject({ family: entry.family });
    }
    return undefined;
  });
});

describe('writing and reading', () => {
  test('a run event goes to the one subject of its run, and its type stands in the header only', () => {
    const entry = encodeRunEvent(created, meta);
    expect(entry.subject).toBe(`fleet.acme.web.run.13.${runId}`);
    expect(entry.id).toBe('evt_1');
    expect(JSON.parse(Buffer.from(entry.body).toString())).not.toHaveProperty('type');
    const { boundary: _boundary, ...said } = meta;
    expect(decodeRunEvent(entry)).toEqual({
      kind: 'known',
      event: created,
      envelope: { ...said, type: created.type, subject: runId },
      place: parseSubject(entry.subject),
    });
  });

  for (const name of Object.keys(REPORTS) as ReportName[])
    test(`a report ${name} comes back as it was`, () => {
      const entry = encodeReport(name, ALL_REPORTS[name], { ...meta, agent });
      expect(entry.subject).toBe(`fleet.acme.web.evt.2.builder-1.${name}`);
      expect(decodeReport(entry)).toMatchObject({ kind: 'known', name, data: ALL_REPORTS[name] });
    });

  test('an instruction comes back as it was', () => {
    const entry = encodeInstruction('turn', INSTRUCTION_EXAMPLES.turn, { ...meta, target: agent });
    expect(entry.subject).toBe('fleet.acme.web.cmd.2.builder-1.turn');
    expect(decodeInstruction(entry)).toMatchObject({
      kind: 'known',
      name: 'turn',
      data: INSTRUCTION_EXAMPLES.turn,
    });
  });

  test('what could not be read back is not written', () => {
    const bad = { ...created, runId: 'run_1' };
    expect(() => encodeRunEvent(bad, meta)).toThrow(
      /fleetlog\.run\.created\.v1 cannot be written: runId: expected run_/,
    );
    expect(() =>
      encodeReport('usage', { ...REPORT_EXAMPLES.usage, usage: { inputTokens: -1 } }, { ...meta, agent }),
    ).toThrow(/usage\.inputTokens/);
    expect(() => encodeReport('text', REPORT_EXAMPLES.text, { ...meta, agent: 'a.b' })).toThrow(
      /subject token/,
    );
  });

  test('members that the contract does not know are not written', () => {
    const more = { ...REPORT_EXAMPLES.text, password: 'x' };
    const entry = encodeReport('text', more, { ...meta, agent });
    expect(Buffer.from(entry.body).toString()).not.toContain('password');
  });

  test('members that a newer version has added are passed over', () => {
    const entry = text();
    const newer = { ...entry, body: jsonBytes({ ...REPORT_EXAMPLES.text, tone: 'calm' }) };
    expect(readEntry(newer)).toMatchObject({ kind: 'report', name: 'text', data: REPORT_EXAMPLES.text });
  });
});

describe('an entry that breaks the contract is named', () => {
  const withHeaders = (headers: Record<string, string>): EntryLike => {
    const entry = text();
    return { ...entry, headers: { ...entry.headers, ...headers } };
  };
  const BROKEN: Readonly<Record<string, readonly [EntryLike, RegExp]>> = {
    'a foreign subject': [{ ...text(), subject: 'elsewhere' }, /^subject elsewhere: not one of ours/],
    'another id than the log knows': [
      withHeaders({ 'Nats-Msg-Id': 'evt_2' }),
      /^ce-id: evt_1 is not .* evt_2/,
    ],
    'another agent than the subject': [withHeaders({ 'ce-subject': 'builder-2' }), /^ce-subject: builder-2/],
    'a transition on a report’s subject': [
      withHeaders({ 'ce-type': 'fleetlog.run.completed.v1' }),
      /not the subject of a run/,
    ],
    'an instruction on a report’s subject': [
      withHeaders({ 'ce-type': 'fleetlog.command.turn.v1' }),
      /not the subject of an instruction/,
    ],
    'a dead letter on a report’s subject': [
      withHeaders({ 'ce-type': 'fleetlog.dead-letter.v1' }),
      /not the subject of a dead letter/,
    ],
    'another report than the subject says': [
      withHeaders({ 'ce-type': 'fleetlog.turn.reasoning.v1' }),
      /expected …reasoning/,
    ],
    'a body that is not JSON': [{ ...text(), body: new Uint8Array([0xff, 0xfe]) }, /^body: not JSON/],
    'a body of another shape': [
      { ...text(), body: jsonBytes({ runId }) },
      /sessionId: .*; turnId: .*; text: /,
    ],
    'a body that is null': [{ ...encodeRunEvent(created, meta), body: jsonBytes(null) }, /body: /],
    'a run that is not the subject’s': [
      {
        ...encodeRunEvent(created, meta),
        body: jsonBytes({ ...created, runId: `run_${'0'.repeat(26)}` }),
      },
      /^runId: run_0{26} is not run_01K/,
    ],
    'a report on a transition’s subject': [
      { ...encodeRunEvent(created, meta), headers: { ...text().headers, 'ce-subject': runId } },
      /not the subject of a report/,
    ],
  };
  for (const [what, [entry, expected]] of Object.entries(BROKEN))
    test(what, () => expect(problemOf(entry)).toMatch(expected));
});

describe('an unknown type', () => {
  const newer = (): EntryLike => {
    const entry = text();
    return { ...entry, headers: { ...entry.headers, 'ce-type': 'fleetlog.turn.text.v2' } };
  };

  test('is kept with its envelope and body', () => {
    expect(readEntry(newer())).toMatchObject({
      kind: 'unknown',
      type: 'fleetlog.turn.text.v2',
      envelope: { id: 'evt_1', fence: 17 },
      data: REPORT_EXAMPLES.text,
    });
  });

  test('with a body that is not JSON is kept without one', () => {
    expect(readEntry({ ...newer(), body: new Uint8Array([0xff]) })).toMatchObject({
      kind: 'unknown',
      data: undefined,
    });
  });

  test('in a family is told apart by each codec', () => {
    expect(decodeReport(newer())).toMatchObject({ kind: 'unknown', type: 'fleetlog.turn.text.v2' });
    const run = encodeRunEvent(created, meta);
    const newerRun = { ...run, headers: { ...run.headers, 'ce-type': 'fleetlog.run.paused.v1' } };
    expect(decodeRunEvent(newerRun)).toMatchObject({ kind: 'unknown', type: 'fleetlog.run.paused.v1' });
    const command = encodeInstruction('cancel', INSTRUCTION_EXAMPLES.cancel, { ...meta, target: agent });
    const newerCommand = {
      ...command,
      headers: { ...command.headers, 'ce-type': 'fleetlog.command.rewind.v1' },
    };
    expect(decodeInstruction(newerCommand)).toMatchObject({ kind: 'unknown' });
  });
});
