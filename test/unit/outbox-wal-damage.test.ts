// The write-ahead log of a buffer whose process was killed, in a round of the log behind which an earlier one still stands: a commit that was not
// finished is no damage, and one that was finished and is not there any more always is.
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { assert, constantFrom, integer, property } from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkLog, emptyLog, forgetFound, hasDamagedLog } from '#libs/outbox/log-takeover.ts';
import { isDamaged, readIndex, type IndexReading, type LogReading } from '#libs/outbox/wal-damage.policy.ts';
import { systemClock } from '#libs/system/clock.ts';

const FRAME_HEADER = 24;
const FRAME_BYTES = FRAME_HEADER + 4096;
const frameAt = (frame: number): number => 32 + frame * FRAME_BYTES;

interface Files {
  readonly log: Buffer;
  readonly index: Buffer;
}

let dir: string;
let database: DatabaseSync;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetlog-wal-'));
  database = new DatabaseSync(join(dir, 'live'));
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0');
  database.exec('CREATE TABLE record (source_seq INTEGER PRIMARY KEY, body TEXT)');
});
afterEach(() => {
  database.close();
  rmSync(dir, { recursive: true });
});

/** One commit. */
const write = (bytes: number): unknown =>
  database.prepare("INSERT INTO record (body) VALUES (printf('%.*c', ?, 'x'))").run(bytes);

/** The files as a process leaves them that is killed now. */
const files = (): Files => ({
  log: readFileSync(join(dir, 'live-wal')),
  index: readFileSync(join(dir, 'live-shm')),
});

/** Number of the frame behind the last committed one. */
const endOf = ({ index }: Files): number => readIndex(index)?.committedFrames ?? 0;

/** A log in its second round, before and after its last commit: some frames of the round before stand behind. */
const secondRound = (lastBytes: number): { readonly before: Files; readonly after: Files } => {
  for (let at = 0; at < 20; at += 1) write(3000 + at * 100);
  database.exec('PRAGMA wal_checkpoint(RESTART)');
  for (let at = 0; at < 3; at += 1) write(500);
  const before = files();
  write(lastBytes);
  const after = files();
  expect(after.log.byteLength).toBe(before.log.byteLength);
  expect(after.log.byteLength).toBeGreaterThan(frameAt(endOf(after) + 2));
  return { before, after };
};

const LONG_AGO_MS = 40 * 365 * 86_400_000;

/** What the next process says of these files. `index` undefined: there is none; it was written `agoMs` ago. */
const isCalledDamaged = (log: Buffer, index: Buffer | undefined, agoMs = 0): boolean => {
  const now = systemClock.now();
  const writtenAt = (now - agoMs) / 1000;
  const path = join(dir, 'dead');
  writeFileSync(`${path}-wal`, log);
  rmSync(`${path}-shm`, { force: true });
  if (index !== undefined) {
    writeFileSync(`${path}-shm`, index);
    utimesSync(`${path}-shm`, writtenAt, writtenAt);
  }
  return hasDamagedLog(path, now);
};

/** `before` with as much of the next commit as a process had written when it was killed. */
const cutOff = (before: Files, after: Files, writtenTo: number): Buffer => {
  const from = frameAt(endOf(before));
  const log = Buffer.from(before.log);
  after.log.copy(log, from, from, writtenTo);
  return log;
};

test.each([10, 20_000])(
  'a commit (%i bytes) that a kill cut off anywhere over frames of the round before is no damage',
  (bytes) => {
    const { before, after } = secondRound(bytes);
    const [from, to] = [frameAt(endOf(before)), frameAt(endOf(after))];
    for (let writtenTo = from; writtenTo <= to; writtenTo += 8)
      if ((writtenTo - from) % 512 === 0 || (writtenTo - from) % FRAME_BYTES < 40)
        expect(isCalledDamaged(cutOff(before, after, writtenTo), before.index), `${writtenTo}`).toBe(false);
    expect(isCalledDamaged(after.log, before.index)).toBe(false);
  },
);

test('SQLite reads such a log up to the commit before', () => {
  const { before, after } = secondRound(10);
  database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  copyFileSync(join(dir, 'live'), join(dir, 'dead'));
  const written = frameAt(endOf(before)) + FRAME_HEADER;
  expect(isCalledDamaged(cutOff(before, after, written), before.index)).toBe(false);
  const dead = new DatabaseSync(join(dir, 'dead'));
  expect(dead.prepare('SELECT count(*) AS records FROM record').get()).toEqual({ records: 23 });
  dead.close();
});

