// Reads the write-ahead log of a buffer, and its index, as far as it takes to say whether the log is damaged (wal-damage.policy.ts). Reads only;
// understands the file format, which is fixed (sqlite.org/fileformat2.html, "The Write-Ahead Log").
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { uptime } from 'node:os';
import { Checksum, viewOf } from './wal-checksum.policy.ts';
import { INDEX_BYTES, readIndex, type IndexReading, type LogReading } from './wal-damage.policy.ts';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC_LITTLE_ENDIAN = 0x377f0682;
const MAGIC_BIG_ENDIAN = 0x377f0683;

/** Reads `bytes` full from `position`; false at the end of the file. */
const readFull = (handle: number, bytes: Buffer, position: number): boolean =>
  readSync(handle, bytes, 0, bytes.byteLength, position) === bytes.byteLength;

/** The log is used in rounds, each from its beginning, and each adds 1 to the first salt; other places cannot be in a log that is whole. */
const MOST_ROUNDS = 1_000_000;
const isOfEarlierRound = (salts: Buffer, other: Buffer): boolean => {
  const age = (salts.readUInt32BE(0) - other.readUInt32BE(0)) >>> 0;
  return age > 0 && age < MOST_ROUNDS;
};

const ZEROS = Buffer.alloc(64 * 1024);

/** Whether nothing was ever written from `position` on: the log was given more room than it has used (log-room.ts). */
const isBlankFrom = (handle: number, position: number): boolean => {
  const piece = Buffer.alloc(ZEROS.byteLength);
  for (let at = position, read = 1; read > 0; at += read) {
    read = readSync(handle, piece, 0, piece.byteLength, at);
    if (!piece.subarray(0, read).equals(ZEROS.subarray(0, read))) return false;
  }
  return true;
};

/** What the system writes of a file at once: a process that is killed in a write leaves it cut off there, and nowhere else. */
const SYSTEM_PAGE_BYTES = 4096;

/**
 * Whether the frame at `at` is one that a killed process had begun to write into room that was never used: its header alone, or as much of it as
 * reaches to the end of a page of the system, and nothing behind it. It was not promised.
 */
const isCutOff = (handle: number, at: number, frameBytes: number): boolean => {
  const lastEnd = Math.floor((at + frameBytes - 1) / SYSTEM_PAGE_BYTES) * SYSTEM_PAGE_BYTES;
  const end = at + frameBytes;
  const cut = Math.max(at + FRAME_HEADER_BYTES, lastEnd);
  return fstatSync(handle).size > end && cut < end && isBlankFrom(handle, cut);
};

/** Whether what stands at `at` in place of a readable frame is odd. `salts`: of the log; `frame`: what stands there. */
const isOdd = (handle: number, at: number, salts: Buffer, frame: Buffer): boolean => {
  const other = frame.subarray(8, 16);
  const isOld = !other.equals(salts) && isOfEarlierRound(salts, other);
  return !isOld && !isCutOff(handle, at, frame.byteLength);
};

const scanFrames = (handle: number, header: Buffer, sum: Checksum): LogReading => {
  const salts = header.subarray(16, 24);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + header.readUInt32BE(8));
  const fields = viewOf(frame);
  let frames = 0;
  let committed = { committedFrames: 0, committedSums: sum.sums };
  for (let at = HEADER_BYTES; readFull(handle, frame, at); at += frame.byteLength) {
    const isOurs = frame.subarray(8, 16).equals(salts);
    if (isOurs) {
      sum.add(viewOf(frame, 0, 8));
      sum.add(viewOf(frame, FRAME_HEADER_BYTES));
    }
    if (!isOurs || !sum.isAt(fields, 16))
      return { salts, ...committed, isEndOdd: isOdd(handle, at, salts, frame) };
    frames += 1;
    // Where a commit ends, the frame has the size of the database.
    if (fields.getUint32(4) !== 0) committed = { committedFrames: frames, committedSums: sum.sums };
  }
  return { salts, ...committed, isEndOdd: false };
};

const scan = (handle: number): LogReading | 'odd' | undefined => {
  const header = Buffer.alloc(HEADER_BYTES);
  if (!readFull(handle, header, 0)) return undefined;
  const magic = header.readUInt32BE(0);
  if (magic !== MAGIC_LITTLE_ENDIAN && magic !== MAGIC_BIG_ENDIAN) return 'odd';
  const sum = new Checksum(magic === MAGIC_LITTLE_ENDIAN);
  sum.add(viewOf(header, 0, 24));
  return sum.isAt(viewOf(header), 24) ? scanFrames(handle, header, sum) : 'odd';
};

const withFile = <T>(path: string, read: (handle: number) => T): T | undefined => {
  if (!existsSync(path)) return undefined;
  const handle = openSync(path, 'r');
  try {
    return read(handle);
  } finally {
    closeSync(handle);
  }
};

/** Undefined: there is none, or it has no header yet; `odd`: it has one that cannot be read. */
export const readLog = (path: string): LogReading | 'odd' | undefined => withFile(`${path}-wal`, scan);

/** Whether a file was written in this life of the machine. `now`: the time of day in ms, which has no parts. */
export const isOfThisBoot = (writtenAtMs: number, now: number): boolean =>
  Math.floor(writtenAtMs) <= now && writtenAtMs >= now - uptime() * 1000;

/**
 * The index is never synced, but whatever its process wrote is in it for as long as the machine runs. The first process to open it cuts it off, so
 * its time says in which life of the machine it was written; one of an earlier life may be behind the log, and one of later than `now` says nothing.
 */
const indexOfThisBoot = (handle: number, now: number): IndexReading | undefined => {
  if (!isOfThisBoot(fstatSync(handle).mtimeMs, now)) return undefined;
  const bytes = Buffer.alloc(INDEX_BYTES);
  return readFull(handle, bytes, 0) ? readIndex(bytes) : undefined;
};

/** What the index of the database at `path` says. To be asked before the database is opened, which makes it anew. `now`: the time of day in ms. */
export const readIndexOf = (path: string, now: number): IndexReading | undefined =>
  withFile(`${path}-shm`, (handle) => indexOfThisBoot(handle, now));
