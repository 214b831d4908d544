// Waits until a summary of runs (or of sessions) has seen everything that the log has of them now: before something is called unknown. Not simply the end
// of the stream: it also holds what such a summary is not folded from (tasks, grants), and its position never gets there.
import type { ReadView } from '#libs/projections/read-view.ts';
import { aggregateFilter, type AggregateFamily } from '#streams/subjects.ts';
import type { GatewayParts } from './http.ts';

/** Faults: `VIEW_BEHIND` (later) when it does not catch up in time, the log's. */
export const catchUp = async (
  { transitions, config }: Pick<GatewayParts, 'transitions' | 'config'>,
  view: Pick<ReadView<object>, 'position' | 'waitFor'>,
  { key, families = ['run'] }: { readonly key?: string; readonly families?: readonly AggregateFamily[] } = {},
): Promise<void> => {
  const shown = view.position();
  const { lastSeq } = await transitions.bounds();
  if (shown >= lastSeq) return;
  let last = shown;
  const subjects = families.map((family) => aggregateFilter(family));
  for await (const { seq } of transitions.replay({ from: { seq: shown + 1 }, toSeq: lastSeq, subjects }))
    last = seq;
  await view.waitFor(last, { timeoutMs: config.readWaitMs, ...(key !== undefined && { key }) });
};
