// What a benchmark says: figures with their floor and target, as lines of JSON for programs and as a table for people.
import type { SyncProfile } from '#libs/broker/broker-config.ts';
import { median, type Pairs } from './measure.ts';

/** What has to hold: the ratio to the floor, the difference from it, or the value itself. */
export interface Target {
  readonly of: 'ratio' | 'difference' | 'value';
  readonly is: '>=' | '<=';
  readonly limit: number;
}

/** One figure of one benchmark. Figures without a target are there to explain others. */
export interface Figure {
  readonly bench: string;
  readonly figure: string;
  readonly value: number;
  readonly unit: 'entries/s' | 'ms' | 'MB';
  /** Bare client code doing the same in the same run; null: there is nothing bare to compare with. */
  readonly floor: number | null;
  /** Of value to floor: the median of the ratios round by round, which a slow minute of the machine does not move. */
  readonly ratio: number | null;
  readonly target: Target | null;
  readonly profile: SyncProfile;
  /** Measurements behind value and floor. */
  readonly rounds: number;
  /** Lower and upper quartile of the ratio round by round: how far the noise goes. */
  readonly spread: readonly [number, number] | null;
}

const round = (value: number): number => Number(value.toPrecision(4));

/** What a target is applied to. */
const judged = ({ value, floor, ratio }: Figure, target: Target): number => {
  if (target.of === 'ratio') return ratio ?? Number.NaN;
  return target.of === 'difference' ? value - (floor ?? Number.NaN) : value;
};

/** Whether the target is met; null without one. */
const isMet = (figure: Figure): boolean | null => {
  const { target } = figure;
  if (target === null) return null;
  const found = judged(figure, target);
  return target.is === '>=' ? found >= target.limit : found <= target.limit;
};

const targetText = (target: Target | null, unit: Figure['unit']): string | null => {
  if (target === null) return null;
  const text = { ratio: 'ratio', difference: 'value - floor', value: 'value' }[target.of];
  return `${text} ${target.is} ${target.limit}${target.of === 'ratio' ? '' : ` ${unit}`}`;
};

/** The figure as one line of JSON. */
export const figureLine = (figure: Figure): string => {
  const { bench, figure: name, value, unit, floor, ratio, target, profile, rounds, spread } = figure;
  return JSON.stringify({
    bench,
    figure: name,
    value: round(value),
    unit,
    floor: floor === null ? null : round(floor),
    ratio: ratio === null ? null : round(ratio),
    target: targetText(target, unit),
    met: isMet(figure),
    profile,
    rounds,
    spread: spread === null ? null : spread.map(round),
  });
};

type Named = Pick<Figure, 'bench' | 'figure' | 'unit' | 'target' | 'profile'>;

const quartiles = (values: readonly number[]): readonly [number, number] => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round((sorted.length - 1) * share)] ?? Number.NaN;
  return [at(0.25), at(0.75)];
};

/** The medians of interleaved rounds. */
export const fromPairs = (named: Named, { ours, floor }: Pairs): Figure => {
  const value = median(ours);
  const bare = median(floor);
  const ratios = ours.map((mine, at) => mine / (floor[at] ?? Number.NaN));
  return {
    ...named,
    value,
    floor: bare,
    ratio: median(ratios),
    rounds: ours.length,
    spread: quartiles(ratios),
  };
};

const cellsOf = (figure: Figure): readonly string[] => {
  const { bench, figure: name, value, unit, floor, ratio, target, profile, spread } = figure;
  const met = isMet(figure);
  return [
    bench,
    name,
    profile,
    `${round(value)} ${unit}`,
    floor === null ? '–' : `${round(floor)}`,
    ratio === null ? '–' : ratio.toFixed(2),
    spread === null ? '–' : `${spread[0].toFixed(2)}–${spread[1].toFixed(2)}`,
    targetText(target, unit) ?? '–',
    met === null ? '–' : met ? 'met' : 'MISSED',
  ];
};

const HEAD = ['bench', 'figure', 'profile', 'value', 'floor', 'ratio', 'quartiles', 'target', ''];

/** All figures as a Markdown table with aligned columns. */
export const figureTable = (figures: readonly Figure[]): string => {
  const rows = [HEAD, ...figures.map(cellsOf)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(HEAD), rule, ...rows.slice(1).map(line)].join('\n');
};
