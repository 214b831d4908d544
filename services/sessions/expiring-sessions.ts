// Which sessions have storage that may be given up some day, kept in memory from the bucket `sessions`: where the collector looks. Holds
// nothing of sessions that never expire or have a run under way. A hint only: it may be behind, and nothing is decided from it.
import type { KeyValue } from '#libs/ports/key-value.ts';
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

export interface ExpiringSessions {
  /** Keeps the index until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /** Resolves when the sessions that were there at the start are known. */
  readonly ready: Promise<void>;
  /** ST-48: those whose time is over at `now` (epoch ms), the one that was left alone for longest first. */
  due(now: number, boundary?: Boundary): readonly ExpiringSession[];
}

const indexedSchema = sessionViewSchema.pick({
  tenant: true,
  project: true,
  sessionId: true,
  activeRuns: true,
  expiresAt: true,
  storage: true,
  updatedAt: true,
});

/** What a value of the bucket says; undefined: nothing of it can be given up, as it is now. */
const expiringOf = (value: Uint8Array): ExpiringSession | undefined => {
  const parsed = indexedSchema.safeParse(parseJson(value));
  if (!parsed.success) return undefined;
  const { tenant, project, sessionId, activeRuns, expiresAt, storage, updatedAt } = parsed.data;
  if (storage === null || storage.evictedAt !== null) return undefined;
  if (expiresAt === null || activeRuns.length > 0) return undefined;
  return { boundary: { tenant, project }, sessionId, name: storage.name, expiresAt, updatedAt };
};

const isIn = (one: Boundary, boundary: Boundary | undefined): boolean =>
  boundary === undefined || (one.tenant === boundary.tenant && one.project === boundary.project);

/** An empty index over the bucket `sessions`. */
export const createExpiringSessions = (kv: KeyValue): ExpiringSessions => {
  const sessions = new Map<string, ExpiringSession>();
  const known = Promise.withResolvers<void>();
  return {
    watch: async (signal) => {
      for await (const event of kv.watch({ signal })) {
        if (event.kind === 'current') known.resolve();
        else {
          const expiring = event.kind === 'put' ? expiringOf(event.entry.value) : undefined;
          const key = event.kind === 'put' ? event.entry.key : event.key;
          if (expiring === undefined) sessions.delete(key);
          else sessions.set(key, expiring);
        }
      }
    },
    ready: known.promise,
    due: (now, boundary) =>
      [...sessions.values()]
        .filter((one) => one.expiresAt <= now && isIn(one.boundary, boundary))
        .toSorted((a, b) => a.updatedAt - b.updatedAt || (a.sessionId < b.sessionId ? -1 : 1)),
  };
};
