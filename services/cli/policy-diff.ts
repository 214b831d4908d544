// What applying a file would change, for people: one block for each policy, one line for each field.
import { configOf, policyInputSchema, type PolicyConfig, type PolicyInput } from '#streams/policy-config.ts';
import { changedFields } from '#streams/policy-diff.ts';
import type { PolicyView } from '#streams/policy-views.ts';

/** One policy of a file beside what there is. */
export interface PolicyChange {
  readonly policy: string;
  readonly input: PolicyInput;
  readonly kind: 'new' | 'changed' | 'unchanged';
  /** The version that was seen; 0: there is none. */
  readonly version: number;
  readonly fields: readonly { readonly field: string; readonly before: unknown; readonly after: unknown }[];
}

const changeOf = (policy: string, input: PolicyInput, view: PolicyView | undefined): PolicyChange => {
  const before: PolicyConfig | undefined = view === undefined || view.isRemoved ? undefined : view.config;
  const after = configOf(policy, input);
  const fields = changedFields(before, after).map((field) => ({
    field,
    before: before?.[field as keyof PolicyConfig],
    after: after[field as keyof PolicyConfig],
  }));
  const changed = fields.length === 0 ? 'unchanged' : 'changed';
  return { policy, input, kind: before === undefined ? 'new' : changed, version: view?.version ?? 0, fields };
};

/** All of a file. */
export const changesOf = (
  policies: Readonly<Record<string, PolicyInput>>,
  known: ReadonlyMap<string, PolicyView>,
): readonly PolicyChange[] =>
  Object.entries(policies).map(([name, input]) => changeOf(name, input, known.get(name)));

const MOST_CHARACTERS = 200;

const shown = (value: unknown): string => {
  const text = value === undefined ? '(nothing)' : (JSON.stringify(value) ?? '');
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
};

/** What every policy is unless it says otherwise. */
const USUAL: Readonly<Record<string, unknown>> = policyInputSchema.parse({ mode: 'always-on' });
const ALWAYS_SHOWN: ReadonlySet<string> = new Set(['mode', 'provider', 'agent']);

/** Of a new policy: what it says itself. */
const ownFields = (fields: PolicyChange['fields']): PolicyChange['fields'] =>
  fields.filter(
    ({ field, after }) => ALWAYS_SHOWN.has(field) || JSON.stringify(after) !== JSON.stringify(USUAL[field]),
  );

/** Lines for a terminal. */
export const diffLines = (changes: readonly PolicyChange[]): readonly string[] =>
  changes.flatMap(({ policy, kind, version, fields }) => {
    if (kind === 'unchanged') return [`  ${policy}: as it is (version ${version})`];
    if (kind === 'new')
      return [
        `+ ${policy}: new`,
        ...ownFields(fields).map(({ field, after }) => `    ${field}: ${shown(after)}`),
      ];
    return [
      `~ ${policy}: version ${version} changes`,
      ...fields.map(({ field, before, after }) => `    ${field}: ${shown(before)} → ${shown(after)}`),
    ];
  });
