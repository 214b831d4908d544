// One difference between what is declared and what a broker has, as data: for a person, for JSON, and for the check at start.

export type Thing = 'server' | 'stream' | 'bucket' | 'object-store' | 'consumer';

/**
 * `create`, `update`, `recreate`: apply does it. `refused`: the broker cannot do it. `recreate-refused`: only a new one could have
 * it, and the old one holds something. `destroy-refused`: it would delete entries. `unknown`: not declared; never touched.
 */
export type DifferenceKind =
  | 'create'
  | 'update'
  | 'recreate'
  | 'refused'
  | 'recreate-refused'
  | 'destroy-refused'
  | 'unknown';

/** A setting's value, for display. */
export type SettingValue = string | number | boolean | null | readonly string[];

export interface Difference {
  readonly kind: DifferenceKind;
  readonly thing: Thing;
  /** Name; of a consumer `<stream>/<consumer>`. */
  readonly what: string;
  /** The setting, in the words of settings.ts; null: the thing as a whole. */
  readonly field: string | null;
  readonly from: SettingValue;
  readonly to: SettingValue;
  /** Why it is refused, or what to know about it; null: nothing. */
  readonly reason: string | null;
  /** What a person can do about a refusal; null otherwise. */
  readonly remedy: string | null;
}

/** True for the kinds that apply leaves undone although the declaration asks for them. */
export const isRefusal = (difference: Pick<Difference, 'kind'>): boolean =>
  difference.kind === 'refused' ||
  difference.kind === 'recreate-refused' ||
  difference.kind === 'destroy-refused';
