// The secrets of an environment, by the names of its variables. Pure.
import { isSecretName } from './names.ts';

/** Shorter values are ordinary words (see literals.ts). */
const shortest = 8;

/** The values of secret-named variables that are worth looking for in texts; paths and switches are not. */
export const secretValuesOf = (
  environment: Readonly<Record<string, string | undefined>>,
): readonly string[] => {
  const values = new Set<string>();
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined || value.length < shortest || value.startsWith('/')) continue;
    if (isSecretName(name)) values.add(value);
  }
  return [...values];
};
