// The states a buffered record goes through, as the buffer's status and file show them.
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { systemClock } from '#libs/system/clock.ts';
import { recordOf } from '#test/support/outbox-peer.ts';
import { faultCode, useOutboxRig } from '#test/support/outbox-rig.ts';

const rig = useOutboxRig();

const rows = (): Record<string, unknown>[] => {
  const file = new DatabaseSync(rig().path, { readOnly: true });
  const found = file.prepare('SELECT * FROM record ORDER BY source_seq').all();
  file.close();
  return found;
};

test('OB-05 OB-T1 an enqueued record waits with everything that a resend needs', async () => {
  rig().peer.mode = 'away';
  const outbox = rig().start();
  const now = rig().clock.now();
  const { sourceSeq, id } = await outbox.enqueue(recordOf('a', { headers: { h: '1' }, occurredAt: 5 }));
  expect(outbox.status()).toMatchObject({ pending: 1, parked: 0 });
  expect(rows()).toEqual([
    expect.objectContaining({
      source_seq: sourceSeq,
      id,
      kind: 'note',
      lane: 'lane',
      occurred_at: 5,
      enqueued_at: now,
      attempts: 0,
      parked: 0,
      headers: '{"h":"1"}',
      body: new TextEncoder().encode('a'),
    }),
  ]);
});

test('OB-18 OB-T2 a delivered record leaves the file, and the next goes without a wait', async () => {
  const outbox = rig().start({ batch: { rows: 1, bytes: 1000 } });
  await Promise.all(['a', 'b', 'c'].map((text) => outbox.enqueue(recordOf(text))));
  await outbox.drained();
  expect(rig().peer.calls).toHaveLength(3);
  expect(rig().clock.pendingTimers()).toBe(0);
  expect(rows()).toEqual([]);
});

test('OB-19 OB-T3 OB-T4 a refused record counts the refusal and is due again half a second to a second later', async () => {
  rig().peer.refuses.add('bad');
  const outbox = rig().start();
  await outbox.enqueue(recordOf('bad'));
  await rig().clock.settle();
  expect(rows()).toMatchObject([{ attempts: 1, parked: 0 }]);
  expect(rig().of('refused')[0]?.waitMs).toBeGreaterThanOrEqual(500);
  await rig().clock.advance(499);
  expect(rig().peer.calls).toHaveLength(1);
  await rig().clock.advance(501);
  expect(rig().peer.calls).toHaveLength(2);
});

test('OB-23 OB-T5 after the twelfth refusal a record counts as parked and no longer as pending', async () => {
  rig().peer.refuses.add('bad');
  const outbox = rig().start();
  await outbox.enqueue(recordOf('bad'));
  for (let attempt = 0; attempt < 11; attempt += 1) await rig().clock.advance(60_000);
  expect(outbox.status()).toMatchObject({ pending: 0, parked: 1, pendingBytes: 0 });
  expect(rows()).toMatchObject([{ attempts: 12, parked: 1 }]);
});

test('OB-T6 OB-T7 WK-03 a full buffer sheds waiting records and never a parked one', async () => {
  rig().peer.refuses.add('bad');
  const outbox = rig().start({ budget: { rows: 5, bytes: 1_000_000 } });
  await outbox.enqueue(recordOf('bad'));
  for (let attempt = 0; attempt < 12; attempt += 1) await rig().clock.advance(60_000);
  rig().peer.mode = 'away';
  const called = rig().peer.nextCall();
  await outbox.enqueue(recordOf('in flight'));
  await called;
  for (let at = 0; at < 9; at += 1) await outbox.enqueue(recordOf(`x${at}`, { worth: 1 }));
  expect(rig().of('shed').length).toBeGreaterThan(0);
  expect(outbox.parked()).toMatchObject([{ record: { sourceSeq: 1 } }]);
});

test('OB-16 one batch is on its way at a time, and what is enqueued meanwhile goes after it', async () => {
  const answers: (() => void)[] = [];
  let inFlight = 0;
  let most = 0;
  const outbox = rig().start({
    sender: {
      send: async (batch) => {
        inFlight += 1;
        most = Math.max(most, inFlight);
        await new Promise<void>((resolve) => answers.push(resolve));
        inFlight -= 1;
        return rig().peer.send(batch);
      },
    },
  });
  await outbox.enqueue(recordOf('a'));
  await rig().clock.settle();
  await outbox.enqueue(recordOf('b'));
  outbox.nudge();
  await rig().clock.settle();
  expect(answers).toHaveLength(1);
  answers[0]?.();
  await rig().clock.settle();
  answers[1]?.();
  await outbox.drained();
  expect(most).toBe(1);
  expect(rig().storedTexts()).toEqual(['a', 'b']);
});

test('OB-04 the file has a write-ahead log, and a write waits 2 s for another program and then changes nothing', async () => {
  rig().peer.mode = 'away';
  const outbox = rig().start();
  const other = new DatabaseSync(rig().path);
  expect(other.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
  other.exec('BEGIN IMMEDIATE');
  const startedAt = systemClock.monotonicMs();
  const failure: unknown = await outbox.enqueue(recordOf('a')).catch((error: unknown) => error);
  expect(faultCode(failure)).toBe('OUTBOX_BUSY');
  expect(systemClock.monotonicMs() - startedAt).toBeGreaterThan(1900);
  other.exec('ROLLBACK');
  other.close();
  expect(await outbox.enqueue(recordOf('b'))).toMatchObject({ sourceSeq: 1 });
});
