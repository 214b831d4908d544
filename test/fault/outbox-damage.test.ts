// A buffer whose files are damaged while its process is dead: whatever can be read is delivered, what may be missing is named in a gap,
// and no number is ever used twice.
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { Enqueued, Gap, Outbox } from '#libs/outbox/outbox.ts';
import { changeParked } from '#libs/outbox/inspect.ts';
import { hasDamagedLog } from '#libs/outbox/log-takeover.ts';
import { createOutboxPeer, recordOf, textOf } from '#test/support/outbox-peer.ts';
import { useOutboxRig } from '#test/support/outbox-rig.ts';
import { fillDisk, smallDisk } from '#test/support/small-disk.ts';
import { oneSeed } from '#test/support/seeds.ts';

const rig = useOutboxRig();
const DAMAGES = 40;
const FILES = ['.sqlite', '.sqlite-wal', '.ceiling.json'];

/** The files as a killed process leaves them, in a folder of their own. */
const copyOfLife = (
  place = tmpdir(),
  files: readonly string[] = FILES,
): { readonly dir: string; readonly path: string } => {
  const dir = mkdtempSync(join(place, 'fleetlog-damage-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const base = rig().path.slice(0, -'.sqlite'.length);
  for (const suffix of files)
    if (existsSync(base + suffix)) copyFileSync(base + suffix, join(dir, basename(base) + suffix));
  return { dir, path: join(dir, basename(rig().path)) };
};

const overwrite = (path: string, at: number, bytes: Buffer): void => {
  const handle = openSync(path, 'r+');
  writeSync(handle, bytes, 0, bytes.byteLength, at);
  closeSync(handle);
};

/** A buffer with undelivered records whose process was killed; gives what was promised. */
const life = async (
  records: number,
): Promise<{ readonly outbox: Outbox; readonly promised: readonly Enqueued[] }> => {
  rig().peer.mode = 'away';
  const outbox = rig().start();
  const promised: Enqueued[] = [];
  for (let at = 0; at < records; at += 1)
    promised.push(await outbox.enqueue(recordOf(`number ${at} ${'x'.repeat(at * 40)}`)));
  return { outbox, promised };
};

/** Opens the copy, enqueues one more and delivers: what arrives, and what gaps name. */
const nextLife = async (dir: string) => {
  const peer = createOutboxPeer();
  const outbox = rig().start({ dir, sender: peer });
  const next = await outbox.enqueue(recordOf('after'));
  await outbox.drained();
  await rig().closeNow(outbox);
  const gaps = peer.stored.flatMap((record) =>
    record.kind === 'gap' ? [JSON.parse(textOf(record)) as Gap] : [],
  );
  const isNamed = (number: number): boolean =>
    gaps.some(({ ranges }) => ranges.some(([first, last]) => first <= number && number <= last));
  return { next, gaps, isNamed, stored: new Set(peer.stored.map(({ id }) => id)) };
};

test('a log that is whole is no alarm, whatever a killed process left of it', async () => {
  const { promised } = await life(30);
  const copy = copyOfLife();
  expect(hasDamagedLog(copy.path, rig().clock.now())).toBe(false);
  const { gaps, stored, next } = await nextLife(copy.dir);
  expect(gaps).toEqual([]);
  expect(promised.filter(({ id }) => !stored.has(id))).toEqual([]);
  expect(next.sourceSeq).toBe(31);
});

test('it is opened on a disk that is full by now, and goes on when there is room', async ({ skip }) => {
  const { promised } = await life(30);
  const disk = smallDisk(16) ?? skip('a small file system cannot be mounted here');
  const { dir } = copyOfLife(disk, [...FILES, '.sqlite-shm', '.lock', '.lock-journal', '.holder.json']);
  fillDisk(join(dir, 'fill'));
  const outbox = rig().start({ dir });
  expect(outbox.status()).toMatchObject({ pending: 30 });
  await rig().closeNow(outbox);
  rmSync(join(dir, 'fill'));
  const { gaps, stored } = await nextLife(dir);
  expect(gaps).toEqual([]);
  expect(promised.filter(({ id }) => !stored.has(id))).toEqual([]);
});

test(`a write-ahead log that is damaged anywhere (${DAMAGES} places) costs what is named in a gap, and no number is used twice`, async () => {
  const random = createSeededIds(oneSeed(5), createManualClock());
  const { promised } = await life(30);
  let damaged = 0;
  for (let round = 0; round < DAMAGES; round += 1) {
    const copy = copyOfLife();
    const log = `${copy.path}-wal`;
    const size = statSync(log).size;
    const at = Math.floor(random.random() * (size - 600));
    const bytes = round % 2 === 0 ? Buffer.alloc(600) : Buffer.alloc(600, 0x5a);
    if (
      readFileSync(log)
        .subarray(at, at + 600)
        .equals(bytes)
    )
      continue;
    overwrite(log, at, bytes);
    const { next, isNamed, stored } = await nextLife(copy.dir);
    const lost = promised.filter(({ id, sourceSeq }) => !stored.has(id) && !isNamed(sourceSeq));
    expect(lost, `${size - at} bytes before the end`).toEqual([]);
    expect(next.sourceSeq).toBeGreaterThan(30);
    damaged += 1;
  }
  expect(damaged).toBeGreaterThan(DAMAGES / 2);
});

test('a person who wants a refused record back does not hide that the log is damaged', async () => {
  await life(30);
  const { dir, path } = copyOfLife();
  overwrite(`${path}-wal`, statSync(`${path}-wal`).size - 3000, Buffer.alloc(600, 0x5a));
  const base = path.slice(0, -'.sqlite'.length);
  const retry = { kind: 'retry', sourceSeqs: [1] } as const;
  expect(() => changeParked(base, retry, rig().clock.now())).toThrow(/damaged; start its runner once/);
  const { gaps } = await nextLife(dir);
  expect(gaps).toMatchObject([{ reason: 'lost' }]);
  expect(changeParked(base, retry, rig().clock.now())).toEqual([]);
});

test('a file that is cut off is moved aside or read as far as it goes, and a gap says which numbers may be missing', async () => {
  const { outbox, promised } = await life(30);
  await rig().closeNow(outbox);
  const copy = copyOfLife();
  truncateSync(copy.path, Math.floor(statSync(copy.path).size * 0.6));
  const { next, isNamed, stored } = await nextLife(copy.dir);
  expect(promised.filter(({ id, sourceSeq }) => !stored.has(id) && !isNamed(sourceSeq))).toEqual([]);
  expect(next.sourceSeq).toBeGreaterThan(30);
});
