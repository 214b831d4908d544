// The summary of a session as a fold of its own transitions and those of its runs (bucket `sessions`). Pure and total over every
// released event. Active is a set of runs: the end of one never touches another (WK-52), and nothing that an event does not name is
// dropped (WK-50). `version` is the sequence of the last transition that a reader should know of (ST-40). Nothing is decided from it.
import type { RunEvent } from '#streams/run.ts';
import type { SessionView } from '#streams/session-view.ts';
import type { SessionEvent } from '#streams/session.ts';
import type { Boundary } from '#streams/subjects.ts';
import { namedDetails } from './session-state.policy.ts';

/** The value of the bucket without its stamp. */
export type SessionSummary = Omit<SessionView, 'seq'>;

/** A transition of a session or of one of its runs, whose it is and where it stands. */
export interface PlacedSessionEvent {
  readonly boundary: Boundary;
  readonly seq: number;
  /** When it happened, epoch ms. */
  readonly occurredAt: number;
  readonly event: RunEvent | SessionEvent;
}

type Created = Extract<RunEvent, { readonly type: 'fleetlog.run.created.v1' }>;
type Opened = Extract<SessionEvent, { readonly type: 'fleetlog.session.opened.v1' }>;

/** What a transition of a run means for its session: how it ended the run, or what else a reader should know of (`news`), if anything. */
type Effect =
  | { readonly ends: 'completed' | 'blocked' | 'failed' | 'cancelled'; readonly failureKind?: string }
  | 'news'
  | undefined;

const EFFECT: {
  readonly [Type in RunEvent['type']]: (event: Extract<RunEvent, { readonly type: Type }>) => Effect;
} = {
  'fleetlog.run.created.v1': () => 'news',
  'fleetlog.run.claimed.v1': () => undefined,
  'fleetlog.run.turn-started.v1': () => undefined,
  'fleetlog.run.cancel-requested.v1': () => undefined,
  'fleetlog.run.lease-expired.v1': ({ next }) => {
    if (next === 'queued') return undefined;
    return next === 'failed' ? { ends: next, failureKind: 'runner-lost' } : { ends: next };
  },
  'fleetlog.run.approval-asked.v1': () => undefined,
  'fleetlog.run.approval-counted.v1': () => undefined,
  'fleetlog.run.approval-answered.v1': () => undefined,
  'fleetlog.run.turn-finished.v1': () => 'news',
  'fleetlog.run.command-created.v1': ({ commandType }) => (commandType === 'interrupt' ? undefined : 'news'),
  'fleetlog.run.command-acknowledged.v1': () => undefined,
  'fleetlog.run.command-finished.v1': () => undefined,
  'fleetlog.run.command-cancelled.v1': () => undefined,
  'fleetlog.run.completed.v1': () => ({ ends: 'completed' }),
  'fleetlog.run.blocked.v1': () => ({ ends: 'blocked' }),
  'fleetlog.run.failed.v1': ({ failure }) => ({ ends: 'failed', failureKind: failure.kind }),
  'fleetlog.run.cancelled.v1': () => ({ ends: 'cancelled' }),
};

/** A session in which nothing has happened yet. */
const empty = ({ boundary, seq, occurredAt, event }: PlacedSessionEvent & { event: Created | Opened }) => ({
  tenant: boundary.tenant,
  project: boundary.project,
  sessionId: event.sessionId,
  agent: event.agent,
  provider: event.provider,
  title: null,
  isTitled: false,
  activeRuns: [],
  runs: 0,
  lastRunId: null,
  lastOutcome: null,
  lastFailureKind: null,
  version: seq,
  metadata: {},
  conversationId: null,
  providerSessionId: null,
  expiresAt: null,
  storage: null,
  subfolder: null,
  createdAt: occurredAt,
  lastActivityAt: occurredAt,
  updatedAt: occurredAt,
});

const withRun = (view: SessionSummary, event: Created): Partial<SessionSummary> => ({
  // A prompt names a session that nobody has named; a run without a title keeps the one that is there.
  title: view.isTitled ? view.title : (event.title ?? view.title),
  activeRuns: [...view.activeRuns, event.runId],
  runs: view.runs + 1,
  lastRunId: event.runId,
});

/**
 * News of a run that only say that it goes on move the activity when they are so much later: a session that is at work is then written when work
 * begins and when it ends, and not for each claim and start as well. What `lastActivityAt` shows is at most so old.
 */
