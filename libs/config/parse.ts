// Parses configuration: flag > environment > file > default, every mistake of every section in one message.
// Does not print anything and does not read the environment itself (see libs/system/env.ts).
import { Fault } from '#libs/kernel/fault.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import {
  gatherSection,
  readConfigFile,
  reportUnknownKeys,
  reportUnknownVariables,
  type Gathered,
  type Origin,
} from './gather.ts';
import type { ConfigOf, ConfigSchema, ConfigSections } from './schema.ts';
import { Secret } from './secret.ts';
import type { ConfigSources } from './sources.ts';

/** The configuration of one section. */
export interface ParsedConfig<Config> {
  readonly section: string;
  readonly config: Config;
  /** Where each field came from: a flag, a variable, a place in the file, or `default`. */
  readonly origins: Readonly<Record<string, Origin>>;
  /** The fields that are secret by type. */
  readonly secrets: readonly Secret[];
}

/** The configuration of a process: each section by name, and what deserves a warning in the log. */
export interface ParsedSections<Sections extends ConfigSections> {
  readonly sections: { readonly [Name in keyof Sections]: ParsedConfig<ConfigOf<Sections[Name]>> };
  readonly warnings: readonly string[];
}

interface ParseOptions {
  /** Sections of services not started here: their names are known, their values are not looked at. */
  readonly elsewhere?: ConfigSections;
  /** Sections of which no more than the name is known here: nothing in them is looked at. */
  readonly unread?: readonly string[];
  /** FLEETLOG_ variables that something else reads. */
  readonly alsoKnown?: readonly string[];
}

const redactor = createRedactor();

const shown = (field: Gathered): string => {
  if (field.isSecret || field.given instanceof Secret) return '[redacted]';
  const text = redactor.text(JSON.stringify(field.given) ?? String(field.given)).value;
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
};

const waysToGive = ({ names, isSecret }: Gathered): string =>
  isSecret
    ? `set ${names.variable} or ${names.variable}_FILE`
    : `set ${names.flag}, ${names.variable} or ${names.path} in the config file`;

const problemOf = (field: Gathered, message: string): string => {
  const expects = /expected (.*)$/s.exec(message)?.[1] ?? message;
  return field.given === undefined
    ? `${field.names.path}: missing; expected ${expects}; ${waysToGive(field)}`
    : `${field.names.path}: got ${shown(field)} from ${field.origin}; expected ${expects}`;
};

const parseSection = (
  section: string,
  schema: ConfigSchema,
  fields: readonly Gathered[],
  problems: string[],
): ParsedConfig<unknown> | undefined => {
  const raw = Object.fromEntries(
    fields.filter(({ given }) => given !== undefined).map(({ field, given }) => [field, given]),
  );
  const result = schema.safeParse(raw);
  if (!result.success) {
    for (const issue of result.error.issues) {
      const field = fields.find((candidate) => candidate.field === issue.path[0]);
      problems.push(
        field === undefined
          ? `${section === '' ? 'configuration' : section}: ${issue.message}`
          : problemOf(field, issue.message),
      );
    }
    return undefined;
  }
  const config = result.data as Readonly<Record<string, unknown>>;
  return {
    section,
    config,
    origins: Object.fromEntries(fields.map(({ field, origin }) => [field, origin])),
    secrets: Object.values(config).filter((value) => value instanceof Secret),
  };
};

/**
 * Parses all sections of a process.
 * Faults: `CONFIG_INVALID` (never), whose message lists every mistake and whose detail has them as `problems`.
 */
export const parseSections = <const Sections extends ConfigSections>(
  sections: Sections,
  sources: ConfigSources,
  options: ParseOptions = {},
): ParsedSections<Sections> => {
  const complaints = { problems: [] as string[], warnings: [] as string[] };
  const reading = { sources, file: readConfigFile(sources, complaints), complaints };
  const everything = { ...options.elsewhere, ...sections };
  const unread = options.unread ?? [];
  reportUnknownVariables(everything, { names: options.alsoKnown ?? [], unread }, reading);
  reportUnknownKeys(everything, unread, reading);
  const parsed: Record<string, ParsedConfig<unknown>> = {};
  for (const [name, schema] of Object.entries(sections)) {
    const fields = gatherSection(name, schema, reading);
    const section = parseSection(name, schema, fields, complaints.problems);
    if (section !== undefined) parsed[name] = section;
  }
  if (complaints.problems.length > 0) throw invalid(complaints.problems);
  return {
    sections: parsed as ParsedSections<Sections>['sections'],
    warnings: complaints.warnings,
  };
};

const invalid = (problems: readonly string[]): Fault =>
  new Fault({
    code: 'CONFIG_INVALID',
    retry: 'never',
    message: `the configuration has ${problems.length === 1 ? 'a mistake' : `${problems.length} mistakes`}:\n${problems
      .map((problem) => `  ${problem}`)
      .join('\n')}`,
    detail: { problems },
  });

/** {@link parseSections} for one schema without a section name. */
export const parseConfig = <Schema extends ConfigSchema>(
  schema: Schema,
  sources: ConfigSources,
  options: ParseOptions = {},
): ParsedConfig<ConfigOf<Schema>> & { readonly warnings: readonly string[] } => {
  const { sections, warnings } = parseSections({ '': schema }, sources, options);
  return { ...sections[''], warnings };
};
