// One numbering of a runner's reports as a fold: which numbers are missing, which a gap report names, which came twice. Pure.
// Any order is fine (a refused report is overtaken by those of other sessions); each number is missing, named, or has come.
// Memory is bounded: beyond MAX_RANGES holes the oldest are no longer listed, and numbers below them are no longer judged.
import type { NumberingView } from '#streams/source-view.ts';
import {
  added,
  indexHolding,
  removed,
  shared,
  sizeOf,
  without,
  type NumberRange,
} from './number-ranges.view.ts';

type Hole = NumberingView['missing'][number];

/** Holes of one kind that a numbering lists. */
export const MAX_RANGES = 256;
/** Buffers of one numbering that are known by name. */
const MAX_BUFFERS = 8;

/** The entry of EVENTS that carried a number. */
export interface Place {
  readonly seq: number;
  readonly storedAt: number;
}

/** A numbering of which nothing is known yet. */
export const newNumbering = (buffer: string): NumberingView => ({
  buffer,
  buffers: [buffer],
  highSeq: 0,
  missing: [],
  named: [],
  unjudgedBelow: 0,
  repeated: null,
  cleared: [],
});

/** The same numbering, which a new buffer goes on with. */
export const continuedBy = (numbering: NumberingView, buffer: string): NumberingView =>
  numbering.buffers.includes(buffer)
    ? numbering
    : { ...numbering, buffers: [...numbering.buffers, buffer].slice(-MAX_BUFFERS) };

type Ranges = NumberingView['named'];
const asRanges = (ranges: readonly NumberRange[]): Ranges => ranges.map(([first, last]) => [first, last]);

/** Takes a range out of the holes; of those with an alarm it is noted that they are closed. */
const close = (numbering: NumberingView, range: NumberRange): NumberingView => {
  const missing: Hole[] = [];
  let { cleared }: { cleared: readonly NumberRange[] } = numbering;
  for (const hole of numbering.missing) {
    const part = shared(hole.range, range);
    if (part !== undefined && hole.alarmSeq !== null) cleared = added(cleared, part);
    for (const [first, last] of without(hole.range, range)) missing.push({ ...hole, range: [first, last] });
  }
  return { ...numbering, missing, cleared: asRanges(cleared.slice(-MAX_RANGES)) };
};

const repeat = (numbering: NumberingView, number: number, { seq, storedAt }: Place): NumberingView => {
  if (number < numbering.unjudgedBelow) return numbering;
  const { repeated } = numbering;
  if (repeated === null)
    return {
      ...numbering,
      repeated: { range: [number, number], reports: 1, seenSeq: seq, seenAt: storedAt },
    };
  const [first, last] = repeated.range;
  const range: [number, number] = [Math.min(first, number), Math.max(last, number)];
  return { ...numbering, repeated: { ...repeated, range, reports: repeated.reports + 1 } };
};

const jump = (numbering: NumberingView, number: number, place: Place, isFirst: boolean): NumberingView => {
  const { highSeq, missing } = numbering;
  if (number === highSeq + 1) return { ...numbering, highSeq: number };
  const hole: Hole = {
    range: [highSeq + 1, number - 1],
    seenSeq: place.seq,
    seenAt: place.storedAt,
    alarmSeq: null,
    isHead: isFirst,
  };
  return { ...numbering, highSeq: number, missing: [...missing, hole] };
};

/** After a report with this number. `isFirst`: nothing is known of this runner before it. */
export const withNumber = (
  numbering: NumberingView,
  number: number,
  place: Place,
  isFirst: boolean,
): NumberingView => {
  if (number > numbering.highSeq) return jump(numbering, number, place, isFirst);
  const range: NumberRange = [number, number];
  const holes = numbering.missing.map((hole) => hole.range);
  if (indexHolding(holes, number) >= 0) return close(numbering, range);
  // Named as lost, and it came all the same: a publish that the broker stored late.
  if (indexHolding(numbering.named, number) >= 0)
    return { ...numbering, named: asRanges(removed(numbering.named, range)) };
  return repeat(numbering, number, place);
};

/** After a gap report that names these numbers. It may name more than is missing: "at most these". */
export const withNamed = (numbering: NumberingView, ranges: readonly NumberRange[]): NumberingView =>
  ranges.reduce((before, range) => {
    let { named }: { named: readonly NumberRange[] } = before;
    for (const hole of before.missing) {
      const part = shared(hole.range, range);
      if (part !== undefined) named = added(named, part);
    }
    return { ...close(before, range), named: asRanges(named) };
  }, numbering);

/** After an alarm that tells of these numbers. */
export const withAlarm = (
  numbering: NumberingView,
  ranges: readonly NumberRange[],
  alarmSeq: number,
): NumberingView => {
  const missing = ranges.reduce<readonly Hole[]>(
    (holes, range) =>
      holes.flatMap((hole) => {
        const part = shared(hole.range, range);
        if (part === undefined) return [hole];
        const rest = without(hole.range, range).map((piece): Hole => ({ ...hole, range: [...piece] }));
        const told: Hole = { ...hole, range: [...part], alarmSeq };
        return [...rest, told].toSorted((a, b) => a.range[0] - b.range[0]);
      }),
    numbering.missing,
  );
  return { ...numbering, missing: [...missing] };
};

/** After an alarm that tells of this many repeated reports. */
export const withRepeatsTold = (numbering: NumberingView, reports: number): NumberingView => {
  const { repeated } = numbering;
  if (repeated === null || repeated.reports <= reports) return { ...numbering, repeated: null };
  return { ...numbering, repeated: { ...repeated, reports: repeated.reports - reports } };
};

/** After it was told that these are no longer missing. */
export const withClearingTold = (
  numbering: NumberingView,
  ranges: readonly NumberRange[],
): NumberingView => ({
  ...numbering,
  cleared: asRanges(
    ranges.reduce<readonly NumberRange[]>((before, range) => removed(before, range), numbering.cleared),
  ),
});

/** Keeps it within its bounds; `unlisted` is how many missing reports are no longer listed. */
export const trimmed = (
  numbering: NumberingView,
): { readonly numbering: NumberingView; readonly unlisted: number } => {
  const { missing, named, unjudgedBelow } = numbering;
  if (missing.length <= MAX_RANGES && named.length <= MAX_RANGES) return { numbering, unlisted: 0 };
  const goneHoles = missing.slice(0, Math.max(0, missing.length - MAX_RANGES)).map(({ range }) => range);
  const goneNames = named.slice(0, Math.max(0, named.length - MAX_RANGES));
  const top = Math.max(goneHoles.at(-1)?.[1] ?? 0, goneNames.at(-1)?.[1] ?? 0);
  return {
    numbering: {
      ...numbering,
      missing: missing.slice(goneHoles.length),
      named: named.slice(goneNames.length),
      unjudgedBelow: Math.max(unjudgedBelow, top + 1),
    },
    unlisted: sizeOf(goneHoles),
  };
};
