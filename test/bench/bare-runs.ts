// The floor of a run's life: the same number of entries to streams and of keys to buckets of the same layout, written by hand with nothing around
// them. It decides nothing, expects nothing, reads nothing back and waits for nobody but the broker.
import type { NatsConnection } from '@nats-io/transport-node';
import type { NewEntry } from '#libs/ports/event-log.ts';
import { systemIds } from '#libs/system/ids.ts';
import { bareHeaders, createGroupLoop, createRing, type Ring } from './bare-publish.ts';
import { EVENTS_A_RUN } from './life-of-runs.ts';
import { sampleReport } from './sample-entries.ts';

/** created, claimed, turn-started and completed. */
const TRANSITIONS_A_RUN = 4;
/** Started and finished besides the events. */
const REPORTS_A_RUN = EVENTS_A_RUN + 2;
/** A lease taken and given back; the run as each transition changes it; its session and its activity. */
const KEYS_A_RUN = [
  'leases',
  'leases',
  'runs',
  'runs',
  'runs',
  'runs',
  'sessions',
  'sessions',
  'activity',
] as const;
/** Runs that are written at once where batches carry them. */
const WIDTH = 256;

export interface BareRuns {
  /** Writes what this many runs would, as fast as the broker takes it. */
  live(count: number): Promise<void>;
}

/** Everything that one run writes. */
const written = (): readonly NewEntry[] => {
  const run = systemIds.ulid();
  const { body, headers } = sampleReport({ sourceSeq: 1 });
  const subjects = [
    ...Array.from({ length: TRANSITIONS_A_RUN }, () => `fleet.bench.bare.run.1.${run}`),
    'fleet.bench.bare.cmd.1.bare.turn',
    ...Array.from({ length: REPORTS_A_RUN }, () => 'fleet.bench.bare.evt.1.bare.text'),
  ];
  return [
    ...subjects.map((subject) => ({ subject, id: systemIds.ulid(), headers, body })),
    ...KEYS_A_RUN.map((bucket) => ({
      subject: `$KV.${bucket}.bench.bare.${run}`,
      id: '',
      headers: {},
      body,
    })),
  ];
};

const isKey = ({ subject }: NewEntry): boolean => subject.startsWith('$KV.');

const put = async (ring: Ring, entry: NewEntry): Promise<void> => {
  const { subject, body } = entry;
  const message = isKey(entry) ? { subject, body } : { subject, body, headers: bareHeaders(entry) };
  while (!ring.tryPublish(message, () => undefined)) await ring.room();
};

/** One message after another through a ring, without waiting for any. */
const pipelined = (nc: NatsConnection): BareRuns => {
  const ring = createRing(nc);
  return {
    live: async (count) => {
      for (let at = 0; at < count; at += 1) for (const entry of written()) await put(ring, entry);
      await ring.drained();
    },
  };
};

/** Entries that wait while a batch of their stream is in flight go with the next one: one sync a batch. Keys are few and go by themselves. */
const grouped = (nc: NatsConnection): BareRuns => {
  const loops = new Map<string, (entry: NewEntry) => Promise<number>>();
  const append = (entry: NewEntry): Promise<number> => {
    const family = entry.subject.split('.')[3] ?? '';
    const loop = loops.get(family) ?? createGroupLoop(nc);
    loops.set(family, loop);
    return loop(entry);
  };
  const ring = createRing(nc);
  return {
    live: async (count) => {
      let left = count;
      const worker = async (): Promise<void> => {
        while (left > 0) {
          left -= 1;
          const entries = written();
          const appended = Promise.all(entries.filter((entry) => !isKey(entry)).map(append));
          for (const entry of entries) if (isKey(entry)) await put(ring, entry);
          await appended;
        }
      };
      await Promise.all(Array.from({ length: WIDTH }, worker));
      await ring.drained();
    },
  };
};

/** The faster way of writing by hand in this profile. */
export const createBareRuns = (nc: NatsConnection, profile: 'always' | 'relaxed'): BareRuns =>
  profile === 'always' ? grouped(nc) : pipelined(nc);
