// Reads the few fields of a stored value that an index keeps: checked as far as orders and filters depend on it, at a fraction of what a schema
// costs, for a hundred thousand values at a start. The whole value is checked by its schema when it is shown. Each throws for what is none.

const wrong = (value: unknown, expected: string): Error =>
  new Error(`${JSON.stringify(value)?.slice(0, 100)} is not ${expected}`);

/** A text. */
export const text = (value: unknown): string => {
  if (typeof value !== 'string') throw wrong(value, 'a text');
  return value;
};

/** A whole number; `absent` stands for none. */
export const whole = (value: unknown, absent?: number): number => {
  const number = value ?? absent;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) throw wrong(value, 'a whole number');
  return number;
};

/** One of some names. */
export const oneOf = <Name extends string>(value: unknown, names: ReadonlySet<Name>): Name => {
  if (!names.has(value as Name)) throw wrong(value, `one of ${[...names].join(', ')}`);
  return value as Name;
};

/** A list. */
export const list = (value: unknown): readonly unknown[] => {
  if (!Array.isArray(value)) throw wrong(value, 'a list');
  return value as readonly unknown[];
};

/** What a key names, behind its last dot: a part of a text that is there already, where the field of the value would be another one. */
export const idOfKey = (key: string): string => key.slice(key.lastIndexOf('.') + 1);
