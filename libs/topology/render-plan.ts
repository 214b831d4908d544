// A plan as text for a terminal and as JSON for a program. Pure; no colours.
import type { Difference, DifferenceKind, SettingValue } from './difference.ts';
import { isRefusal } from './difference.ts';
import type { Plan, Retention } from './plan.ts';

const SIGN: Readonly<Record<DifferenceKind, string>> = {
  create: '+',
  update: '~',
  recreate: '±',
  refused: '!',
  'recreate-refused': '!',
  'destroy-refused': '!',
  unknown: '?',
};

const UNITS_MS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** `30d`, `1h30m`, `500ms`; 0 is `for ever`. */
const duration = (ms: number): string => {
  if (ms === 0) return 'for ever';
  let left = ms;
  let text = '';
  for (const [unit, size] of UNITS_MS) {
    const count = Math.floor(left / size);
    if (count > 0) text += `${count}${unit}`;
    left -= count * size;
  }
  return left > 0 ? `${text}${left}ms` : text;
};

const UNITS_BYTES = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
] as const;

/** `4GiB`, `1.5MiB`, `17B`; below 0 is `no limit`. */
const size = (bytes: number): string => {
  if (bytes < 0) return 'no limit';
  for (const [unit, one] of UNITS_BYTES)
    if (bytes >= one) return `${Number((bytes / one).toFixed(2))}${unit}`;
  return `${bytes}B`;
};

const show = (field: string, value: SettingValue): string => {
  if (value === null) return 'none';
  if (typeof value === 'object') return value.join(' ');
  if (typeof value === 'number' && field.endsWith('Ms')) return duration(value);
  if (typeof value === 'number' && field.endsWith('Bytes')) return size(value);
  return String(value);
};

const change = ({ kind, field, from, to }: Difference): string => {
  if (kind === 'create') return 'create';
  if (field === null) return '';
  if (typeof from === 'object' && typeof to === 'object' && from !== null && to !== null) {
    const added = to.filter((member) => !from.includes(member)).map((member) => `+${member}`);
    const removed = from.filter((member) => !to.includes(member)).map((member) => `-${member}`);
    return `${field} ${[...added, ...removed].join(' ')}`;
  }
  return `${field} ${show(field, from)} -> ${show(field, to)}`;
};

const remarks = ({ reason, remedy }: Difference): string => {
  const why = reason === null ? '' : `(${reason})`;
  return remedy === null ? why : `${why} do: ${remedy}`;
};

const parts = (difference: Difference): readonly [string, string, string, string] => [
  `${SIGN[difference.kind]} ${difference.thing}`,
  difference.what,
  change(difference),
  remarks(difference),
];

/** One difference in one line, not aligned. */
export const renderDifference = (difference: Difference): string =>
  parts(difference)
    .filter((part) => part !== '')
    .join(' ');

const align = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, column === 2 && cell.length > 60 ? 0 : cell.length);
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
};

/** What is kept: `EVENTS  30d  4GiB`. Buckets without a limit are left out. */
const retentionRows = (retention: readonly Retention[]): readonly (readonly string[])[] =>
  retention
    .filter(({ thing, maxBytes }) => thing !== 'bucket' || maxBytes >= 0)
    .map(({ thing, what, maxAgeMs, maxBytes }) => [
      `  ${thing}`,
      what,
      maxAgeMs === 0 ? 'for ever' : `at most ${duration(maxAgeMs)}`,
      maxBytes < 0 ? '' : `at most ${size(maxBytes)}`,
    ]);

const count = (differences: readonly Difference[], ...kinds: readonly DifferenceKind[]): number =>
  differences.filter(({ kind }) => kinds.includes(kind)).length;

const summary = ({ differences }: Plan): string => {
  const refused = differences.filter(isRefusal).length;
  const counts = [
    [count(differences, 'create'), 'to create'],
    [count(differences, 'update', 'recreate'), 'to change'],
    [refused, 'refused'],
    [count(differences, 'unknown'), 'not declared'],
  ] as const;
  const told = counts.filter(([number]) => number > 0).map(([number, what]) => `${number} ${what}`);
  return told.length === 0 ? 'nothing to do' : told.join(', ');
};

/** The plan for a person: `+` create, `~` change, `±` create anew, `!` refused, `?` not declared; then what is kept, then the counts. */
export const renderPlan = (plan: Plan): string =>
  [
    `nats-server ${plan.serverVersion}`,
    ...align(plan.differences.map(parts)),
    ...plan.warnings.map((warning) => `! ${warning}`),
    'kept:',
    ...align(retentionRows(plan.retention)),
    summary(plan),
  ].join('\n');

/** The plan for a program: what `fleetlog provision --json` prints. */
export const planJson = (plan: Plan): Readonly<Record<string, unknown>> => ({
  serverVersion: plan.serverVersion,
  differences: plan.differences,
  steps: plan.steps.map(({ kind, label }) => ({ kind, what: label })),
  refused: plan.differences.filter(isRefusal).length,
  warnings: plan.warnings,
  retention: plan.retention,
});
