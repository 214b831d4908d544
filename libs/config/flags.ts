// Reads a command line by the schemas of a process: `--log-level debug`, `--log-level=debug`, switches as `--quiet` and `--no-quiet`.
// Checks the names of flags; their values are checked with everything else (see parse.ts).
import { parseArgs } from 'node:util';
import { Fault } from '#libs/kernel/fault.ts';
import { factsOf } from './fields.ts';
import { nearest } from './nearest.ts';
import { namesOf, type ConfigSections } from './schema.ts';

/** A command line taken apart. */
export interface ParsedFlags {
  /** By camelCase name, as {@link ConfigSources.options} wants them; a flag given twice has its last value. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What is no flag, in order. */
  readonly positionals: readonly string[];
}

interface Flag {
  /** Key among the options. */
  readonly option: string;
  readonly isSwitch: boolean;
}

const flagsOf = (sections: ConfigSections, switches: readonly string[]): ReadonlyMap<string, Flag> => {
  const flags = new Map<string, Flag>([['config', { option: 'config', isSwitch: false }]]);
  for (const name of switches) flags.set(name, { option: name, isSwitch: true });
  for (const [section, schema] of Object.entries(sections)) {
    for (const [field, type] of Object.entries(schema.shape)) {
      const { flag, option } = namesOf(section, field);
      flags.set(flag.slice(2), { option, isSwitch: factsOf(type).isSwitch });
    }
  }
  return flags;
};

const invalid = (message: string): Fault => new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });

const unknown = (rawName: string, flags: ReadonlyMap<string, Flag>): Fault => {
  const meant = nearest(
    rawName,
    [...flags.keys()].map((name) => `--${name}`),
  );
  return invalid(`there is no flag ${rawName}${meant === undefined ? '' : `; did you mean ${meant}?`}`);
};

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
}

const read = (token: OptionToken, flags: ReadonlyMap<string, Flag>): readonly [string, unknown] => {
  const flag = flags.get(token.name);
  if (flag !== undefined && token.rawName.startsWith('--')) {
    if (token.value === undefined && !flag.isSwitch) throw invalid(`${token.rawName} needs a value`);
    return [flag.option, token.value ?? true];
  }
  const negated = token.name.startsWith('no-') ? flags.get(token.name.slice(3)) : undefined;
  if (negated?.isSwitch === true && token.value === undefined) return [negated.option, false];
  throw unknown(token.rawName, flags);
};

/**
 * Takes a command line apart. `switches` are flags without a value that no schema has, e.g. `help`.
 * Faults: `ARGUMENT_INVALID` (never): an unknown flag, with the nearest known one, or a flag without its value.
 */
export const parseFlags = (
  args: readonly string[],
  sections: ConfigSections,
  switches: readonly string[] = [],
): ParsedFlags => {
  const flags = flagsOf(sections, switches);
  const types = [...flags].map(
    ([name, { isSwitch }]) =>
      [name, { type: isSwitch ? ('boolean' as const) : ('string' as const) }] as const,
  );
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(types),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options: Record<string, unknown> = {};
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    else if (token.kind === 'option') {
      const [option, value] = read(token, flags);
      options[option] = value;
    }
  }
  return { options, positionals };
};
