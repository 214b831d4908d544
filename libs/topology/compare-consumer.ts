// One declared consumer against the one that is there. Pure. What a consumer has handed out is its only content:
// it is made anew only if that is nothing.
import type { Difference } from './difference.ts';
import type { ActualConsumer } from './driver.ts';
import type { ConsumerSettings } from './settings.ts';

export interface ConsumerComparison {
  readonly differences: readonly Difference[];
  readonly action:
    | { readonly kind: 'none' }
    | { readonly kind: 'update' | 'recreate'; readonly settings: ConsumerSettings };
}

/** Fixed by the broker when a consumer is created. */
const FIXED = ['deliver', 'ack', 'priorityGroup'] as const;
const FREE = ['description', 'ackWaitMs', 'maxAckPending', 'maxDeliver'] as const;

/** The name of a consumer in plans. */
export const consumerLabel = (settings: Pick<ConsumerSettings, 'stream' | 'name'>): string =>
  `${settings.stream}/${settings.name}`;

const isSameSet = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((member) => b.includes(member));

const freeDifferences = (to: ConsumerSettings, from: ConsumerSettings): readonly Difference[] => {
  const about = {
    kind: 'update',
    thing: 'consumer',
    what: consumerLabel(to),
    reason: null,
    remedy: null,
  } as const;
  const found: Difference[] = FREE.filter((field) => to[field] !== from[field]).map((field) => ({
    ...about,
    field,
    from: from[field],
    to: to[field],
  }));
  if (!isSameSet(to.filterSubjects, from.filterSubjects))
    found.push({
      ...about,
      field: 'filterSubjects',
      from: from.filterSubjects,
      to: to.filterSubjects,
      reason: 'entries that it has passed already are not looked at again',
    });
  return found;
};

/** Compares setting by setting; a fixed setting that differs asks for a new consumer. */
export const compareConsumer = (to: ConsumerSettings, actual: ActualConsumer): ConsumerComparison => {
  const from = actual.settings;
  const free = freeDifferences(to, from);
  const fixed = FIXED.filter((field) => to[field] !== from[field]);
  // A new consumer that begins with what is new would skip what the old one had still before it.
  const isSafe = actual.delivered === 0 && to.deliver === 'all';
  const differences = fixed.map((field): Difference => ({
    thing: 'consumer',
    what: consumerLabel(to),
    field,
    from: from[field],
    to: to[field],
    ...(isSafe
      ? { kind: 'recreate', reason: 'it has handed out nothing yet', remedy: null }
      : {
          kind: 'recreate-refused',
          reason: 'fixed when a consumer is created; a new one would lose its place in the stream',
          remedy: 'declare it under another name, or delete it by hand: nats consumer rm',
        }),
  }));
  const all = [...free, ...differences];
  if (isSafe && fixed.length > 0) return { differences: all, action: { kind: 'recreate', settings: to } };
  if (free.length === 0) return { differences: all, action: { kind: 'none' } };
  const kept = Object.fromEntries(FIXED.map((field) => [field, from[field]]));
  return { differences: all, action: { kind: 'update', settings: { ...to, ...kept } } };
};
