// The field types of configuration. Each accepts the text of a flag or an environment variable as well as the native value
// of a JSON file, and says in one phrase what it expects. Chain `.default(…)`, `.optional()` and `.describe('…')` as with any zod type.
import { z } from 'zod';
import { formatBytes, formatDuration, parseBytes, parseDuration } from './duration.ts';
import { Secret } from './secret.ts';

/** What a field says about itself, for messages and tables. */
interface FieldFacts {
  readonly expects: string;
  readonly isSecret: boolean;
  /** True or false: as a flag it needs no value. */
  readonly isSwitch: boolean;
  /** How a default is printed. */
  readonly print: (value: unknown) => string;
}

/** Facts by field type; looked up through `.describe()` and, by {@link factsOf}, through `.default()` and `.optional()`. */
const facts = new WeakMap<object, FieldFacts>();

const plain = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

interface FieldOptions {
  readonly isSecret?: boolean;
  readonly isSwitch?: boolean;
  readonly print?: (value: unknown) => string;
}

const field = <T>(expects: string, read: (given: unknown) => T | undefined, options: FieldOptions = {}) => {
  const base = z.unknown();
  facts.set(base, {
    expects,
    isSecret: options.isSecret ?? false,
    isSwitch: options.isSwitch ?? false,
    print: options.print ?? plain,
  });
  return base.transform((given, context): T => {
    const value = given === undefined ? undefined : read(given);
    if (value !== undefined) return value;
    context.issues.push({ code: 'custom', message: `expected ${expects}`, input: given });
    return z.NEVER;
  });
};

/** The zod type beneath `.default()`, `.optional()`, `.describe()`, … down to what the facts are filed under. */
const innerOf = (type: z.core.$ZodType): z.core.$ZodType | undefined => {
  const def = type._zod.def as { innerType?: z.core.$ZodType; in?: z.core.$ZodType };
  return def.innerType ?? def.in;
};

const unknownFacts: FieldFacts = { expects: 'a value', isSecret: false, isSwitch: false, print: plain };

/** What a field of a schema expects and whether it is secret; a foreign zod type is described by its own name. */
export const factsOf = (type: z.core.$ZodType): FieldFacts => {
  for (let at: z.core.$ZodType | undefined = type; at !== undefined; at = innerOf(at)) {
    const known = facts.get(at);
    if (known !== undefined) return known;
    if (innerOf(at) === undefined) return { ...unknownFacts, expects: `a ${at._zod.def.type}` };
  }
  return unknownFacts;
};

/** The description given with `.describe()`, at whatever level. */
export const descriptionOf = (type: z.core.$ZodType): string => {
  for (let at: z.core.$ZodType | undefined = type; at !== undefined; at = innerOf(at)) {
    const description = z.globalRegistry.get(at)?.description;
    if (description !== undefined) return description;
  }
  return '';
};

/** Whether a field may be left out, and what it is then. */
export const fallbackOf = (
  type: z.core.$ZodType,
): { readonly required: boolean; readonly value?: unknown } => {
  for (let at: z.core.$ZodType | undefined = type; at !== undefined; at = innerOf(at)) {
    const def = at._zod.def as { type: string; defaultValue?: unknown };
    if (def.type === 'default' || def.type === 'prefault')
      return { required: false, value: def.defaultValue };
    if (def.type === 'optional' || def.type === 'nullable') return { required: false };
  }
  return { required: true };
};

const bounds = (atLeast: string | undefined, atMost: string | undefined): string =>
  `${atLeast === undefined ? '' : `, at least ${atLeast}`}${atMost === undefined ? '' : `, at most ${atMost}`}`;

interface Range {
  readonly min?: number;
  readonly max?: number;
}

const within = (value: number | undefined, range: Range): number | undefined =>
  value === undefined ||
  !Number.isFinite(value) ||
  value < (range.min ?? -Infinity) ||
  value > (range.max ?? Infinity)
    ? undefined
    : value;

const measured =
  (parse: (text: string) => number | undefined, range: Range) =>
  (given: unknown): number | undefined => {
    if (typeof given === 'string') return within(parse(given), range);
    return typeof given === 'number' && Number.isInteger(given) && given >= 0
      ? within(given, range)
      : undefined;
  };

const printedRange = (range: Range, print: (value: number) => string): string =>
  bounds(
    range.min === undefined ? undefined : print(range.min),
    range.max === undefined ? undefined : print(range.max),
  );