const ACTIVITY_STEP_MS = 5000;

const afterRunEvent = (view: SessionSummary, placed: PlacedSessionEvent, event: RunEvent): SessionSummary => {
  const { occurredAt, seq } = placed;
  const effect = (EFFECT[event.type] as (event: RunEvent) => Effect)(event);
  if (effect === undefined)
    return occurredAt < view.lastActivityAt + ACTIVITY_STEP_MS
      ? view
      : { ...view, lastActivityAt: occurredAt };
  const lastActivityAt = Math.max(view.lastActivityAt, occurredAt);
  const news = { lastActivityAt, version: seq, updatedAt: Math.max(view.updatedAt, occurredAt) };
  if (event.type === 'fleetlog.run.created.v1') return { ...view, ...withRun(view, event), ...news };
  if (effect === 'news') return { ...view, ...news };
  const activeRuns = view.activeRuns.filter((runId) => runId !== event.runId);
  const lastFailureKind = effect.failureKind ?? null;
  return { ...view, ...news, activeRuns, lastOutcome: effect.ends, lastFailureKind };
};

type EvictionEvent = Extract<SessionEvent, { readonly type: `fleetlog.session.evict${string}` }>;

const isEvictionEvent = (event: SessionEvent): event is EvictionEvent =>
  event.type.startsWith('fleetlog.session.evict');

/** What a session's own event says about it. A title that somebody gave is not changed by prompts; taken away, they name it again. */
const told = (event: Exclude<SessionEvent, EvictionEvent>): Partial<SessionSummary> => {
  if (event.type === 'fleetlog.session.stored.v1') {
    const { storage, subfolder, storedAt } = event;
    return { storage: { ...storage, updatedAt: storedAt, evictedAt: null, eviction: null }, subfolder };
  }
  const { title, ...rest } = namedDetails(event);
  if (title === undefined) return rest;
  return title === null ? { ...rest, isTitled: false } : { ...rest, title, isTitled: true };
};

/** What becomes of storage that is to be given up; a wish alone, and a wish refused, are no news to readers. */
const afterEviction = (view: SessionSummary, seq: number, event: EvictionEvent): SessionSummary => {
  const { storage, activeRuns } = view;
  if (storage === null || storage.name !== event.name) return view;
  if (event.type === 'fleetlog.session.evicted.v1') {
    const { evictedAt } = event;
    const gone = { ...storage, evictedAt, updatedAt: evictedAt, eviction: null };
    return { ...view, storage: gone, version: seq, updatedAt: Math.max(view.updatedAt, evictedAt) };
  }
  if (event.type === 'fleetlog.session.eviction-refused.v1')
    return { ...view, storage: { ...storage, eviction: null } };
  // The place in the log where it was asked for settles it: what was begun before is known here, what is begun later comes after it.
  const { evictionId: id, askedAt } = event;
  return { ...view, storage: { ...storage, eviction: { id, askedAt, runs: activeRuns } } };
};

const afterSessionEvent = (
  view: SessionSummary,
  { seq, occurredAt }: PlacedSessionEvent,
  event: SessionEvent,
): SessionSummary => {
  if (isEvictionEvent(event)) return afterEviction(view, seq, event);
  const change = told(event);
  // The opening that follows from a first run says nothing that the run did not.
  if (Object.keys(change).length === 0) return view;
  return { ...view, ...change, version: seq, updatedAt: Math.max(view.updatedAt, occurredAt) };
};

/** Whether the event is one of a session itself. */
const isSessionEvent = (event: RunEvent | SessionEvent): event is SessionEvent =>
  event.type.startsWith('fleetlog.session.');

/**
 * The summary after one more transition; undefined while the session was not opened and no run was created in it. Does not skip what it
 * has seen: the projection does, by the sequence it stores beside the summary.
 */
export const foldSession = (
  before: SessionSummary | undefined,
  placed: PlacedSessionEvent,
): SessionSummary | undefined => {
  const { event } = placed;
  const isFirst = event.type === 'fleetlog.run.created.v1' || event.type === 'fleetlog.session.opened.v1';
  if (before === undefined && !isFirst) return undefined;
  const view = before ?? empty({ ...placed, event: event as Created | Opened });
  return isSessionEvent(event) ? afterSessionEvent(view, placed, event) : afterRunEvent(view, placed, event);
};
