// Whether a value is already what its schema would make of it: then nothing has to be made, and reading and writing entries, of which nearly all are
// so, costs a fraction. Says yes only when the schema would accept the value and give back an equal one, with its keys in the same order; a no says
// nothing: the schema judges, and names what is wrong. What this cannot tell of (transforms, defaults, checks by code) is a no.
// Knows schemas by their definitions, as zod has them; pure.

type Check = (value: unknown) => boolean;

/** What of a schema is looked at. */
interface Definition {
  readonly type?: string;
  readonly check?: string;
  readonly format?: string;
  readonly pattern?: RegExp;
  readonly coerce?: boolean;
  readonly checks?: readonly SchemaLike[];
  readonly shape?: Readonly<Record<string, SchemaLike>>;
  readonly catchall?: SchemaLike;
  readonly innerType?: SchemaLike;
  readonly element?: SchemaLike;
  readonly items?: readonly SchemaLike[];
  readonly rest?: SchemaLike | null;
  readonly options?: readonly SchemaLike[];
  readonly discriminator?: string;
  readonly keyType?: SchemaLike;
  readonly valueType?: SchemaLike;
  readonly mode?: string;
  readonly values?: readonly unknown[];
  readonly entries?: Readonly<Record<string, unknown>>;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly value?: unknown;
  readonly inclusive?: boolean;
}

/** A schema or one of its checks. */
export interface SchemaLike {
  readonly _zod: { readonly def: object; readonly optin?: string | undefined };
}

const cannotTell: Check = () => false;
const definitionOf = (schema: SchemaLike): Definition => schema._zod.def;

const boundOf = ({ check, value, inclusive }: Definition): Check => {
  if (typeof value !== 'number') return cannotTell;
  if (check === 'greater_than')
    return inclusive === true ? (given) => Number(given) >= value : (given) => Number(given) > value;
  return inclusive === true ? (given) => Number(given) <= value : (given) => Number(given) < value;
};

/** One more demand on a text, a number or a list. */
const demandOf = (schema: SchemaLike): Check => {
  const definition = definitionOf(schema);
  const { check, format, pattern, minimum = 0, maximum = 0 } = definition;
  const lengthOf = (value: unknown): number => (value as string | readonly unknown[]).length;
  if (check === 'max_length') return (value) => lengthOf(value) <= maximum;
  if (check === 'min_length') return (value) => lengthOf(value) >= minimum;
  if (check === 'greater_than' || check === 'less_than') return boundOf(definition);
  if (check === 'number_format' && format === 'safeint') return Number.isSafeInteger;
  if (check === 'string_format' && format === 'regex' && pattern?.flags === '')
    return (value) => pattern.test(value as string);
  return cannotTell;
};

/** Both, and all demands of the schema. */
const withDemands = (check: Check, { checks = [] }: Definition): Check => {
  const [first, second, ...more] = checks.map(demandOf);
  if (first === undefined) return check;
  if (second === undefined) return (value) => check(value) && first(value);
  return (value) => check(value) && first(value) && second(value) && more.every((one) => one(value));
};

const isText: Check = (value) => typeof value === 'string';

const numberCheck = ({ check, format }: Definition): Check => {
  if (check === undefined) return Number.isFinite;
  return format === 'safeint' ? Number.isSafeInteger : cannotTell;
};

const isScalar: Check = (value) =>
  value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value);

const oneOf = (values: readonly unknown[]): Check => {
  if (!values.every(isScalar)) return cannotTell;
  const [only] = values;
  return values.length === 1 ? (value) => value === only : (value) => values.includes(value);
};

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

const mayBeAbsent = (schema: SchemaLike): boolean =>
  definitionOf(schema).type === 'optional' && schema._zod.optin === 'optional';

