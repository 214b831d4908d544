// Whether a write-ahead log lacks something that was committed. The log alone cannot tell a frame that a killed process had begun to write from
// one that was committed and is damaged now: the header is there, and behind it stands what an earlier round of the log left. The index of the log
// (`-shm`) can: SQLite writes into it, after the frames of each commit, how many frames are committed and the checksum of the last
// (sqlite.org/walformat.html, "The WAL-Index Header"; the log: sqlite.org/fileformat2.html, "The Write-Ahead Log"). Pure.
import { Checksum, viewOf } from './wal-checksum.policy.ts';

/** What can be read of a log: the frames from its beginning whose salts and checksums are right. */
export interface LogReading {
  /** 8 bytes that name the round of the log. */
  readonly salts: Buffer;
  /** Readable frames up to the last that ends a commit, this one included. */
  readonly committedFrames: number;
  /** The running checksum at that frame. */
  readonly committedSums: readonly [number, number];
  /** Behind the readable frames is something that no earlier round and no unused room explains. */
  readonly isEndOdd: boolean;
}

/** A log that was found whole, while nobody has promised anything that is in it since. */
export type WholeLog = Pick<LogReading, 'salts' | 'committedFrames' | 'committedSums'>;

/** What the index says of the log. */
export interface IndexReading {
  readonly salts: Buffer;
  /** Commits since it was made. 0: it was made from what could be read of the log, and nobody has committed since. */
  readonly commits: number;
  readonly committedFrames: number;
  readonly committedSums: readonly [number, number];
}

const COPY_BYTES = 48;
/** The bytes of an index that {@link readIndex} wants: its header, which is there twice. */
export const INDEX_BYTES = 2 * COPY_BYTES;
const VERSION = 3_007_000;

/** Undefined: a commit was being noted when its process died, or it is no index. */
export const readIndex = (bytes: Buffer): IndexReading | undefined => {
  const first = bytes.subarray(0, COPY_BYTES);
  if (bytes.byteLength < INDEX_BYTES || !first.equals(bytes.subarray(COPY_BYTES, INDEX_BYTES)))
    return undefined;
  const words = viewOf(first);
  // It is in the byte order of the machine, the salts in that of the log.
  const isLittleEndian = words.getUint32(0, true) === VERSION;
  if (words.getUint32(0, isLittleEndian) !== VERSION || words.getUint8(12) !== 1) return undefined;
  const sum = new Checksum(isLittleEndian);
  sum.add(viewOf(first, 0, 40));
  if (!sum.isAt(words, 40, isLittleEndian)) return undefined;
  return {
    commits: words.getUint32(8, isLittleEndian),
    committedFrames: words.getUint32(16, isLittleEndian),
    committedSums: [words.getUint32(24, isLittleEndian), words.getUint32(28, isLittleEndian)],
    salts: first.subarray(32, 40),
  };
};

type Commits = Pick<LogReading, 'committedFrames' | 'committedSums'>;

const isSame = (log: Commits, known: Commits): boolean =>
  log.committedFrames === known.committedFrames &&
  // At the beginning of a round the index still has the sums of the round before.
  (known.committedFrames === 0 ||
    (log.committedSums[0] === known.committedSums[0] && log.committedSums[1] === known.committedSums[1]));

/** Whether all that the log had when it was found whole is there; undefined: it was another round. */
const hasKept = (log: LogReading, whole: WholeLog): boolean | undefined =>
  whole.salts.equals(log.salts)
    ? log.committedFrames > whole.committedFrames || isSame(log, whole)
    : undefined;

/** What else is known of a log, besides what can be read of it. */
export interface LogWitnesses {
  /** Of the process that wrote the log, as it was when it died; undefined when that is not sure (the machine was started since). */
  readonly index: IndexReading | undefined;
  /** What a process had found that took the log over and died before it had promised anything; undefined: there was none, or it is not sure. */
  readonly whole: WholeLog | undefined;
}

/**
 * Whether something committed is missing. Where nobody can say, because there is no witness of this round or the index was made from the log
 * itself, what looks odd counts as damage.
 */
export const isDamaged = (log: LogReading, { index, whole }: LogWitnesses): boolean => {
  const isKept = whole && hasKept(log, whole);
  if (isKept !== undefined) return !isKept;
  if (index === undefined || index.commits === 0 || !index.salts.equals(log.salts)) return log.isEndOdd;
  if (index.committedFrames > log.committedFrames) return true;
  return !isSame(log, index) && log.isEndOdd;
};