test('the same bytes are damage once that commit was noted in the index', () => {
  const { before, after } = secondRound(10);
  const [from, to] = [frameAt(endOf(before)), frameAt(endOf(after))];
  for (let writtenTo = from; writtenTo < to - 512; writtenTo += 256)
    expect(isCalledDamaged(cutOff(before, after, writtenTo), after.index), `${writtenTo}`).toBe(true);
});

test('without an index, and with one from before the machine was started or from the future, it counts as damage', () => {
  const { before, after } = secondRound(10);
  const log = cutOff(before, after, frameAt(endOf(before)) + FRAME_HEADER);
  expect(isCalledDamaged(log, undefined)).toBe(true);
  expect(isCalledDamaged(log, before.index, LONG_AGO_MS)).toBe(true);
  expect(isCalledDamaged(log, before.index, -60_000)).toBe(true);
});

test('an index that was made from a damaged log does not hide the damage', () => {
  const { after } = secondRound(10);
  const log = Buffer.from(after.log).fill(0x5a, frameAt(endOf(after)) - 600, frameAt(endOf(after)) - 300);
  copyFileSync(join(dir, 'live'), join(dir, 'dead'));
  expect(isCalledDamaged(log, after.index)).toBe(true);
  const next = new DatabaseSync(join(dir, 'dead'));
  next.prepare('SELECT count(*) FROM record').get();
  const made = readFileSync(join(dir, 'dead-shm'));
  next.close();
  expect(readIndex(made)).toMatchObject({ commits: 0, committedFrames: endOf(after) - 1 });
  expect(isCalledDamaged(log, made)).toBe(true);
});

test('whatever is changed in what was committed is damage', () => {
  const { after } = secondRound(10);
  const committed = frameAt(endOf(after));
  assert(
    property(
      integer({ min: 0, max: committed - 1 }),
      integer({ min: 1, max: 9000 }),
      constantFrom(0, 0x5a, 'old' as const),
      (at, bytes, value) => {
        const to = Math.min(at + bytes, committed);
        const log = Buffer.from(after.log);
        if (value === 'old') log.copyWithin(at, committed, committed + (to - at));
        else log.fill(value, at, to);
        expect(isCalledDamaged(log, after.index)).toBe(!log.equals(after.log));
      },
    ),
    { numRuns: 200 },
  );
});

/** Files of the dead database: what the process that takes them over finds, and what it leaves when it is killed in turn. */
const dead = (suffix: string): string => join(dir, `dead${suffix}`);
const SUFFIXES = ['', '-wal', '-shm', '.log-found.json'];
const killed = (suffix: string): Buffer | undefined =>
  existsSync(dead(suffix)) ? readFileSync(dead(suffix)) : undefined;

/** What the process after the next says, if the next one is killed now. `without`: files that it does not find. */
const isCalledDamagedNow = (without: readonly string[] = []): boolean => {
  for (const suffix of SUFFIXES) {
    const bytes = without.includes(suffix) ? undefined : killed(suffix);
    if (bytes === undefined) rmSync(join(dir, `later${suffix}`), { force: true });
    else writeFileSync(join(dir, `later${suffix}`), bytes);
  }
  return hasDamagedLog(join(dir, 'later'), systemClock.now());
};

/** The files of a dead process, and what its successor finds; it opens the database when it is asked to. */
const takeOver = (
  log: Buffer,
  index: Buffer,
): { readonly found: string; readonly open: () => DatabaseSync } => {
  copyFileSync(join(dir, 'live'), dead(''));
  writeFileSync(dead('-wal'), log);
  writeFileSync(dead('-shm'), index);
  return {
    found: checkLog(dead(''), systemClock.now()),
    open: () => {
      const next = new DatabaseSync(dead(''));
      next.exec('PRAGMA wal_autocheckpoint = 0');
      next.prepare('SELECT count(*) FROM record').get();
      return next;
    },
  };
};

test('a process that is killed while it takes over an unfinished commit leaves nothing that looks like damage', () => {
  const { before, after } = secondRound(10);
  const { found, open } = takeOver(
    cutOff(before, after, frameAt(endOf(before)) + FRAME_HEADER),
    before.index,
  );
  expect(found).toBe('whole');
  expect(isCalledDamagedNow()).toBe(false);
  const next = open();
  expect(readIndex(readFileSync(dead('-shm')))).toMatchObject({ commits: 0 });
  // The index says nothing any more.
  expect(isCalledDamagedNow(['.log-found.json'])).toBe(true);
  expect(isCalledDamagedNow()).toBe(false);
  emptyLog(next, dead(''));
  expect(killed('-wal')).toHaveLength(0);
  expect(isCalledDamagedNow()).toBe(false);
  next.close();
});

