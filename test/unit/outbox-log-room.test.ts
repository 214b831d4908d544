// The write-ahead log of a buffer that is used has its size: nothing behind what was written counts, and damage in it is still seen. And what is
// kept in memory of the records that wait is what the file has.
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { array, assert, constantFrom, property } from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import type { BufferedRecord } from '#libs/outbox/outbox.ts';
import { RecentRecords } from '#libs/outbox/recent-records.ts';
import { hasDamagedLog } from '#libs/outbox/log-takeover.ts';
import { recordOf } from '#test/support/outbox-peer.ts';
import { useOutboxRig } from '#test/support/outbox-rig.ts';

const rig = useOutboxRig();
const RECORDS = 64;
const MIB = 1024 * 1024;

/** The files as a killed process leaves them. */
const copyOfFiles = (): { readonly dir: string; readonly log: string; readonly path: string } => {
  const dir = mkdtempSync(join(tmpdir(), 'fleetlog-room-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const base = rig().path.slice(0, -'.sqlite'.length);
  for (const suffix of ['.sqlite', '.sqlite-wal', '.ceiling.json'])
    if (existsSync(base + suffix)) copyFileSync(base + suffix, join(dir, basename(base) + suffix));
  const path = join(dir, basename(rig().path));
  return { dir, path, log: `${path}-wal` };
};

/** Records that wait, one commit each. */
const fill = async (): Promise<void> => {
  rig().peer.mode = 'away';
  const outbox = rig().start();
  expect(statSync(`${rig().path}-wal`).size).toBeLessThan(MIB);
  for (let at = 0; at < RECORDS; at += 1) await outbox.enqueue(recordOf(`${at} ${'x'.repeat(16_000)}`));
};

test('a log that is used is given its size, and is whole for the process after a crash', async () => {
  await fill();
  expect(statSync(`${rig().path}-wal`).size).toBeGreaterThan(8 * MIB);
  const { dir, path } = copyOfFiles();
  expect(hasDamagedLog(path, rig().clock.now())).toBe(false);
  rig().peer.mode = 'up';
  const next = rig().start({ dir });
  await next.drained();
  expect(rig().of('lost')).toEqual([]);
  expect(rig().peer.stored.map(({ sourceSeq }) => sourceSeq)).toEqual(
    Array.from({ length: RECORDS }, (_, at) => at + 1),
  );
});

test.each([0, 0x5a])('a piece of it that became %i is damage, though only zeros follow', async (value) => {
  await fill();
  const { log, path } = copyOfFiles();
  const bytes = readFileSync(log);
  const end = bytes.findLastIndex((byte) => byte !== 0);
  bytes.fill(value, end - 4000, end - 3000);
  writeFileSync(log, bytes);
  expect(hasDamagedLog(path, rig().clock.now())).toBe(true);
});

const FRAME_BYTES = 24 + 4096;

test.each([
  ['behind its header', (frame: number) => [frame + 24, frame + FRAME_BYTES], false],
  [
    'at the end of a page of the system',
    (frame: number) => [Math.ceil(frame / 4096) * 4096, frame + FRAME_BYTES],
    false,
  ],
  ['in its middle, with its end there', (frame: number) => [frame + 1000, frame + 2000], true],
] as const)(
  'the last frame, cut off %s: damage only where a kill cuts nothing off',
  async (_where, rangeOf, isDamaged) => {
    await fill();
    const { log, path } = copyOfFiles();
    const bytes = readFileSync(log);
    const end = bytes.findLastIndex((byte) => byte !== 0);
    const [from, to] = rangeOf(32 + FRAME_BYTES * Math.floor((end - 32) / FRAME_BYTES));
    writeFileSync(log, bytes.fill(0, from, to));
    expect(hasDamagedLog(path, rig().clock.now())).toBe(isDamaged);
  },
);

test('what waits is known in memory as it is, or not at all', () => {
  const steps = array(constantFrom('add', 'large', 'shift', 'forget', 'empty'), { maxLength: 200 });
  assert(
    property(steps, (kinds) => {
      const recent = new RecentRecords();
      let waiting: BufferedRecord[] = [];
      recent.empty();
      let isKnown = true;
      for (const [at, kind] of kinds.entries()) {
        if (kind === 'empty') waiting = [];
        if (kind === 'empty') recent.empty();
        if (kind === 'forget') recent.forget();
        if (kind === 'shift') recent.shift(waiting.splice(0, 2).length);
        if (kind === 'add' || kind === 'large') {
          const record = { ...recordOf('a'), sourceSeq: at + 1 } as BufferedRecord;
          waiting.push(record);
          recent.add({ record, bytes: kind === 'large' ? 100_000 : 500 });
        }
        isKnown = recent.all !== undefined;
        if (isKnown) expect(recent.all?.map(({ record }) => record)).toEqual(waiting);
        expect(recent.front(waiting.slice(0, 1)) === undefined).toBe(!isKnown);
        expect(recent.all?.length ?? 0).toBeLessThanOrEqual(64);
      }
    }),
    { numRuns: 100 },
  );
});
