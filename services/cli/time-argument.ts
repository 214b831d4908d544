// Reads what a person gives as a point in a stream: a sequence, a time, or how long ago. Pure.
import { Fault } from '#libs/kernel/fault.ts';

/** A point in a stream. */
export type Point = { readonly seq: number } | { readonly atMs: number };

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * `1200` is a sequence, `2026-11-21T07:00:00Z` a time (without a zone: local time), `10m` or `2h` how long before `nowMs`.
 * Fault: `ARGUMENT_INVALID` (never).
 */
export const parsePoint = (
  flag: string,
  text: string,
  nowMs: number,
  parseTime: (text: string) => number,
): Point => {
  if (/^\d+$/.test(text)) return { seq: Number(text) };
  const ago = /^-?(\d+(?:\.\d+)?)([smhd])$/.exec(text);
  if (ago?.[1] !== undefined && ago[2] !== undefined)
    return { atMs: nowMs - Number(ago[1]) * (UNIT_MS[ago[2]] ?? 0) };
  const atMs = /^\d{4}-\d\d-\d\d/.test(text) ? parseTime(text) : Number.NaN;
  if (Number.isFinite(atMs)) return { atMs };
  throw new Fault({
    code: 'ARGUMENT_INVALID',
    retry: 'never',
    message: `${flag} ${JSON.stringify(text)}: expected a sequence (1200), a time (2026-11-21T07:00:00Z) or how long ago (10m, 2h, 1d)`,
  });
};
