// Records of which only the latest is worth sending, beside those that are never merged.
import { expect, test } from 'vitest';
import type { Sender } from '#libs/outbox/outbox.ts';
import { recordOf, textOf } from '#test/support/outbox-peer.ts';
import { faultCode, useOutboxRig } from '#test/support/outbox-rig.ts';

const rig = useOutboxRig();

test('OB-11 WK-08 a record takes the place and the number of the one it replaces, under an id of its own', async () => {
  rig().peer.mode = 'away';
  const outbox = rig().start({ batch: { rows: 1, bytes: 1000 } });
  const called = rig().peer.nextCall();
  await outbox.enqueue(recordOf('head'));
  await called;
  const first = await outbox.enqueue(recordOf('50 %', { replaces: 'progress' }));
  await outbox.enqueue(recordOf('behind'));
  const second = await outbox.enqueue(recordOf('75 %', { replaces: 'progress' }));
  expect(second.sourceSeq).toBe(first.sourceSeq);
  expect(second.id).not.toBe(first.id);
  expect(outbox.status()).toMatchObject({ pending: 3, nextSourceSeq: 4 });
  rig().peer.mode = 'up';
  outbox.nudge();
  await outbox.drained();
  expect(rig().storedTexts()).toEqual(['head', '75 %', 'behind']);
  expect(outbox.status()).toMatchObject({ pending: 0, pendingBytes: 0 });
});

test('OB-11 WK-08 only one of its own lane, kind and key is replaced, and one that is on its way never', async () => {
  rig().peer.mode = 'away';
  const outbox = rig().start();
  const called = rig().peer.nextCall();
  await outbox.enqueue(recordOf('sent', { replaces: 'k' }));
  await called;
  await outbox.enqueue(recordOf('after', { replaces: 'k' }));
  await outbox.enqueue(recordOf('other kind', { replaces: 'k', kind: 'other' }));
  await outbox.enqueue(recordOf('other lane', { replaces: 'k', lane: 'other' }));
  await outbox.enqueue(recordOf('other key', { replaces: 'l' }));
  await outbox.enqueue(recordOf('latest', { replaces: 'k' }));
  rig().peer.mode = 'up';
  outbox.nudge();
  await outbox.drained();
  expect(rig().storedTexts()).toEqual(['sent', 'latest', 'other kind', 'other lane', 'other key']);
});

test('WK-08 the refusals of the one that is replaced still count', async () => {
  rig().peer.refuses.add('bad').add('worse');
  const outbox = rig().start();
  await outbox.enqueue(recordOf('bad', { replaces: 'k' }));
  await rig().clock.settle();
  await outbox.enqueue(recordOf('worse', { replaces: 'k' }));
  await rig().clock.advance(1000);
  expect(
    rig()
      .of('refused')
      .map(({ sourceSeq, refusal }) => [sourceSeq, refusal.attempts]),
  ).toEqual([
    [1, 1],
    [1, 2],
  ]);
});

test('OB-14 what replaces one another in one burst goes as one record, and no start is needed', async () => {
  const outbox = rig().start();
  await Promise.all(['1', '2', '3'].map((text) => outbox.enqueue(recordOf(text, { replaces: 'k' }))));
  await outbox.drained();
  expect(rig().storedTexts()).toEqual(['3']);
});

test('OB-12 ER-15 an empty key is refused before anything is written', async () => {
  const outbox = rig().start();
  const change = {
    records: [recordOf('a'), recordOf('b', { replaces: '' })],
    notes: [{ key: 'n', value: 1 }],
  };
  expect(faultCode(await outbox.commit(change).catch((error: unknown) => error))).toBe('OUTBOX_KEYLESS');
  expect(outbox.status()).toMatchObject({ pending: 0, nextSourceSeq: 1 });
  expect([...outbox.notes()]).toEqual([]);
});

test('OB-10 WK-06 records without a key are never merged, however alike and close in time', async () => {
  const outbox = rig().start();
  await Promise.all([1, 2, 3].map(() => outbox.enqueue(recordOf('same'))));
  await outbox.drained();
  expect(rig().storedTexts()).toEqual(['same', 'same', 'same']);
});

test('a restart forgets no key, and replaces nothing that may have been sent', async () => {
  rig().peer.mode = 'lost-ack';
  const peer = rig().peer;
  const asking: Sender = {
    send: (batch) => peer.send(batch),
    lastStored: () => Promise.reject(new Error('nobody answers')),
  };
  const first = rig().start();
  const called = peer.nextCall();
  await first.enqueue(recordOf('sent', { replaces: 'k' }));
  await called;
  await rig().closeNow(first);
  const second = rig().start({ sender: asking });
  expect((await second.enqueue(recordOf('after', { replaces: 'k' }))).sourceSeq).toBe(2);
  expect((await second.enqueue(recordOf('latest', { replaces: 'k' }))).sourceSeq).toBe(2);
  await rig().closeNow(second);
  const mark = { sourceSeq: 1, id: peer.stored[0]?.id ?? '' };
  peer.mode = 'up';
  const third = rig().start({
    sender: { send: (batch) => peer.send(batch), lastStored: async () => [mark] },
  });
  await third.drained();
  expect(rig().of('found-stored')).toEqual([{ kind: 'found-stored', records: 1 }]);
  expect(peer.stored.map((record) => textOf(record))).toEqual(['sent', 'latest']);
});
