// What the numbers of a runner's reports say: the value of bucket `sources`. Its fold is services/audit/source.view.ts.
import { z } from 'zod';

const epochMs = z.int().nonnegative();
const seq = z.int().positive();

/** Numbers, as an inclusive range. */
const numberRange = z.tuple([z.int().positive(), z.int().positive()]);

/** One numbering of a runner's reports: it lasts until the runner loses its buffer together with every memory of its numbers. */
const numberingSchema = z.object({
  /** The buffer it began with; empty: reports that name none. */
  buffer: z.string(),
  /** Buffers that went on with it, newest last, `buffer` among them while there is room. */
  buffers: z.array(z.string()),
  highSeq: z.int().nonnegative(),
  /** Numbers that have not come and that no gap report names, ascending. */
  missing: z.array(
    z.object({
      range: numberRange,
      /** The entry that jumped over them, and when it was stored. */
      seenSeq: seq,
      seenAt: epochMs,
      /** The alarm that tells of them. */
      alarmSeq: seq.nullable(),
      /** They are the very first numbers: the stream may have had them and forgotten. */
      isHead: z.boolean(),
    }),
  ),
  /** Numbers that a gap report names, ascending. */
  named: z.array(numberRange),
  /** Below this number it is no longer known what has come: nothing is called repeated. */
  unjudgedBelow: z.int().nonnegative(),
  /** Repeated reports that no alarm tells of yet. */
  repeated: z
    .object({ range: numberRange, reports: z.int().positive(), seenSeq: seq, seenAt: epochMs })
    .nullable(),
  /** Numbers of an alarm that are no longer missing, and of which this has not been told yet. */
  cleared: z.array(numberRange),
});
export type NumberingView = z.infer<typeof numberingSchema>;

/** Bucket `sources`, folded from the numbers of the reports of EVENTS, one key per runner: what of it is missing or came twice. */
export const sourceViewSchema = z.object({
  seq,
  tenant: z.string(),
  project: z.string(),
  agent: z.string(),
  reports: z.int().nonnegative(),
  lastReportAt: epochMs,
  /** How many came more than once, ever. */
  repeated: z.int().nonnegative(),
  /** Missing reports that are no longer listed, because there were too many holes or too many buffers. */
  unlisted: z.int().nonnegative(),
  /** Newest last. */
  numberings: z.array(numberingSchema),
  /** The last alarm and the last clearing; 0: none. */
  alarmSeq: z.int().nonnegative(),
  alarmAt: z.int().nonnegative(),
  clearedSeq: z.int().nonnegative(),
});
export type SourceView = z.infer<typeof sourceViewSchema>;