/** A non-empty line of text. */
export const text = (options: { readonly pattern?: RegExp; readonly expects?: string } = {}) =>
  field(options.expects ?? 'a non-empty text', (given) =>
    typeof given === 'string' && given.trim() !== '' && (options.pattern?.test(given) ?? true)
      ? given
      : undefined,
  );

/** A whole number; bounds are inclusive. */
export const integer = (range: Range = {}) =>
  field(`a whole number${printedRange(range, String)}`, (given) => {
    const value = typeof given === 'string' && /^\s*-?\d{1,15}\s*$/.test(given) ? Number(given) : given;
    return typeof value === 'number' && Number.isSafeInteger(value) ? within(value, range) : undefined;
  });

/** A number, possibly with a fraction; bounds are inclusive. */
export const decimal = (range: Range = {}) =>
  field(`a number${printedRange(range, String)}`, (given) => {
    const value =
      typeof given === 'string' && /^\s*-?\d{1,15}(?:\.\d{1,15})?\s*$/.test(given) ? Number(given) : given;
    return typeof value === 'number' ? within(value, range) : undefined;
  });

/** A TCP port; 0 means "any free one". */
export const port = () =>
  field('a port, 0 to 65535 (0: any free one)', (given) => {
    const value = typeof given === 'string' && /^\d{1,5}$/.test(given.trim()) ? Number(given) : given;
    return typeof value === 'number' && Number.isInteger(value)
      ? within(value, { min: 0, max: 65_535 })
      : undefined;
  });

const truths: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  '1': true,
  false: false,
  no: false,
  off: false,
  '0': false,
};

/** True or false; `yes/no`, `on/off` and `1/0` in text. */
export const flag = () =>
  field(
    'true or false',
    (given) => {
      if (typeof given === 'string') return truths[given.trim().toLowerCase()];
      return typeof given === 'boolean' ? given : undefined;
    },
    { isSwitch: true },
  );

/** A duration in milliseconds; name the field `…Ms`. Text may carry units: `500ms`, `30s`, `1h30m`; a bare number is milliseconds. */
export const duration = (range: Range = {}) =>
  field(
    `a duration such as 500ms, 30s, 5m or 1h30m, or milliseconds${printedRange(range, formatDuration)}`,
    measured(parseDuration, range),
    { print: (value) => (typeof value === 'number' ? formatDuration(value) : plain(value)) },
  );

/** A size in bytes; name the field `…Bytes`. Text may carry units: `64KiB`, `10MB`; a bare number is bytes. */
export const size = (range: Range = {}) =>
  field(
    `a size such as 64KiB or 10MB, or bytes${printedRange(range, formatBytes)}`,
    measured(parseBytes, range),
    {
      print: (value) => (typeof value === 'number' ? formatBytes(value) : plain(value)),
    },
  );

/** One of a closed set of words. */
export const oneOf = <const Word extends string>(words: readonly [Word, ...Word[]]) =>
  field(`one of ${words.join(', ')}`, (given) => words.find((word) => word === given));

/** A list of non-empty texts, each of `item`'s form: a JSON array in a file, comma-separated elsewhere. */
export const list = (item?: { readonly pattern: RegExp; readonly expects: string }) =>
  field(
    item === undefined ? 'a comma-separated list' : `a comma-separated list, each ${item.expects}`,
    (given): readonly string[] | undefined => {
      const items: unknown = typeof given === 'string' ? given.split(',').map((one) => one.trim()) : given;
      const isItem = (one: unknown): boolean =>
        typeof one === 'string' && one !== '' && (item?.pattern.test(one) ?? true);
      return Array.isArray(items) && items.every(isItem) ? (items as string[]) : undefined;
    },
    { print: (value) => (Array.isArray(value) ? value.join(',') : plain(value)) },
  );

/** An absolute URL of one of the given schemes (`['http', 'https']`), kept as text. */
export const url = (schemes: readonly string[]) =>
  field(`a URL starting with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`, (given) =>
    typeof given === 'string' && URL.canParse(given) && schemes.includes(new URL(given).protocol.slice(0, -1))
      ? given
      : undefined,
  );

/** A secret: never printed, not accepted as a flag, readable from the file named by `FLEETLOG_…_FILE`. */
export const secret = () =>
  field(
    'a secret',
    (given) => {
      if (given instanceof Secret) return given;
      return typeof given === 'string' && given !== '' ? new Secret(given) : undefined;
    },
    { isSecret: true, print: () => '[redacted]' },
  );