/** Keys in the order of the schema, and none besides: another one would be dropped, another order would be changed. */
const objectCheck = ({ shape = {}, catchall }: Definition): Check => {
  if (catchall !== undefined) return cannotTell;
  const fields = Object.entries(shape).map(([name, schema]) => ({
    name,
    check: checkOf(schema),
    isOptional: mayBeAbsent(schema),
  }));
  const { length } = fields;
  return (value) => {
    if (!isObject(value)) return false;
    let at = 0;
    for (const key in value) {
      let field = fields[at];
      while (field !== undefined && field.name !== key && field.isOptional) field = fields[(at += 1)];
      if (field?.name !== key || !field.check(value[key])) return false;
      at += 1;
    }
    while (at < length && fields[at]?.isOptional === true) at += 1;
    return at === length;
  };
};

const listCheck = ({ element }: Definition): Check => {
  const check = element === undefined ? cannotTell : checkOf(element);
  return (value) => {
    if (!Array.isArray(value)) return false;
    for (let at = 0; at < value.length; at += 1) if (!check(value[at])) return false;
    return true;
  };
};

const tupleCheck = ({ items = [], rest }: Definition): Check => {
  if (rest !== null && rest !== undefined) return cannotTell;
  const checks = items.map(checkOf);
  return (value) =>
    Array.isArray(value) && value.length === checks.length && checks.every((check, at) => check(value[at]));
};

const recordCheck = ({ keyType, valueType, mode }: Definition): Check => {
  if (keyType === undefined || valueType === undefined || mode === 'loose') return cannotTell;
  if (definitionOf(keyType).type !== 'string') return cannotTell;
  const [isKey, isValue] = [checkOf(keyType), checkOf(valueType)];
  return (value) => {
    if (!isObject(value)) return false;
    for (const key in value) if (key === '__proto__' || !isKey(key) || !isValue(value[key])) return false;
    return true;
  };
};

/** Of others than those that a member tells apart, the first that fits decides, which only the schema knows. */
const unionCheck = ({ options = [], discriminator }: Definition): Check => {
  if (discriminator === undefined) return cannotTell;
  const checks = new Map<unknown, Check>();
  for (const option of options) {
    const { shape = {} } = definitionOf(option);
    const told = shape[discriminator];
    const values = told === undefined ? [] : (definitionOf(told).values ?? []);
    for (const value of values) checks.set(value, checkOf(option));
  }
  return (value) => isObject(value) && (checks.get(value[discriminator]) ?? cannotTell)(value);
};

const nullableCheck = ({ innerType }: Definition): Check => {
  const check = innerType === undefined ? cannotTell : checkOf(innerType);
  return (value) => value === null || check(value);
};

const kinds: Readonly<Record<string, (definition: Definition) => Check>> = {
  string: ({ check }) => (check === undefined ? isText : cannotTell),
  number: numberCheck,
  boolean: () => (value) => typeof value === 'boolean',
  literal: ({ values = [] }) => oneOf(values),
  enum: ({ entries = {} }) => {
    const values = Object.values(entries);
    return values.every(isText) ? oneOf(values) : cannotTell;
  },
  unknown: () => (value) => value !== undefined,
  nullable: nullableCheck,
  // One that is there; see `mayBeAbsent` for one that is not.
  optional: ({ innerType }) => (innerType === undefined ? cannotTell : checkOf(innerType)),
  object: objectCheck,
  array: listCheck,
  tuple: tupleCheck,
  record: recordCheck,
  union: unionCheck,
};

const made = new WeakMap<SchemaLike, Check>();

const checkOf = (schema: SchemaLike): Check => {
  const known = made.get(schema);
  if (known !== undefined) return known;
  const definition = definitionOf(schema);
  const kind = definition.coerce === true ? undefined : kinds[definition.type ?? ''];
  const check = kind === undefined ? cannotTell : withDemands(kind(definition), definition);
  made.set(schema, check);
  return check;
};

/** True: the schema would accept the value and give back an equal one. False: ask the schema. */
export const isPlainValue = (schema: SchemaLike, value: unknown): boolean => checkOf(schema)(value);
