// Looks whether the write-ahead log of a buffer is damaged. SQLite reads such a log up to the last good transaction and says
// nothing: records that were promised would be gone, and their numbers used again. Reads only; understands the file format, which
// is fixed (sqlite.org/fileformat2.html, "The Write-Ahead Log").
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC_LITTLE_ENDIAN = 0x377f0682;
const MAGIC_BIG_ENDIAN = 0x377f0683;

/** The running checksum of a log: two words, over words in the order that its magic number names. */
class Checksum {
  readonly #isLittleEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(isLittleEndian: boolean) {
    this.#isLittleEndian = isLittleEndian;
  }

  add(bytes: DataView): void {
    let first = this.#first;
    let second = this.#second;
    for (let at = 0; at + 8 <= bytes.byteLength; at += 8) {
      first = (first + bytes.getUint32(at, this.#isLittleEndian) + second) >>> 0;
      second = (second + bytes.getUint32(at + 4, this.#isLittleEndian) + first) >>> 0;
    }
    this.#first = first;
    this.#second = second;
  }

  /** Whether the two words at `at` are this sum; they are stored big-endian always. */
  isAt(bytes: DataView, at: number): boolean {
    return bytes.getUint32(at) === this.#first && bytes.getUint32(at + 4) === this.#second;
  }
}

const viewOf = (bytes: Buffer, from = 0, length = bytes.byteLength - from): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset + from, length);

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

const scan = (handle: number): boolean => {
  const header = Buffer.alloc(HEADER_BYTES);
  if (!readFull(handle, header, 0)) return false;
  const fields = viewOf(header);
  const magic = fields.getUint32(0);
  if (magic !== MAGIC_LITTLE_ENDIAN && magic !== MAGIC_BIG_ENDIAN) return true;
  const sum = new Checksum(magic === MAGIC_LITTLE_ENDIAN);
  sum.add(viewOf(header, 0, 24));
  if (!sum.isAt(fields, 24)) return true;
  const salts = header.subarray(16, 24);
  const frame = Buffer.alloc(FRAME_HEADER_BYTES + fields.getUint32(8));
  const frameFields = viewOf(frame);
  for (let at = HEADER_BYTES; readFull(handle, frame, at); at += frame.byteLength) {
    const other = frame.subarray(8, 16);
    if (!other.equals(salts))
      return !isOfEarlierRound(salts, other) && !isCutOff(handle, at, frame.byteLength);
    sum.add(viewOf(frame, 0, 8));
    sum.add(viewOf(frame, FRAME_HEADER_BYTES));
    if (!sum.isAt(frameFields, 16)) return !isCutOff(handle, at, frame.byteLength);
  }
  return false;
};

/**
 * Whether the log of the database at `path` has a part that belongs to it and cannot be read: transactions may be lost that had been
 * promised. Also true when a power cut tore a transaction that had not: the two look alike. Call it before the database is opened.
 */
export const hasDamagedLog = (path: string): boolean => {
  const log = `${path}-wal`;
  if (!existsSync(log)) return false;
  const handle = openSync(log, 'r');
  try {
    return scan(handle);
  } finally {
    closeSync(handle);
  }
};
