// One reading for equal entries, and none for an entry that differs in anything.
import { expect, test } from 'vitest';
import { rememberReadings } from '#streams/decode-memo.ts';
import type { EntryLike } from '#streams/entry.ts';
import { decodeRunEvent, encodeRunEvent, readRunEvent } from '#streams/run-codec.ts';
import { decodeWith } from '#streams/entry.ts';
import { NOW, created } from '#test/support/run-history.ts';

const entryOf = (prompt = 'Fix it.', id = 'run.create.1'): EntryLike => {
  const event = created();
  if (event.type !== 'fleetlog.run.created.v1') throw new Error('not a creation');
  const { headers, subject, body } = encodeRunEvent(
    { ...event, request: { ...event.request, prompt } },
    {
      boundary: { tenant: 'local', project: 'main' },
      id,
      source: '/service/runs',
      timeMs: NOW,
      actor: 'user:anna',
    },
  );
  return { subject, body, headers: { ...headers, 'Nats-Msg-Id': id } };
};

const counted = () => {
  let count = 0;
  const read = rememberReadings((entry) => {
    count += 1;
    return decodeWith(entry, readRunEvent);
  });
  return { read, count: () => count };
};

test('an entry that is delivered to several readers is read once', () => {
  const { read, count } = counted();
  const first = read(entryOf());
  expect(first).toMatchObject({ kind: 'known', event: { type: 'fleetlog.run.created.v1' } });
  expect(read(entryOf())).toBe(first);
  expect(count()).toBe(1);
});

test.each([
  ['the body', { ...entryOf(), body: entryOf('Leave it.').body }],
  ['a body of the same length', { ...entryOf(), body: entryOf('Fix ib.').body }],
  ['the subject', { ...entryOf(), subject: entryOf().subject.replace('main', 'side') }],
  ['a header', { ...entryOf(), headers: { ...entryOf().headers, 'Fleet-Actor': 'user:ben' } }],
  ['one header more', { ...entryOf(), headers: { ...entryOf().headers, 'Fleet-Fence': '7' } }],
  ['one header less', { ...entryOf(), headers: { 'Nats-Msg-Id': 'run.create.1' } }],
])('an entry with the same id that differs in %s is read by itself', (_what, other) => {
  const { read, count } = counted();
  read(entryOf());
  expect(read(other)).toEqual(decodeWith(other, readRunEvent));
  expect(count()).toBe(2);
});

test('what is wrong with an entry is said each time', () => {
  const broken = { ...entryOf(), body: new TextEncoder().encode('{') };
  expect(decodeRunEvent(broken)).toEqual({ kind: 'problem', problem: 'body: not JSON' });
  expect(decodeRunEvent(broken)).toEqual({ kind: 'problem', problem: 'body: not JSON' });
});

test('a reading that is shared cannot be changed, nor can a buffer that is used again change it', () => {
  const { read } = counted();
  const entry = entryOf();
  const reading = read(entry);
  if (reading.kind !== 'known') throw new Error('not read');
  expect(() => Object.assign(reading.event, { runId: 'other' })).toThrow(TypeError);
  entry.body.fill(0);
  expect(read(entryOf())).toBe(reading);
  expect(read(entry)).toMatchObject({ kind: 'problem' });
});

test('readings of large bodies, and the oldest of many, are not kept', () => {
  const { read, count } = counted();
  const large = entryOf('x'.repeat(20_000));
  read(large);
  read(large);
  expect(count()).toBe(2);
  const before = count();
  for (let at = 0; at < 1100; at += 1) read(entryOf('Fix it.', `run.create.${at}`));
  read(entryOf('Fix it.', 'run.create.1099'));
  expect(count()).toBe(before + 1100);
  read(entryOf('Fix it.', 'run.create.0'));
  expect(count()).toBe(before + 1101);
});
