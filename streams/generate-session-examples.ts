// One example of every event and request of sessions, and of their summary, for the generated pages and the golden entries.
// Typed by the contract. Not used at run time.
import { EXAMPLE, EXAMPLE_AT } from './generate-examples.ts';
import { EXAMPLE_TASK_ID } from './generate-task-examples.ts';
import type { SessionEventType } from './session-codec.ts';
import type { SessionOperation, SessionRequestOf, SessionResultOf } from './session-requests.ts';
import type { ReadCursor, SessionView } from './session-view.ts';
import type { SessionEvent, SessionStorage } from './session.ts';

const { boundary, agent, runId, sessionId } = EXAMPLE;
const AT = EXAMPLE_AT;
const SECOND = 1000;
const DAY = 24 * 3600 * SECOND;
const providerSessionId = '3dd1e431-7e21-4751-96bb-0819b8495a68';
const storage: SessionStorage = {
  kind: 'folder',
  name: 'forge-7:/srv/fleet/cart',
  bytes: 48_211_904,
  files: 1204,
  sha256: 'b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9',
};

const evictionId = `${sessionId}.collect.${AT + 30 * DAY}`;
const about = { sessionId, ...boundary, agent, provider: 'exec' as const };

/** Every event of a session. */
export const SESSION_EXAMPLES: {
  readonly [Type in SessionEventType]: Extract<SessionEvent, { type: Type }>;
} = {
  'fleetlog.session.opened.v1': { type: 'fleetlog.session.opened.v1', ...about, runId, openedAt: AT },
  'fleetlog.session.updated.v1': {
    type: 'fleetlog.session.updated.v1',
    ...about,
    providerSessionId,
    boundBy: { runId, fence: 17 },
    updatedAt: AT + 3 * SECOND,
  },
  'fleetlog.session.stored.v1': {
    type: 'fleetlog.session.stored.v1',
    ...about,
    storage,
    subfolder: 'sessions',
    storedAt: AT + 20 * SECOND,
  },
  'fleetlog.session.eviction-asked.v1': {
    type: 'fleetlog.session.eviction-asked.v1',
    ...about,
    kind: storage.kind,
    name: storage.name,
    reason: 'its time is over',
    evictionId,
    askedAt: AT + 30 * DAY,
  },
  'fleetlog.session.eviction-refused.v1': {
    type: 'fleetlog.session.eviction-refused.v1',
    ...about,
    name: storage.name,
    evictionId,
    runs: [runId],
    refusedAt: AT + 30 * DAY,
  },
  'fleetlog.session.evicted.v1': {
    type: 'fleetlog.session.evicted.v1',
    ...about,
    kind: storage.kind,
    name: storage.name,
    reason: 'its time is over',
    evictedAt: AT + 30 * DAY,
  },
};

/** The summary. */
export const SESSION_VIEW_EXAMPLE: SessionView = {
  seq: 14,
  ...boundary,
  sessionId,
  agent,
  provider: 'exec',
  title: 'Cart rounding',
  isTitled: false,
  activeRuns: [runId],
  runs: 1,
  lastRunId: runId,
  lastOutcome: null,
  lastFailureKind: null,
  version: 11,
  metadata: { area: 'cart' },
  conversationId: null,
  providerSessionId,
  expiresAt: AT + 30 * DAY,
  storage: { ...storage, updatedAt: AT + 20 * SECOND, evictedAt: null, eviction: null },
  subfolder: 'sessions',
  createdAt: AT,
  lastActivityAt: AT + 2 * SECOND,
  updatedAt: AT,
};

/** What a reader has seen. */
export const CURSOR_EXAMPLE: ReadCursor = {
  seq: 11,
  reader: 'anna',
  kind: 'session',
  id: sessionId,
  readAt: AT + 60 * SECOND,
};

const position = { sessionId, seq: 15, repeated: false };
const actor = 'user:anna';
const requestId = '01KAJ5NVN0P6Q8R1S3T5V7W9YZ';

/** Every request with its result. */
export const SESSION_REQUEST_EXAMPLES: {
  readonly [Op in SessionOperation]: {
    readonly request: SessionRequestOf<Op>;
    readonly result: SessionResultOf<Op>;
  };
} = {
  upsert: {
    request: {
      sessionId,
      agent,
      provider: 'exec',
      details: { title: 'Cart rounding', metadata: { area: 'cart' }, expiresAt: AT + 30 * DAY },
      requestId,
      actor,
    },
    result: position,
  },
  store: {
    request: { sessionId, storage, requestId, actor: 'service:keeper' },
    result: position,
  },
  evict: {
    request: { sessionId, name: storage.name, reason: 'the disk is full', requestId, actor },
    result: position,
  },
  collect: {
    request: { isTrial: true, actor },
    result: { evicted: [{ sessionId, name: storage.name, expiresAt: AT + 30 * DAY }], hasMore: false },
  },
  'mark-read': {
    request: { of: { kind: 'task', id: EXAMPLE_TASK_ID }, reader: 'anna', version: 14 },
    result: { reader: 'anna', version: 14, readAt: AT + 60 * SECOND, moved: true },
  },
};