test.each([10, 20_000])('and neither does its first commit (%i bytes), cut off anywhere', (bytes) => {
  const { before, after } = secondRound(10);
  const { open } = takeOver(cutOff(before, after, frameAt(endOf(before)) + FRAME_HEADER), before.index);
  const next = open();
  emptyLog(next, dead(''));
  const index = readFileSync(dead('-shm'));
  next.prepare("INSERT INTO record (body) VALUES (printf('%.*c', ?, 'x'))").run(bytes);
  const log = readFileSync(dead('-wal'));
  next.close();
  for (let size = 32; size <= log.byteLength; size += 8)
    if (size % 512 === 0 || (size - 32) % FRAME_BYTES < 40)
      expect(isCalledDamaged(log.subarray(0, size), index), `${size}`).toBe(false);
});

test('a damage that only the index told of is not forgotten when its finder is killed', () => {
  const { before, after } = secondRound(10);
  const { found, open } = takeOver(before.log.subarray(0, frameAt(endOf(before))), after.index);
  expect(found).toBe('damaged');
  const next = open();
  expect(isCalledDamagedNow(['.log-found.json'])).toBe(false);
  expect(isCalledDamagedNow()).toBe(true);
  forgetFound(dead(''));
  expect(isCalledDamagedNow()).toBe(false);
  next.close();
});

const salts = Buffer.from('12345678');
const log: LogReading = { salts, committedFrames: 7, committedSums: [1, 2], isEndOdd: true };
const index: IndexReading = { salts, commits: 3, committedFrames: 7, committedSums: [1, 2] };

test.each([
  ['an odd end behind all that was committed', {}, {}, false],
  ['an odd end, and nobody to ask', {}, undefined, true],
  ['an odd end, and an index made from the log', {}, { commits: 0 }, true],
  ['an odd end, and an index of another round', {}, { salts: Buffer.from('12345679') }, true],
  ['an odd end behind a commit that the index does not know', { committedFrames: 8 }, {}, true],
  ['an odd end behind another commit than the last', {}, { committedSums: [1, 3] }, true],
  [
    'an odd end in the first commit of a round',
    { committedFrames: 0 },
    { committedFrames: 0, committedSums: [8, 9] },
    false,
  ],
  ['an end as it should be, and nobody to ask', { isEndOdd: false }, undefined, false],
  ['an end as it should be, and a commit is missing', { isEndOdd: false }, { committedFrames: 8 }, true],
  [
    'an end as it should be, and an index that was not written any more',
    { isEndOdd: false },
    { committedFrames: 6 },
    false,
  ],
] as const)('%s', (_what, ofLog, ofIndex, expected) => {
  const asked = ofIndex === undefined ? undefined : { ...index, ...ofIndex };
  expect(isDamaged({ ...log, ...ofLog }, { index: asked, whole: undefined })).toBe(expected);
});

test.each([
  ['an odd end behind all that there was', {}, false],
  ['more than there was', { committedFrames: 8, committedSums: [3, 4] }, false],
  ['less than there was', { committedFrames: 6, isEndOdd: false }, true],
  ['something else than there was', { committedSums: [1, 3], isEndOdd: false }, true],
  ['an odd end, of another round', { salts: Buffer.from('12345679') }, true],
] as const)('of a log that was found whole: %s', (_what, ofLog, expected) => {
  const made = { ...index, commits: 0 };
  expect(isDamaged({ ...log, ...ofLog }, { index: made, whole: log })).toBe(expected);
});

test('an index is read when its two headers are the same and their checksum is right', () => {
  write(10);
  const { index: bytes } = files();
  expect(readIndex(bytes)).toMatchObject({ commits: 2 });
  for (let at = 0; at < 96; at += 1) {
    const other = Buffer.from(bytes);
    other.writeUInt8(other.readUInt8(at) ^ 0x10, at);
    expect(readIndex(other)).toBeUndefined();
    other.copy(other, (at + 48) % 96, at, at + 1);
    expect(readIndex(other)).toBeUndefined();
  }
  expect(readIndex(bytes.subarray(0, 95))).toBeUndefined();
});
