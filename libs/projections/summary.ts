// A projection whose keys hold a summary that begins with its first event: before it there is nothing, and the fold is told so.
import { defineProjection, type Projection } from './projection.ts';

/** The state of a key before its first event; never stored. */
type Nothing = Record<string, never>;

interface SummaryProjection<Event, Summary extends object> extends Omit<
  Projection<Event, Summary | Nothing>,
  'initial' | 'evolve' | 'parse'
> {
  /** The summary after an event; undefined: it is as it was. Pure. `before` is undefined until an event has made one. */
  readonly fold: (before: Summary | undefined, event: Event) => Summary | undefined;
  /** Checks a value read back from the bucket (without its `seq`); throws when it is not a summary. */
  readonly parse: (value: unknown) => Summary;
}

const isNothing = (state: object): state is Nothing => {
  for (const _ in state) return false;
  return true;
};

/** The projection of a fold into summaries, each with at least one field. */
export const defineSummary = <Event, Summary extends object>({
  fold,
  ...rest
}: SummaryProjection<Event, Summary>): Projection<Event, Summary | Nothing> =>
  defineProjection<Event, Summary | Nothing>({
    ...rest,
    initial: {},
    evolve: (state, event) => fold(isNothing(state) ? undefined : state, event) ?? state,
  });
