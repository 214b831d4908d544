// Dead letters, written by the consumer loop's own code into a log in memory and read back by the contract.
import { createDeadLetters, type Parked } from '#libs/consumers/dead-letters.ts';
import type { EventLog, NewEntry, StoredEntry } from '#libs/ports/event-log.ts';
import { readEntry } from '#streams/catalogue.ts';
import { buildDeadLetter, decodeDeadLetter } from '#streams/dead-letters.ts';
import { encodeReport } from '#streams/report-codec.ts';
import { EXAMPLE, REPORT_EXAMPLES } from '#streams/generate-examples.ts';
import { expect, test } from 'vitest';

const origin = encodeReport('text', REPORT_EXAMPLES.text, {
  boundary: EXAMPLE.boundary,
  agent: EXAMPLE.agent,
  id: 'evt_1',
  source: '/runner/builder-1',
  actor: 'agent:builder-1',
  correlation: EXAMPLE.runId,
  timeMs: 1000,
});
const stored: StoredEntry = {
  seq: 45,
  storedAt: 2000,
  subject: origin.subject,
  headers: { 'Nats-Msg-Id': origin.id, ...origin.headers },
  body: origin.body,
};
const parked: Parked = {
  reason: 'attempts-used-up',
  code: 'UNEXPECTED_ERROR',
  message: 'cannot read\nproperties of undefined',
  stream: 'EVENTS',
  consumer: 'runs-reports',
  service: 'runs',
  attempts: 5,
  parkedAt: 3000,
  entry: stored,
};

const letterOf = async (change: Partial<Parked> = {}): Promise<NewEntry> => {
  const written: NewEntry[] = [];
  const log: Pick<EventLog, 'append'> = {
    append: async (entry) => {
      written.push(entry);
      return { kind: 'appended', seq: 1, duplicate: false };
    },
  };
  await createDeadLetters({ log: log as EventLog, build: buildDeadLetter }).park({ ...parked, ...change });
  const [letter] = written;
  return letter ?? expect.unreachable('nothing was written');
};

test('a letter says why, where from and how often, and carries the origin whole', async () => {
  const letter = await letterOf();
  expect(letter.subject).toBe('fleet.acme.web.dead.11.runs.attempts-used-up');
  expect(letter.id).toBe('EVENTS:45:runs-reports');
  expect(decodeDeadLetter(letter)).toMatchObject({
    kind: 'known',
    envelope: {
      id: 'EVENTS:45:runs-reports',
      type: 'fleetlog.dead-letter.v1',
      subject: 'runs',
      timeMs: 3000,
      causation: 'evt_1',
      correlation: EXAMPLE.runId,
    },
    letter: {
      reason: 'attempts-used-up',
      code: 'UNEXPECTED_ERROR',
      message: 'cannot read properties of undefined',
      service: 'runs',
      consumer: 'runs-reports',
      attempts: 5,
      stream: 'EVENTS',
      seq: 45,
      subject: origin.subject,
      storedAt: 2000,
      headers: stored.headers,
      bodyOmitted: false,
      body: { json: REPORT_EXAMPLES.text },
    },
  });
});

test('a body that is not JSON is given as base64, and the envelope says so', async () => {
  const letter = await letterOf({
    reason: 'undecodable',
    entry: { ...stored, body: new Uint8Array([0, 255, 1]) },
  });
  expect(letter.headers['content-type']).toBe('application/octet-stream');
  expect(decodeDeadLetter(letter)).toMatchObject({ letter: { body: { base64: 'AP8B' } } });
});

test('what came without our subject or envelope is parked all the same', async () => {
  const foreign = { ...stored, subject: '$KV.runs.x', headers: { 'Nats-Stream': 'X', 'ce-id': 'forged' } };
  const letter = await letterOf({ entry: foreign });
  expect(letter.subject).toBe('fleet.unknown.unknown.dead.11.runs.attempts-used-up');
  const reading = readEntry(letter);
  expect(reading).toMatchObject({
    kind: 'dead-letter',
    data: { subject: '$KV.runs.x', headers: { 'Nats-Stream': 'X', 'ce-id': 'forged' } },
  });
  expect(reading.kind === 'dead-letter' && reading.envelope.causation).toBeUndefined();
});

test('a letter without its facts is a problem that names them', async () => {
  const { headers, ...letter } = await letterOf();
  const { 'Dead-Reason': _reason, 'Dead-Seq': _seq, ...rest } = headers;
  const reading = decodeDeadLetter({ ...letter, headers: rest });
  expect(reading).toMatchObject({ kind: 'problem' });
  expect(reading.kind === 'problem' && reading.problem).toMatch(/reason: .*; seq: /);
});
