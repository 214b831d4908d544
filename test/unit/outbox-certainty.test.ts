// Changes that are sure of the process only: who is told at once, what waits for the disk, and what nobody may learn before it is there.
import { expect, test } from 'vitest';
import type { SyncFile } from '#libs/outbox/log-sync.ts';
import { recordOf } from '#test/support/outbox-peer.ts';
import { faultCode, useOutboxRig } from '#test/support/outbox-rig.ts';

const rig = useOutboxRig();

/** A disk that takes nothing until it is let. */
const slowDisk = (): { readonly syncFile: SyncFile; readonly asked: () => number; let(): void } => {
  const waiting: (() => void)[] = [];
  let asked = 0;
  return {
    syncFile: () =>
      new Promise((resolve) => {
        asked += 1;
        waiting.push(resolve);
      }),
    asked: () => asked,
    let: () => waiting.splice(0).forEach((resolve) => resolve()),
  };
};

const lax = (text: string) => ({ records: [recordOf(text)], certainty: 'process' }) as const;

test('a record that is sure of the process is promised at once and sent only when it is on disk', async () => {
  const disk = slowDisk();
  const outbox = rig().start({ syncFile: disk.syncFile });
  const [first] = await outbox.commit(lax('a'));
  expect(first?.sourceSeq).toBe(1);
  await rig().clock.settle();
  expect(disk.asked()).toBe(1);
  expect(rig().peer.calls).toEqual([]);
  // Committed while the disk is busy: the sync that was begun before does not cover it.
  await outbox.commit(lax('b'));
  disk.let();
  await rig().clock.settle();
  expect(rig().storedTexts()).toEqual(['a']);
  disk.let();
  await outbox.drained();
  expect(rig().storedTexts()).toEqual(['a', 'b']);
  expect(disk.asked()).toBe(2);
});

test('one that can wait does so for a moment, or goes with the next that cannot', async () => {
  const disk = slowDisk();
  const outbox = rig().start({ syncFile: disk.syncFile });
  await outbox.commit({ ...lax('a'), canWait: true });
  await rig().clock.settle();
  expect(disk.asked()).toBe(0);
  await outbox.commit(lax('b'));
  expect(disk.asked()).toBe(1);
  disk.let();
  await outbox.drained();
  expect(rig().storedTexts()).toEqual(['a', 'b']);
  await outbox.commit({ ...lax('c'), canWait: true });
  await rig().clock.advance(4);
  expect(disk.asked()).toBe(1);
  await rig().clock.advance(1);
  expect(disk.asked()).toBe(2);
  await outbox.commit({ ...lax('d'), canWait: true });
  disk.let();
  await rig().clock.settle();
  expect(rig().storedTexts()).toEqual(['a', 'b', 'c']);
  const closing = rig().closeNow(outbox);
  await rig().clock.settle();
  expect(disk.asked()).toBe(3);
  disk.let();
  await closing;
});

test('one that waits for the disk takes with it what was committed before, in order', async () => {
  const disk = slowDisk();
  const outbox = rig().start({ syncFile: disk.syncFile });
  await outbox.commit(lax('a'));
  await outbox.enqueue(recordOf('b'));
  await outbox.drained();
  expect(rig().storedTexts()).toEqual(['a', 'b']);
  disk.let();
});

test('notes alone ask nothing of the disk, and are there for the next process', async () => {
  const disk = slowDisk();
  const outbox = rig().start({ syncFile: disk.syncFile });
  await outbox.commit({ notes: [{ key: 'k', value: 1 }], certainty: 'process' });
  expect(disk.asked()).toBe(0);
  expect(outbox.note('k')).toBe(1);
  await rig().closeNow(outbox);
  expect(rig().start().note('k')).toBe(1);
});

test('a record that takes the place of another is on disk when it is promised: its number may be known outside', async () => {
  const disk = slowDisk();
  const outbox = rig().start({ syncFile: disk.syncFile });
  await outbox.commit({ records: [recordOf('a', { replaces: 'key' })], certainty: 'process' });
  await outbox.drained();
  expect(disk.asked()).toBe(0);
  expect(rig().storedTexts()).toEqual(['a']);
});

test('what a killed process left in the memory of the system is brought to the disk before it is sent', async () => {
  rig().peer.mode = 'away';
  const first = rig().start();
  await first.commit(lax('a'));
  await rig().closeNow(first);
  rig().peer.mode = 'up';
  const disk = slowDisk();
  const outbox = rig().start({ syncFile: disk.syncFile });
  await rig().clock.settle();
  expect(disk.asked()).toBe(1);
  expect(rig().storedTexts()).toEqual([]);
  disk.let();
  await outbox.drained();
  expect(rig().storedTexts()).toEqual(['a']);
});

test('a disk that does not take it ends the process: it is not tried again, and nothing is sent', async () => {
  const fatal: unknown[] = [];
  let asked = 0;
  const syncFile = async (): Promise<void> => {
    asked += 1;
    throw Object.assign(new Error('i/o error'), { code: 'EIO' });
  };
  const outbox = rig().start({ syncFile, onFatal: (error) => fatal.push(error) });
  await outbox.commit(lax('a'));
  await outbox.commit(lax('b'));
  await rig().clock.settle();
  expect(fatal.map(faultCode)).toEqual(['OUTBOX_SYNC']);
  expect(asked).toBe(1);
  expect(rig().peer.calls).toEqual([]);
  expect(await rig().closeNow(outbox)).toEqual({ undelivered: 2 });
});
