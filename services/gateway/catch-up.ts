// What reads wait for: the sequence that a request names, because a write has answered with it; and, before something is called unknown, everything that
// the log has of its kind now. That is not simply the end of the stream: it also holds what such a summary is not folded from (tasks, grants), and its
// position never gets there.
import type { ReadView } from '#libs/projections/read-view.ts';
import { aggregateFilter, type AggregateFamily } from '#streams/subjects.ts';
import type { GatewayParts } from './http.ts';

/**
 * Waits until a summary shows `seq`, all of it or one key (which is quicker); at once without one. Fault: `VIEW_BEHIND` (later) when it does not within
 * the time that reads wait.
 */
export const shows = async (
  { config }: Pick<GatewayParts, 'config'>,
  view: Pick<ReadView<object>, 'waitFor'>,
  seq: number | undefined,
  key?: string,
): Promise<void> => {
  if (seq === undefined || seq === 0) return;
  await view.waitFor(seq, { timeoutMs: config.readWaitMs, ...(key !== undefined && { key }) });
};

/** Faults: `VIEW_BEHIND` (later) when it does not catch up in time, the log's. */
export const catchUp = async (
  parts: Pick<GatewayParts, 'transitions' | 'config'>,
  view: Pick<ReadView<object>, 'position' | 'waitFor'>,
  { key, families = ['run'] }: { readonly key?: string; readonly families?: readonly AggregateFamily[] } = {},
): Promise<void> => {
  const { transitions } = parts;
  const shown = view.position();
  const { lastSeq } = await transitions.bounds();
  if (shown >= lastSeq) return;
  let last = shown;
  const subjects = families.map((family) => aggregateFilter(family));
  for await (const { seq } of transitions.replay({ from: { seq: shown + 1 }, toSeq: lastSeq, subjects }))
    last = seq;
  await shows(parts, view, last, key);
};
