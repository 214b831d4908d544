// Laws of the wire contract over random parts: what is built is parsed back, what is written is read back, and nothing that
// arrives, however broken, makes a reader throw.
import { readEntry } from '#streams/catalogue.ts';
import { decodeEnvelope, encodeEnvelope, type Envelope } from '#streams/envelope.ts';
import { decodeReport, encodeReport } from '#streams/report-codec.ts';
import { EXAMPLE } from '#streams/generate-examples.ts';
import { exampleEntries } from '#streams/generate-example-entries.ts';
import {
  AGGREGATE_FAMILIES,
  aggregateFilter,
  aggregateSubject,
  parseSubject,
  partitionOf,
  PARTITIONS,
  agentRequestFilter,
  agentRequestSubject,
  requestFilter,
  requestSubject,
  parseRequestSubject,
  timerSubject,
  TYPED_FAMILIES,
  typedFilter,
  typedSubject,
} from '#streams/subjects.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';

const token = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/);
const boundary = fc.record({ tenant: token, project: token });

/** Whether a filter of `*` and literals takes a subject. */
const takes = (filter: string, subject: string): boolean => {
  const [left, right] = [filter.split('.'), subject.split('.')];
  return left.length === right.length && left.every((part, index) => part === '*' || part === right[index]);
};

test('a built subject is parsed into the parts that it was built from, and every filter of them takes it', () => {
  fc.assert(
    fc.property(boundary, token, token, (here, id, type) => {
      for (const family of AGGREGATE_FAMILIES) {
        const subject = aggregateSubject(here, family, id);
        expect(parseSubject(subject)).toEqual({
          ...here,
          kind: 'aggregate',
          family,
          partition: partitionOf(id),
          id,
        });
        for (const filter of [{}, { id }, { ...here }, { ...here, id }])
          expect(takes(aggregateFilter(family, filter), subject)).toBe(true);
      }
      for (const family of TYPED_FAMILIES) {
        const subject = typedSubject(here, family, id, type);
        expect(parseSubject(subject)).toEqual({
          ...here,
          kind: 'typed',
          family,
          partition: partitionOf(id),
          id,
          type,
        });
        for (const filter of [{}, { id }, { type }, { ...here, id, type }])
          expect(takes(typedFilter(family, filter), subject)).toBe(true);
      }
      const timer = timerSubject(here, 'fire', { owner: id, id: type });
      expect(parseSubject(timer)).toEqual({ ...here, kind: 'timer', phase: 'fire', owner: id, id: type });
      const request = requestSubject(here, id, type);
      expect(parseRequestSubject(request)).toEqual({ ...here, service: id, operation: type });
      const byAgent = agentRequestSubject({ ...here, agent: id }, 'runs', type);
      expect(parseRequestSubject(byAgent)).toEqual({
        ...here,
        service: 'runs',
        operation: type,
        agent: id,
      });
      expect(takes(agentRequestFilter('runs', type), byAgent)).toBe(true);
      expect(takes(requestFilter('runs', type), byAgent)).toBe(false);
    }),
    propertyRuns(300),
  );
});

test('no text that is not a token gets into a subject, and what is parsed is what would be built', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 120 }), (text) => {
      const isToken = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/.test(text);
      const build = (): string => typedSubject({ tenant: 'a', project: 'b' }, 'evt', text, 'text');
      if (isToken) expect(build().split('.')).toHaveLength(7);
      else expect(build).toThrow(expect.objectContaining({ code: 'SUBJECT_INVALID' }));
      expect(parseSubject(text)).toBeUndefined();
    }),
    propertyRuns(1000),
  );
});

test('a partition is a whole number below the number of partitions, the same for the same id', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (id) => {
      const partition = partitionOf(id);
      expect(Number.isInteger(partition) && partition >= 0 && partition < PARTITIONS).toBe(true);
      expect(partitionOf(id)).toBe(partition);
    }),
    propertyRuns(500),
  );
});

const line = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
  // oxlint-disable-next-line no-control-regex -- the very characters that a header cannot hold
  .filter((text) => !/[\u0000-\u001f\u007f]/.test(text) && text.trim() === text && text !== '');
const count = fc.integer({ min: 0, max: 999_999_999_999_999 });
const optional = <Key extends string, T>(
  key: Key,
  value: fc.Arbitrary<T>,
): fc.Arbitrary<Partial<Record<Key, T>>> =>
  fc.oneof(
    fc.constant({}),
    value.map((made) => ({ [key]: made }) as Partial<Record<Key, T>>),
  );

