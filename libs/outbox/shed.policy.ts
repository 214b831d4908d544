// Which records give way when the budget is used up, and what is said about them. Pure.
import type { Gap } from './outbox.ts';

/** What the buffer may hold. Records of the highest worth are kept up to twice as much. */
export interface Budget {
  readonly rows: number;
  readonly bytes: number;
}

export interface Usage {
  readonly rows: number;
  readonly bytes: number;
}

/** A record that may be shed. */
export interface Candidate {
  readonly sourceSeq: number;
  readonly lane: string;
  readonly kind: string;
  readonly bytes: number;
}

/** Ranges a gap names at most; a larger hole is told in several gaps. */
const MAX_RANGES = 1000;
/** Shedding goes down to this share of the budget, so that gaps are few and each is worth telling. */
const LOW_WATER = 0.9;

/** Whether something has to give way. */
export const isOver = (usage: Usage, budget: Budget): boolean =>
  usage.rows > budget.rows || usage.bytes > budget.bytes;

/** Whether even essential records have no place any more. */
export const isFull = (usage: Usage, budget: Budget): boolean =>
  usage.rows > 2 * budget.rows || usage.bytes > 2 * budget.bytes;

/** Takes from `candidates` (least worth first, oldest first) until the usage is under the low-water mark. */
export const chooseVictims = (
  usage: Usage,
  budget: Budget,
  candidates: Iterable<Candidate>,
): readonly Candidate[] => {
  const low = { rows: budget.rows * LOW_WATER, bytes: budget.bytes * LOW_WATER };
  const victims: Candidate[] = [];
  let { rows, bytes } = usage;
  for (const candidate of candidates) {
    if (rows <= low.rows && bytes <= low.bytes) break;
    victims.push(candidate);
    rows -= 1;
    bytes -= candidate.bytes;
  }
  return victims;
};

/** A hole in one lane, told with at most {@link MAX_RANGES} ranges. */
interface Hole {
  readonly victims: Candidate[];
  readonly ranges: [number, number][];
}

const holesOf = (victims: readonly Candidate[]): readonly Hole[] => {
  const holes: Hole[] = [];
  let hole: Hole = { victims: [], ranges: [] };
  for (const victim of victims.toSorted((a, b) => a.sourceSeq - b.sourceSeq)) {
    const last = hole.ranges.at(-1);
    const isAdjacent = last !== undefined && last[1] === victim.sourceSeq - 1;
    if (!isAdjacent && hole.ranges.length === MAX_RANGES) hole = { victims: [], ranges: [] };
    if (hole.victims.length === 0) holes.push(hole);
    if (isAdjacent) last[1] = victim.sourceSeq;
    else hole.ranges.push([victim.sourceSeq, victim.sourceSeq]);
    hole.victims.push(victim);
  }
  return holes;
};

const toGap = (lane: string, { victims, ranges }: Hole): Gap => {
  const kinds: Record<string, number> = {};
  for (const { kind } of victims) kinds[kind] = (kinds[kind] ?? 0) + 1;
  return {
    reason: 'budget',
    lane,
    firstSourceSeq: ranges[0]?.[0] ?? 0,
    lastSourceSeq: ranges.at(-1)?.[1] ?? 0,
    dropped: victims.length,
    ranges,
    kinds,
  };
};

/** One gap a lane (more when its hole has many pieces); together they name every number of `victims` exactly once. */
export const gapsOf = (victims: readonly Candidate[]): readonly Gap[] =>
  [...Map.groupBy(victims, ({ lane }) => lane)].flatMap(([lane, all]) =>
    holesOf(all).map((hole) => toGap(lane, hole)),
  );
