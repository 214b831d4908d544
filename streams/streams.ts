// The six streams. The broker reserves the sizes, so together they fit a small disk (a storage budget scales them further down);
// the log of transitions has no limit and refuses deletes.
import type { StreamDefinition } from '#libs/topology/definitions.ts';
import { AGGREGATE_FAMILIES, aggregateFilter } from './subjects.ts';

const DAY_MS = 24 * 3_600_000;
const GIB = 1024 ** 3;

const STREAMS: readonly Omit<StreamDefinition, 'replicas'>[] = [
  {
    name: 'EVENTS',
    description: 'What runners and hosts report.',
    subjects: ['fleet.*.*.evt.*.*.*'],
    maxAgeMs: 30 * DAY_MS,
    maxBytes: 2 * GIB,
    // 147 bytes of memory an id (measured): 10 minutes at 1,000 reports/s is 90 MB. Longer outages are covered by the source sequence.
    duplicateWindowMs: 600_000,
    allowAtomic: true,
    compression: 's2',
  },
  {
    name: 'COMMANDS',
    description: 'Instructions to hosts and runners.',
    subjects: ['fleet.*.*.cmd.*.*.*'],
    maxAgeMs: 7 * DAY_MS,
    maxBytes: GIB / 4,
    duplicateWindowMs: 2 * 3_600_000,
    allowAtomic: true,
    compression: 's2',
  },
  {
    name: 'TRANSITIONS',
    description:
      'Every state transition of every aggregate, appended at the expected sequence of its subject. Kept for ever.',
    subjects: AGGREGATE_FAMILIES.map((family) => aggregateFilter(family)),
    duplicateWindowMs: 600_000,
    allowAtomic: true,
    denyDelete: true,
    denyPurge: true,
    compression: 's2',
  },
  {
    name: 'MESSAGES',
    description: 'Mail between agents and people.',
    subjects: ['fleet.*.*.msg.*.*.*'],
    maxAgeMs: 90 * DAY_MS,
    maxBytes: GIB / 4,
    duplicateWindowMs: 2 * 3_600_000,
    allowAtomic: true,
    compression: 's2',
  },
  {
    name: 'DEADLETTERS',
    description: 'What could not be processed, with its reason and origin.',
    subjects: ['fleet.*.*.dead.*.*.*'],
    maxAgeMs: 90 * DAY_MS,
    maxBytes: GIB / 4,
    duplicateWindowMs: 2 * 3_600_000,
    allowAtomic: true,
    compression: 's2',
  },
  {
    name: 'TIMERS',
    description: 'Schedules that ring into their owner; the due time is in the body.',
    subjects: ['fleet.*.*.timer.*.*.*'],
    duplicateWindowMs: 120_000,
    allowAtomic: true,
    allowSchedules: true,
    allowMessageTtl: true,
  },
];

/** Declares the streams for a broker with this many replicas (1 on one machine, 3 in a cluster). */
export const streamDefinitions = (replicas: number): readonly StreamDefinition[] =>
  STREAMS.map((stream) => ({ ...stream, replicas }));
