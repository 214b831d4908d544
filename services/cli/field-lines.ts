// One thing as a page for people: a line for each field, under the names that `--json` has too. What is not there is left out.
import { ago, clockText } from './output.ts';

/** `430 ms`, `10.1 s`, `4 min`. */
export const durationText = (ms: number): string => {
  if (ms < 1000) return `${ms} ms`;
  return ms < 120_000 ? `${Number((ms / 1000).toFixed(1))} s` : ago(0, ms);
};

const timeText = (atMs: number, nowMs: number): string => {
  const distance = atMs > nowMs ? `in ${ago(nowMs, atMs)}` : `${ago(atMs, nowMs)} ago`;
  return `${clockText(atMs)}  (${distance})`;
};

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isAbsent = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  value === '' ||
  (typeof value === 'object' && Object.keys(value).length === 0);

const scalarText = (name: string, value: unknown, nowMs: number): string => {
  if (typeof value === 'number' && name.endsWith('At')) return timeText(value, nowMs);
  if (typeof value === 'number' && name.endsWith('Ms')) return durationText(value);
  return String(value);
};

/** Further lines of a value stand under its first one. */
const under = (head: string, indent: number, [first = '', ...rest]: readonly string[]): readonly string[] => [
  head + first,
  ...rest.map((line) => ' '.repeat(indent) + line),
];

const linesOf = (name: string, value: unknown, nowMs: number): readonly string[] => {
  if (isRecord(value)) return fieldLines(value, nowMs);
  if (!Array.isArray(value)) return scalarText(name, value, nowMs).split('\n');
  if (value.every((one) => typeof one !== 'object')) return [value.map(String).join(', ')];
  return value.flatMap((one) => under('- ', 2, linesOf(name, one, nowMs)));
};

/**
 * The lines of a record. Numbers under `…At` are epoch ms and shown as a time of this machine, those under `…Ms` as durations; what is
 * null or empty is left out, as are the fields in `without`.
 */
export const fieldLines = (
  record: Readonly<Record<string, unknown>>,
  nowMs: number,
  without: readonly string[] = [],
): readonly string[] => {
  const shown = Object.entries(record).filter(([name, value]) => !isAbsent(value) && !without.includes(name));
  const width = Math.max(0, ...shown.map(([name]) => name.length)) + 2;
  return shown.flatMap(([name, value]) => under(name.padEnd(width), width, linesOf(name, value, nowMs)));
};
