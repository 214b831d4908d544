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

/** What the start log line says of a section. */
export interface PrintedConfig {
  /** Every value; secrets as `[redacted]`. */
  readonly values: Readonly<Record<string, unknown>>;
  /** What is not a default, with its origin: `leaseMs from FLEETLOG_TASKS_LEASE_MS`. */
  readonly given: readonly string[];
}

/** The configuration of a section, fit to be logged. */
export const printConfig = (parsed: ParsedConfig<unknown>): PrintedConfig => {
  const entries = Object.entries(parsed.config as Readonly<Record<string, unknown>>);
  const plain = entries.map(([field, value]) => [field, value instanceof Secret ? value.toString() : value]);
  return {
    values: redactor.value(Object.fromEntries(plain)).value as Readonly<Record<string, unknown>>,
    given: Object.entries(parsed.origins)
      .filter(([, origin]) => origin !== 'default')
      .map(([field, origin]) => `${field} from ${origin}`),
  };
};
