// Commands and events of one session, for given–when–then and for laws.
import type { OpenedSession, SessionCommand, SessionEvent, SessionStorage } from '#streams/session.ts';

export const SESSION_ID = 'ses_01HF3Z0000000000000000000S';
export const FIRST_RUN = 'run_01HF3Z0000000000000000000A';
export const LATER_RUN = 'run_01HF3Z0000000000000000000B';

/** Whose session it is in the examples. */
export const OWNER = {
  sessionId: SESSION_ID,
  tenant: 'local',
  project: 'main',
  agent: 'builder-1',
  provider: 'claude',
} as const satisfies OpenedSession;

export const VOLUME: SessionStorage = { kind: 'volume', name: 'vol-1', bytes: 10, files: 2, sha256: null };

export const openedByRun: SessionEvent = {
  type: 'fleetlog.session.opened.v1',
  ...OWNER,
  runId: FIRST_RUN,
  openedAt: 10,
};

export const storedAt = (at: number, storage: SessionStorage = VOLUME): SessionEvent => ({
  type: 'fleetlog.session.stored.v1',
  ...OWNER,
  storage,
  subfolder: 'sessions',
  storedAt: at,
});

export const EVICTION_ID = `${SESSION_ID}.evict.1`;

export const evictionAskedAt = (at: number, name = VOLUME.name): SessionEvent => ({
  type: 'fleetlog.session.eviction-asked.v1',
  ...OWNER,
  kind: 'volume',
  name,
  reason: 'its time is over',
  evictionId: EVICTION_ID,
  askedAt: at,
});

export const evictionRefusedAt = (at: number, runs: readonly string[]): SessionEvent => ({
  type: 'fleetlog.session.eviction-refused.v1',
  ...OWNER,
  name: VOLUME.name,
  evictionId: EVICTION_ID,
  runs: [...runs],
  refusedAt: at,
});

export const evictedAt = (at: number, name = VOLUME.name): SessionEvent => ({
  type: 'fleetlog.session.evicted.v1',
  ...OWNER,
  kind: 'volume',
  name,
  reason: 'its time is over',
  evictedAt: at,
});

type Updated = Extract<SessionEvent, { readonly type: 'fleetlog.session.updated.v1' }>;

export const updatedAt = (at: number, change: Partial<Updated>): SessionEvent => ({
  type: 'fleetlog.session.updated.v1',
  ...OWNER,
  ...change,
  updatedAt: at,
});

/** One command of every kind, about a session that is taken to be so. */
export const everyCommand = (asked: OpenedSession): readonly SessionCommand[] => [
  { kind: 'open', asked, runId: LATER_RUN },
  { kind: 'upsert', asked, details: { title: 'Another' } },
  { kind: 'bind', asked, providerSessionId: 'p-9', boundBy: { runId: LATER_RUN, fence: 1 } },
  { kind: 'store', asked, storage: VOLUME },
  {
    kind: 'evict',
    asked,
    name: VOLUME.name,
    reason: 'full',
    evictionId: EVICTION_ID,
    isActive: false,
    onlyExpired: false,
  },
  { kind: 'settle', asked, evictionId: EVICTION_ID, runs: [] },
];
