// The rules of a session: whose it is, what may be said about it, when its storage may be given up. Pure.
// Guarantees: tenant, project, agent and provider never change, and every command that takes them to be others is refused, tenancy
// first (ST-09, WK-51); no update drops what it does not name (WK-50); only the current storage is evicted, and never while a run is
// under way (WK-57); an older claim does not overwrite the program's id that a newer one told. Does not know runs: an eviction is asked for, and settled by
// what the summary says of the runs at the very place in the log where it was asked for (evictions.ts).
//
// (nothing) ─open | upsert→ opened ─upsert | bind→ updated*;  ─store→ stored ─evict→ eviction-asked ─settle→ evicted | eviction-refused;  ─store→ stored …
import { accept, reject, unchanged, type Decider, type Decision } from '#libs/kernel/decider.ts';
import { rejection, type Rejection } from '#libs/kernel/rejection.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import { foreignToSession, noSession } from '#streams/session-owner.policy.ts';
import type { AskedSession, SessionCommand, SessionEvent } from '#streams/session.ts';
import { evolveSession, namedDetails, type Session, type SessionState } from './session-state.policy.ts';

/** Refusals of a session. */
export type SessionRejection = Extract<RejectionCode, `SESSION_${string}` | 'BOUNDARY_DENIED'>;

type SessionDecision = Decision<SessionEvent, SessionRejection>;
type CommandOf<Kind extends SessionCommand['kind']> = Extract<SessionCommand, { readonly kind: Kind }>;

const aboutOf = ({ sessionId, tenant, project, agent, provider }: Session) => ({
  sessionId,
  tenant,
  project,
  agent,
  provider,
});

/** Why a command may not touch this session; undefined when it may. Tenancy is told first, and nothing of the session with it. */
const boundaryBroken = (session: Session, asked: AskedSession): SessionDecision | undefined => {
  const { sessionId } = session;
  if (asked.tenant !== session.tenant || asked.project !== session.project)
    return reject('BOUNDARY_DENIED', `session ${sessionId} belongs to another tenant or project`, {
      sessionId,
    });
  const refusal = foreignToSession(session, asked);
  return refusal && { kind: 'rejected', rejection: refusal };
};

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

const upsert = ({ details }: CommandOf<'upsert'>, session: Session, now: number): SessionDecision => {
  const named = namedDetails(details);
  const changed = Object.entries(named).filter(
    ([name, value]) => !isSame(session[name as keyof typeof named], value),
  );
  if (changed.length === 0) return unchanged;
  return accept({
    type: 'fleetlog.session.updated.v1',
    ...aboutOf(session),
    ...Object.fromEntries(changed),
    updatedAt: now,
  });
};

const bind = (command: CommandOf<'bind'>, session: Session, now: number): SessionDecision => {
  const { providerSessionId, boundBy } = command;
  if (session.providerSessionId === providerSessionId) return unchanged;
  // What the program of an earlier claim of the same run says comes late.
  const last = session.boundBy;
  if (last !== null && last.runId === boundBy.runId && last.fence > boundBy.fence) return unchanged;
  return accept({
    type: 'fleetlog.session.updated.v1',
    ...aboutOf(session),
    providerSessionId,
    boundBy,
    updatedAt: now,
  });
};

const store = (command: CommandOf<'store'>, session: Session, now: number): SessionDecision => {
  const { storage, subfolder = session.subfolder } = command;
  const kept = session.storage;
  if (kept !== null && !kept.isEvicted && subfolder === session.subfolder) {
    const { isEvicted: _isEvicted, eviction: _eviction, ...facts } = kept;
    if (isSame(facts, storage)) return unchanged;
  }
  return accept({
    type: 'fleetlog.session.stored.v1',
    ...aboutOf(session),
    storage,
    subfolder,
    storedAt: now,
  });
};

/** The refusal of an eviction while runs are under way. */
export const activeRefusal = (sessionId: string): Rejection<'SESSION_ACTIVE'> =>
  rejection('SESSION_ACTIVE', `a run of session ${sessionId} has not ended`, { sessionId });

const evict = (command: CommandOf<'evict'>, session: Session, now: number): SessionDecision => {
  const { name, reason, evictionId, isActive, onlyExpired } = command;
  const { storage, sessionId, expiresAt } = session;
  if (storage === null || storage.name !== name)
    return reject('SESSION_STORAGE_CHANGED', `the storage of session ${sessionId} is not ${name}`, {
      current: storage?.name ?? null,
    });
  if (storage.isEvicted || storage.eviction !== null) return unchanged;
  if (isActive) return { kind: 'rejected', rejection: activeRefusal(sessionId) };
  if (onlyExpired && (expiresAt === null || expiresAt > now))
    return reject('SESSION_NOT_EXPIRED', `session ${sessionId} has not expired`, { sessionId, expiresAt });
  return accept({
    type: 'fleetlog.session.eviction-asked.v1',
    ...aboutOf(session),
    kind: storage.kind,
    name,
    reason,
    evictionId,
    askedAt: now,
  });
};

const settle = (command: CommandOf<'settle'>, session: Session, now: number): SessionDecision => {
  const { evictionId, runs } = command;
  const { storage } = session;
  // Settled already, or the keeper has said since that it holds something else.
  if (storage?.eviction?.id !== evictionId) return unchanged;
  const { kind, name, eviction } = storage;
  if (runs.length > 0)
    return accept({
      type: 'fleetlog.session.eviction-refused.v1',
      ...aboutOf(session),
      name,
      evictionId,
      runs: [...runs],
      refusedAt: now,
    });
  return accept({
    type: 'fleetlog.session.evicted.v1',
    ...aboutOf(session),
    kind,
    name,
    reason: eviction.reason,
    evictedAt: now,
  });
};

/** A session that nobody has opened yet. */
const begin = (command: SessionCommand, now: number): SessionDecision => {
  const { sessionId } = command.asked;
  if (command.kind !== 'open' && command.kind !== 'upsert')
    return { kind: 'rejected', rejection: noSession(sessionId) };
  const { tenant, project, agent, provider } = command.asked;
  return accept({
    type: 'fleetlog.session.opened.v1',
    sessionId,
    tenant,
    project,
    agent,
    provider,
    runId: command.kind === 'open' ? command.runId : null,
    ...(command.kind === 'upsert' && namedDetails(command.details)),
    openedAt: now,
  });
};

const HANDLERS: {
  readonly [Kind in SessionCommand['kind']]: (
    command: CommandOf<Kind>,
    session: Session,
    now: number,
  ) => SessionDecision;
} = { open: () => unchanged, upsert, bind, store, evict, settle };

/** The rules as a decider. */
export const sessionDecider: Decider<SessionCommand, SessionEvent, SessionState, SessionRejection> = {
  initial: undefined,
  evolve: evolveSession,
  decide: (command, session, { now }) => {
    if (session === undefined) return begin(command, now);
    const refusal = boundaryBroken(session, command.asked);
    if (refusal !== undefined) return refusal;
    const handler = HANDLERS[command.kind] as (
      command: SessionCommand,
      session: Session,
      now: number,
    ) => SessionDecision;
    return handler(command, session, now);
  },
};
