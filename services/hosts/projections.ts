// The fold of the hosts service as a projection: bucket `hosts` from the transitions of hosts.
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { defineSummary } from '#libs/projections/summary.ts';
import { viewKey } from '#streams/buckets.ts';
import { foldedOf } from '#streams/entry.ts';
import { decodeHostEvent } from '#streams/host-codec.ts';
import { hostViewSchema } from '#streams/host-views.ts';
import { aggregateFilter } from '#streams/subjects.ts';
import { foldHost, type HostSummary, type PlacedHostEvent } from './host.view.ts';

const decode = (entry: StoredEntry): PlacedHostEvent | undefined => {
  const reading = foldedOf(decodeHostEvent(entry));
  const { tenant, project } = reading.place;
  return { boundary: { tenant, project }, event: reading.event };
};

const summarySchema = hostViewSchema.omit({ seq: true });

/** Bucket `hosts`. */
export const hostsProjection = defineSummary<PlacedHostEvent, HostSummary>({
  name: 'hosts',
  version: 1,
  stream: 'TRANSITIONS',
  subjects: [aggregateFilter('host')],
  bucket: 'hosts',
  decode,
  key: ({ boundary, event }) => viewKey(boundary, event.host),
  fold: foldHost,
  parse: (value) => summarySchema.parse(value),
});