const envelope: fc.Arbitrary<Envelope> = fc
  .tuple(
    fc.record({
      id: line,
      type: fc.stringMatching(/^fleetlog(\.[a-z][a-z0-9-]{0,10}){1,3}\.v[0-9]{1,3}$/),
      source: line,
      subject: line,
      timeMs: fc.integer({ min: 0, max: 253_402_300_799_999 }),
      actor: line,
    }),
    optional('causation', line),
    optional('correlation', line),
    optional('fence', count),
    optional('sourceSeq', count),
    optional('traceparent', line),
  )
  .map(([least, ...more]) => Object.assign({}, least, ...more) as Envelope);

test('an envelope that can be written is read back as it was', () => {
  fc.assert(
    fc.property(envelope, (written) => {
      expect(decodeEnvelope(encodeEnvelope(written))).toEqual({ ok: true, envelope: written });
    }),
    propertyRuns(500),
  );
});

test('a report of any text is read back as it was', () => {
  const { boundary: here, agent, runId, sessionId, turnId } = EXAMPLE;
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), envelope, (text, said) => {
      const { type: _type, subject: _subject, ...meta } = said;
      const entry = encodeReport(
        'text',
        { runId, sessionId, turnId, text },
        { ...meta, boundary: here, agent },
      );
      expect(decodeReport(entry)).toMatchObject({ kind: 'known', name: 'text', data: { text } });
    }),
    propertyRuns(300),
  );
});

test('a broken entry never makes a reader throw', () => {
  const examples = exampleEntries();
  const damage = fc.oneof(
    fc.record({ kind: fc.constant('body' as const), body: fc.uint8Array({ maxLength: 64 }) }),
    fc.record({ kind: fc.constant('json' as const), value: fc.jsonValue() }),
    fc.record({ kind: fc.constant('header' as const), at: fc.nat(), value: fc.string() }),
    fc.record({ kind: fc.constant('missing' as const), at: fc.nat() }),
    fc.record({ kind: fc.constant('subject' as const), other: fc.nat() }),
  );
  fc.assert(
    fc.property(
      fc.nat(examples.length - 1),
      fc.array(damage, { minLength: 1, maxLength: 3 }),
      (which, damages) => {
        const sound = examples[which] ?? expect.unreachable();
        let entry = { subject: sound.subject, headers: { ...sound.headers }, body: sound.body };
        for (const each of damages) {
          const names = Object.keys(entry.headers);
          if (each.kind === 'body') entry = { ...entry, body: each.body };
          if (each.kind === 'json') entry = { ...entry, body: Buffer.from(JSON.stringify(each.value)) };
          if (each.kind === 'subject')
            entry = { ...entry, subject: examples[each.other % examples.length]?.subject ?? '' };
          if (each.kind === 'header')
            entry = {
              ...entry,
              headers: { ...entry.headers, [names[each.at % names.length] ?? 'x']: each.value },
            };
          if (each.kind === 'missing')
            entry.headers = Object.fromEntries(
              Object.entries(entry.headers).filter((_, at) => at !== each.at),
            );
        }
        const reading = readEntry(entry);
        if (reading.kind === 'problem') expect(reading.problem).not.toBe('');
        else expect(reading.envelope.subject).not.toBe('');
      },
    ),
    propertyRuns(1000),
  );
});

test('what is read by hand is what the schema would read', () => {
  fc.assert(
    fc.property(
      envelope,
      fc.constantFrom('Z', '+00:00'),
      fc.constantFrom('.000', '', '.5'),
      (written, zone, fraction) => {
        const headers = encodeEnvelope(written);
        const time = `${headers['ce-time']?.slice(0, 19)}${fraction}Z`;
        const plain = decodeEnvelope({ ...headers, 'ce-time': time });
        // A reference to a body is read by the schema; nothing else changes.
        const byTheSchema = decodeEnvelope({
          ...headers,
          'ce-time': time,
          'ce-dataref': `blob:sha256-${'0'.repeat(64)}`,
        });
        if (!plain.ok || !byTheSchema.ok) return expect.unreachable();
        const { dataref: _dataref, ...rest } = byTheSchema.envelope;
        expect(rest).toEqual(plain.envelope);
        // Zones other than Z are refused by both.
        expect(decodeEnvelope({ ...headers, 'ce-time': `${time.slice(0, -1)}${zone}` }).ok).toBe(
          zone === 'Z',
        );
        return undefined;
      },
    ),
    propertyRuns(300),
  );
});
