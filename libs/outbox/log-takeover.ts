// Takes over the write-ahead log that a killed process left. SQLite reads a damaged log up to the last good transaction and says nothing: records
// that were promised would be gone, and their numbers used again. So it is checked before the database is opened; and because opening it makes
// its index anew, by which the next process could tell an unfinished commit from a damage, the log is emptied before anything is promised:
//
// found     checked, and the verdict noted in a small file beside the buffer, for whoever comes if this process dies now
// opened    the index says nothing any more, the note does
// settled   a whole log: what it had is in the database, and the next commit begins an empty one; a damaged log: a gap that says what may be
//           missing is on disk. Either way the note goes, before (whole) or after (damaged) the first commit
import { fstatSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { isDamaged, type LogReading, type WholeLog } from './wal-damage.policy.ts';
import { isOfThisBoot, readIndexOf, readLog } from './wal-tail.ts';

const noteSchema = z.discriminatedUnion('verdict', [
  z.object({
    verdict: z.literal('whole'),
    salts: z.string().regex(/^[0-9a-f]{16}$/),
    committedFrames: z.int().nonnegative(),
    committedSums: z.tuple([z.int(), z.int()]),
  }),
  z.object({ verdict: z.literal('damaged') }),
]);

/** What a process had found that died before it had settled it; undefined: there was none, or it is not sure. */
type Note = WholeLog | 'damaged' | undefined;

const notePath = (path: string): string => `${path}.log-found.json`;

const readNote = (path: string, now: number): Note => {
  try {
    const handle = openSync(notePath(path), 'r');
    try {
      const note = noteSchema.parse(JSON.parse(readFileSync(handle, 'utf8')));
      if (note.verdict === 'damaged') return 'damaged';
      // It is not brought to the disk, nor is its end: one of an earlier life of the machine may be of a log that has been added to.
      if (!isOfThisBoot(fstatSync(handle).mtimeMs, now)) return undefined;
      return { ...note, salts: Buffer.from(note.salts, 'hex') };
    } finally {
      closeSync(handle);
    }
  } catch {
    return undefined;
  }
};

const writeNote = (path: string, note: z.infer<typeof noteSchema>): void =>
  writeFileSync(notePath(path), `${JSON.stringify(note)}\n`, { mode: 0o600 });

/** What was found is settled. */
export const forgetFound = (path: string): void => rmSync(notePath(path), { force: true });

const verdictOn = (path: string, log: LogReading, now: number): boolean => {
  const note = readNote(path, now);
  return note === 'damaged' || isDamaged(log, { index: readIndexOf(path, now), whole: note });
};

/**
 * Whether the log of the database at `path` lacks transactions that had been promised, or has a part that belongs to it and cannot be read. After
 * a start of the machine also true when a power cut tore a transaction that had not been promised: the two look alike. Call it
 * before the database is opened. `now`: the time of day in ms.
 */
export const hasDamagedLog = (path: string, now: number): boolean => {
  const log = readLog(path);
  return log !== undefined && (log === 'odd' || verdictOn(path, log, now));
};

/** The same, noted, for whoever opens the database next and then settles it: {@link emptyLog}, or {@link forgetFound} when a gap is on disk. */
export const checkLog = (path: string, now: number): 'whole' | 'damaged' => {
  const log = readLog(path);
  if (log === undefined) return 'whole';
  if (log === 'odd' || verdictOn(path, log, now)) {
    writeNote(path, { verdict: 'damaged' });
    return 'damaged';
  }
  const { salts, committedFrames, committedSums } = log;
  const [first, second] = committedSums;
  try {
    writeNote(path, {
      verdict: 'whole',
      salts: salts.toString('hex'),
      committedFrames,
      committedSums: [first, second],
    });
  } catch {
    // A full disk must not keep a buffer from being opened and delivered. Without the note, an odd end that a second kill leaves may be
    // taken for damage.
    forgetFound(path);
  }
  return 'whole';
};

/**
 * Settles a log that was whole; to be called before anything is promised. Where it cannot be emptied (full disk, a reader), an odd end of it may be
 * taken for damage until the first commit.
 */
export const emptyLog = (database: DatabaseSync, path: string): void => {
  try {
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } catch {
    // Whatever is wrong with the disk, a commit will say so.
  }
  forgetFound(path);
};
