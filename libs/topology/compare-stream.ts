// One declared stream against the one that is there: every difference judged, and the settings that may safely be sent.
// Pure. Refused differences stay out of the settings, so an update never carries them along.
import type { DeclaredStream } from './declared-streams.ts';
import type { Difference, SettingValue } from './difference.ts';
import type { StreamSettings } from './settings.ts';
import { overlaps } from './subject-overlap.ts';
import { STREAM_RULES, type RuleContext } from './stream-rules.ts';

export interface StreamComparison {
  readonly differences: readonly Difference[];
  /** What to send; null: nothing may or needs to change. */
  readonly update: StreamSettings | null;
}

const FIELDS = Object.keys(STREAM_RULES) as (keyof typeof STREAM_RULES)[];

/** The members of `of` that `than` lacks. */
const missing = (of: readonly string[], than: readonly string[]): readonly string[] =>
  of.filter((subject) => !than.includes(subject));

interface Judged {
  readonly differences: readonly Difference[];
  readonly subjects: readonly string[];
}

const judgeSubjects = (
  about: Pick<Difference, 'thing' | 'what'>,
  to: StreamSettings,
  { actual }: RuleContext,
): Judged => {
  const from = actual.settings.subjects;
  const added = missing(to.subjects, from);
  const removed = missing(from, to.subjects);
  const difference = { ...about, field: 'subjects', from, to: to.subjects };
  const isKept = removed.length > 0 && actual.entries > 0;
  // A stream takes no subject twice: what overlaps a subject that is kept cannot be added beside it.
  const addable = isKept ? added.filter((subject) => !from.some((kept) => overlaps(kept, subject))) : added;
  const differences: Difference[] = [];
  if (addable.length > 0 || (removed.length > 0 && !isKept))
    differences.push({
      ...difference,
      kind: 'update',
      to: isKept ? [...from, ...addable] : to.subjects,
      reason: null,
      remedy: null,
    });
  if (isKept)
    differences.push({
      ...difference,
      kind: 'destroy-refused',
      from: removed,
      to: null,
      reason: `it holds ${actual.entries} entries, some perhaps of these subjects, and would take no more of them`,
      remedy: 'keep the subjects declared, or remove them by hand: nats stream edit --subjects',
    });
  return { differences, subjects: isKept ? [...from, ...addable] : to.subjects };
};

/** Compares setting by setting. */
export const compareStream = (declared: DeclaredStream, context: RuleContext): StreamComparison => {
  const { settings: to, thing, what } = declared;
  const from = context.actual.settings;
  const judged = judgeSubjects({ thing, what }, to, context);
  const differences: Difference[] = [...judged.differences];
  const changed: Partial<Record<keyof StreamSettings, SettingValue>> = {};
  for (const field of FIELDS) {
    if (to[field] === from[field]) continue;
    const verdict = STREAM_RULES[field](to, context);
    const difference = { thing, what, field, from: from[field], to: to[field] };
    if (verdict.kind === 'ok') {
      changed[field] = to[field];
      differences.push({ ...difference, kind: 'update', reason: verdict.remark, remedy: null });
    } else differences.push({ ...difference, ...verdict });
  }
  const isChanged = differences.some((difference) => difference.kind === 'update');
  // The fields of `changed` come from settings of the same type, each under its own name.
  const update = { ...from, ...changed, subjects: judged.subjects } as StreamSettings;
  return { differences, update: isChanged ? update : null };
};
