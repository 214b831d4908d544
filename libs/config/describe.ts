// Configuration for people: the table of a schema for documentation and `--help`, and what a start logs. Pure; shows no secret.
import { createRedactor } from '#libs/redaction/redactor.ts';
import { descriptionOf, factsOf, fallbackOf } from './fields.ts';
import type { ParsedConfig } from './parse.ts';
import { namesOf, type ConfigSchema } from './schema.ts';
import { Secret } from './secret.ts';

/** One field as documented. */
export interface ConfigRow {
  readonly path: string;
  readonly flag: string;
  readonly variable: string;
  readonly expects: string;
  /** Undefined: none (`required` says whether it must be given). */
  readonly defaultValue?: string;
  readonly required: boolean;
  readonly isSecret: boolean;
  readonly description: string;
}

/** The rows of a schema, in its order. */
export const describeConfig = (schema: ConfigSchema, section = ''): readonly ConfigRow[] =>
  Object.entries(schema.shape).map(([field, type]) => {
    const { expects, isSecret, print } = factsOf(type);
    const { required, value } = fallbackOf(type);
    const { path, flag, variable } = namesOf(section, field);
    return {
      path,
      flag,
      variable,
      expects,
      required,
      isSecret,
      description: descriptionOf(type),
      ...(value === undefined ? {} : { defaultValue: print(value) }),
    };
  });

const defaultCell = (row: ConfigRow): string => row.defaultValue ?? (row.required ? 'required' : 'none');

/** The rows as a Markdown table. */
export const configMarkdown = (rows: readonly ConfigRow[]): string =>
  [
    '| variable | flag | default | expects | what it does |',
    '|---|---|---|---|---|',
    ...rows.map((row) => {
      const cells = [
        row.isSecret ? `\`${row.variable}\`, \`${row.variable}_FILE\`` : `\`${row.variable}\``,
        row.isSecret ? '–' : `\`${row.flag}\``,
        `\`${defaultCell(row)}\``,
        row.expects,
        row.description,
      ];
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
    }),
  ].join('\n');

/** The rows as aligned lines for `--help`. */
export const configHelp = (rows: readonly ConfigRow[]): string => {
  const left = rows.map((row) => (row.isSecret ? `${row.variable}[_FILE]` : `${row.flag}, ${row.variable}`));
  const width = Math.max(0, ...left.map((text) => text.length));
  return rows
    .map((row, index) => {
      const words = row.description === '' ? row.expects : row.description;
      return `  ${(left[index] ?? '').padEnd(width)}  ${words} (${defaultCell(row)})`;
    })
    .join('\n');
};

const redactor = createRedactor();

/** What the start log line says of a section: every value (secrets as `[redacted]`) and the origin of those that are not defaults. */
export const printConfig = (
  parsed: ParsedConfig<unknown>,
): {
  readonly values: Readonly<Record<string, unknown>>;
  readonly from: Readonly<Record<string, string>>;
} => {
  const values: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(parsed.config as Readonly<Record<string, unknown>>)) {
    values[field] = value instanceof Secret ? value.toString() : redactor.value(value).value;
  }
  const given = Object.entries(parsed.origins).filter(([, origin]) => origin !== 'default');
  return { values, from: Object.fromEntries(given) };
};
