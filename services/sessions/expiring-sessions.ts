// Which sessions have storage that may be given up some day, and which evictions were asked for and are not settled, kept in memory from the
// bucket `sessions`: where the collector looks. Of what may be given up it is a hint only, and nothing is decided from it; what it says of an
// eviction is of the place in the log where that was asked for, and never changes.
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue, KeyValueEntry } from '#libs/ports/key-value.ts';
import { viewKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { sessionViewSchema } from '#streams/session-view.ts';
import type { Boundary } from '#streams/subjects.ts';

/** A session whose storage may be given up when its time is over. */
export interface ExpiringSession {
  readonly boundary: Boundary;
  readonly sessionId: string;
  /** Of its storage. */
  readonly name: string;
  readonly expiresAt: number;
  readonly updatedAt: number;
}

/** An eviction that was asked for and is not settled. */
export interface OpenEviction {
  readonly boundary: Boundary;
  readonly sessionId: string;
  readonly id: string;
  /** Under way where it was asked for. */
  readonly runs: readonly string[];
}

/** An eviction that was open when the session's record stood at `seq`. */
interface AskedEviction extends Omit<OpenEviction, 'runs'> {
  readonly seq: number;
}

export interface ExpiringSessions {
  /** Keeps the index until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /** Resolves when the sessions that were there at the start are known. */
  readonly ready: Promise<void>;
  /** ST-48: those whose time is over at `now` (epoch ms), the one that was left alone for longest first. */
  due(now: number, boundary?: Boundary): readonly ExpiringSession[];
  open(boundary?: Boundary): readonly OpenEviction[];
  /** The runs of an eviction, as soon as the summary has come to it; undefined: not within this time, or it is settled. */
  runsAt(asked: AskedEviction, withinMs: number): Promise<readonly string[] | undefined>;
}

const indexedSchema = sessionViewSchema.pick({
  seq: true,
  tenant: true,
  project: true,
  sessionId: true,
  activeRuns: true,
  expiresAt: true,
  storage: true,
  updatedAt: true,
});
type Indexed = ReturnType<typeof indexedSchema.parse>;

/** What a value of the bucket says; undefined: it cannot be read. */
const indexedOf = (value: Uint8Array): Indexed | undefined => {
  const parsed = indexedSchema.safeParse(parseJson(value));
  return parsed.success ? parsed.data : undefined;
};

/** Undefined: nothing of it can be given up, as it is now. */
const expiringOf = (view: Indexed): ExpiringSession | undefined => {
  const { tenant, project, sessionId, activeRuns, expiresAt, storage, updatedAt } = view;
  if (storage === null || storage.evictedAt !== null || storage.eviction !== null) return undefined;
  if (expiresAt === null || activeRuns.length > 0) return undefined;
  return { boundary: { tenant, project }, sessionId, name: storage.name, expiresAt, updatedAt };
};

const openOf = ({ tenant, project, sessionId, storage }: Indexed): OpenEviction | undefined => {
  const eviction = storage?.eviction ?? null;
  if (eviction === null) return undefined;
  const { id, runs } = eviction;
  return { boundary: { tenant, project }, sessionId, id, runs };
};

const isIn = (one: Boundary, boundary: Boundary | undefined): boolean =>
  boundary === undefined || (one.tenant === boundary.tenant && one.project === boundary.project);

/** Keeps a key's value up to date. */
const keep = <Value>(map: Map<string, Value>, key: string, value: Value | undefined): void => {
  if (value === undefined) map.delete(key);
  else map.set(key, value);
};

/**
 * As a summary without storage is written, which nothing else in it can look like: most are, and have nothing that can be given up. So they are
 * not read, which is most of what following them costs.
 */
const KEEPS_NOTHING = Buffer.from('"storage":null');

/** An empty index over the bucket `sessions`. */
export const createExpiringSessions = (kv: KeyValue, clock: Clock): ExpiringSessions => {
  const sessions = new Map<string, ExpiringSession>();
  const evictions = new Map<string, OpenEviction>();
  const known = Promise.withResolvers<void>();
  const waiting = new Map<string, Set<(view: Indexed) => void>>();

  const note = (key: string, view: Indexed | undefined): void => {
    keep(sessions, key, view && expiringOf(view));
    keep(evictions, key, view && openOf(view));
    if (view !== undefined) for (const tell of waiting.get(key) ?? []) tell(view);
  };

  const noteValue = ({ key, value }: KeyValueEntry): void => {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    const isOfInterest = waiting.has(key) || !bytes.includes(KEEPS_NOTHING);
    note(key, isOfInterest ? indexedOf(value) : undefined);
  };

  return {
    watch: async (signal) => {
      for await (const events of kv.watchTogether({ signal, borrowsValues: true }))
        for (const event of events) {
          if (signal.aborted) return;
          if (event.kind === 'current') known.resolve();
          else if (event.kind === 'put') noteValue(event.entry);
          else note(event.key, undefined);
        }
    },
    ready: known.promise,
    due: (now, boundary) =>
      [...sessions.values()]
        .filter((one) => one.expiresAt <= now && isIn(one.boundary, boundary))
        .toSorted((a, b) => a.updatedAt - b.updatedAt || (a.sessionId < b.sessionId ? -1 : 1)),
    open: (boundary) => [...evictions.values()].filter((one) => isIn(one.boundary, boundary)),
    runsAt: async ({ boundary, sessionId, id, seq }, withinMs) => {
      const key = viewKey(boundary, sessionId);
      const answer = Promise.withResolvers<readonly string[] | undefined>();
      const tell = (view: Indexed): void => {
        const open = openOf(view);
        if (open?.id === id) answer.resolve(open.runs);
        else if (view.seq > seq) answer.resolve(undefined);
      };
      const tells = waiting.get(key) ?? new Set();
      waiting.set(key, tells.add(tell));
      const cancel = clock.timer(withinMs, () => answer.resolve(undefined));
      try {
        // What was shown before this began is told by the bucket, what is shown later by the watch.
        const entry = await kv.get(key);
        const view = entry === undefined ? undefined : indexedOf(entry.value);
        if (view !== undefined) tell(view);
        return await answer.promise;
      } finally {
        cancel();
        tells.delete(tell);
        if (tells.size === 0) waiting.delete(key);
      }
    },
  };
};
