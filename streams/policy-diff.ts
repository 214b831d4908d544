// In what two configurations of a policy differ. Pure; the order of keys counts for nothing.
import type { PolicyConfig } from './policy-config.ts';

/** A value as one text, with keys in order. */
const inOrder = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );

/** Names of the fields in which they differ, in order; of a first configuration: all that it sets. */
export const changedFields = (before: PolicyConfig | undefined, after: PolicyConfig): string[] => {
  const names = new Set([...Object.keys(before ?? {}), ...Object.keys(after)]) as Set<keyof PolicyConfig>;
  return [...names].filter((name) => inOrder(before?.[name]) !== inOrder(after[name])).toSorted();
};
