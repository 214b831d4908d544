// Collects what each field was given and by whom, with the precedence flag > environment > file. Checks no values;
// mistakes in the giving itself (unreadable file, a secret as a flag, a name nobody knows) are collected, not thrown.
import { factsOf } from './fields.ts';
import { nearest } from './nearest.ts';
import { namesOf, type ConfigSchema, type ConfigSections, type FieldNames } from './schema.ts';
import { Secret } from './secret.ts';
import type { ConfigSources } from './sources.ts';

/** Where a value came from: `--lease-ms`, `FLEETLOG_LEASE_MS`, `leaseMs in fleetlog.json`, or `default`. */
export type Origin = string;

export interface Gathered {
  readonly section: string;
  readonly field: string;
  readonly names: FieldNames;
  readonly isSecret: boolean;
  readonly expects: string;
  /** Undefined when nobody gave one. */
  readonly given: unknown;
  readonly origin: Origin;
}

/** Lines for the one message about mistakes, and for the warnings. */
interface Complaints {
  readonly problems: string[];
  readonly warnings: string[];
}

type FileValues = Readonly<Record<string, unknown>>;

const isRecord = (value: unknown): value is FileValues =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The JSON object of the configuration file; empty when there is none or it is unusable (then a problem says so). */
export const readConfigFile = (sources: ConfigSources, complaints: Complaints): FileValues => {
  if (sources.filePath === undefined) return {};
  try {
    const parsed: unknown = JSON.parse(sources.readFile(sources.filePath));
    if (isRecord(parsed)) return parsed;
    complaints.problems.push(`config file ${sources.filePath}: expected a JSON object`);
  } catch (error) {
    complaints.problems.push(`config file ${sources.filePath}: ${messageOf(error)}`);
  }
  return {};
};

interface Reading {
  readonly sources: ConfigSources;
  readonly file: FileValues;
  readonly complaints: Complaints;
}

const fromSecretFile = (
  names: FieldNames,
  path: string,
  reading: Reading,
): { readonly given: unknown; readonly origin: Origin } => {
  const variable = `${names.variable}_FILE`;
  if ((reading.sources.environment[names.variable] ?? '') !== '') {
    reading.complaints.problems.push(
      `${names.path}: given by both ${names.variable} and ${variable}; expected one of them`,
    );
  }
  try {
    const read = (): string => reading.sources.readFile(path).replace(/\r?\n$/, '');
    const value = read();
    return { given: value === '' ? value : new Secret(value, read), origin: `${variable} (${path})` };
  } catch (error) {
    reading.complaints.problems.push(`${names.path}: ${variable} names ${path}: ${messageOf(error)}`);
    return { given: undefined, origin: variable };
  }
};

interface Place {
  readonly section: string;
  readonly field: string;
  readonly isSecret: boolean;
}

const fromConfigFile = (
  names: FieldNames,
  place: Place,
  { sources, file, complaints }: Reading,
): { readonly given: unknown; readonly origin: Origin } => {
  const section = place.section === '' ? file : file[place.section];
  const value = isRecord(section) ? section[place.field] : undefined;
  if (value === null)
    complaints.problems.push(`${names.path}: null in the config file; leave it out instead`);
  return value === undefined || value === null
    ? { given: undefined, origin: 'default' }
    : { given: value, origin: `${names.path} in ${sources.filePath ?? 'the config file'}` };
};

const gatherField = (
  names: FieldNames,
  place: Place,
  reading: Reading,
): { readonly given: unknown; readonly origin: Origin } => {
  const { sources } = reading;
  const option = sources.options[names.option];
  if (option !== undefined) return { given: option, origin: names.flag };
  const variable = sources.environment[names.variable];
  const path = place.isSecret ? sources.environment[`${names.variable}_FILE`] : undefined;
  if (path !== undefined && path !== '') return fromSecretFile(names, path, reading);
  if (variable !== undefined && variable !== '') return { given: variable, origin: names.variable };
  return fromConfigFile(names, place, reading);
};

/** Everything given for one section, in the order of its schema. */
export const gatherSection = (section: string, schema: ConfigSchema, reading: Reading): readonly Gathered[] =>
  Object.entries(schema.shape).map(([field, type]) => {
    const names = namesOf(section, field);
    const { isSecret, expects } = factsOf(type);
    if (isSecret && reading.sources.options[names.option] !== undefined) {
      reading.complaints.problems.push(
        `${names.path}: a secret is not accepted as ${names.flag} (every user of the machine could read it); set ${names.variable} or ${names.variable}_FILE`,
      );
    }
    return {
      section,
      field,
      names,
      isSecret,
      expects,
      ...gatherField(names, { section, field, isSecret }, reading),
    };
  });

const hint = (name: string, known: Iterable<string>): string => {
  const meant = nearest(name, known);
  return meant === undefined ? '' : `; did you mean ${meant}?`;
};

const PREFIX = 'FLEETLOG_';
/** Without what all of them have in common: by that alone every short name would be near to any other. `_FILE` has only a secret. */
const ownPart = (variable: string): string => variable.slice(PREFIX.length).replace(/_FILE$/, '');

const variableHint = (name: string, known: ReadonlySet<string>): string => {
  const own = nearest(ownPart(name), [...known].map(ownPart));
  const meant = [...known].find((variable) => ownPart(variable) === own);
  return meant === undefined ? '' : `; did you mean ${meant}?`;
};

/** Warns of FLEETLOG_ variables that no section has. */
export const reportUnknownVariables = (
  sections: ConfigSections,
  others: { readonly names: readonly string[]; readonly unread: readonly string[] },
  reading: Reading,
): void => {
  const known = new Set<string>(['FLEETLOG_CONFIG', ...others.names]);
  for (const [section, schema] of Object.entries(sections)) {
    for (const [field, type] of Object.entries(schema.shape)) {
      const { variable } = namesOf(section, field);
      known.add(variable);
      if (factsOf(type).isSecret) known.add(`${variable}_FILE`);
    }
  }
  for (const name of Object.keys(reading.sources.environment)) {
    const isOfOther = others.unread.some((section) => name.startsWith(namesOf(section, '').variable));
    if (name.startsWith(PREFIX) && !known.has(name) && !isOfOther) {
      reading.complaints.warnings.push(`unknown variable ${name} is ignored${variableHint(name, known)}`);
    }
  }
};

/** Names in the file that no section has are mistakes: the file is ours alone. */
export const reportUnknownKeys = (
  sections: ConfigSections,
  unread: readonly string[],
  reading: Reading,
): void => {
  const path = reading.sources.filePath ?? 'the config file';
  const report = (name: string, known: readonly string[], prefix: string): void => {
    reading.complaints.problems.push(`${prefix}${name}: unknown name in ${path}${hint(name, known)}`);
  };
  const top = [
    ...Object.keys(sections['']?.shape ?? {}),
    ...Object.keys(sections).filter((name) => name !== ''),
    ...unread,
  ];
  for (const [name, value] of Object.entries(reading.file)) {
    if (!top.includes(name)) report(name, top, '');
    const schema = name === '' ? undefined : sections[name];
    if (schema === undefined) continue;
    if (!isRecord(value)) {
      reading.complaints.problems.push(`${name}: expected an object of the section's fields in ${path}`);
      continue;
    }
    const fields = Object.keys(schema.shape);
    for (const field of Object.keys(value)) if (!fields.includes(field)) report(field, fields, `${name}.`);
  }
};
