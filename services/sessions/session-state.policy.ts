// What a session is, as folded from its own transitions. Pure; the rules that make the history are in session.decider.ts. No event
// drops what it does not name (WK-50): storage outlives a new title, the program's id outlives new metadata.
import type { ProviderName } from '#streams/run.ts';
import type { SessionEvent, SessionOpened, SessionStorage } from '#streams/session.ts';
import { DEFAULT_SUBFOLDER } from '#streams/session.ts';

/** Where what it wrote is kept; `isEvicted`: it was given up. */
interface KeptStorage extends SessionStorage {
  readonly isEvicted: boolean;
  /** An eviction that was asked for and is not settled. */
  readonly eviction: { readonly id: string; readonly reason: string } | null;
}

/** A session as folded from its history; undefined before it was opened. */
export interface Session {
  readonly sessionId: string;
  readonly tenant: string;
  readonly project: string;
  readonly agent: string;
  readonly provider: ProviderName;
  readonly title: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly conversationId: string | null;
  readonly providerSessionId: string | null;
  /** The claim that the program's id was told under; null: a person or tool gave it, or nobody has. */
  readonly boundBy: { readonly runId: string; readonly fence: number } | null;
  readonly expiresAt: number | null;
  readonly subfolder: string;
  readonly storage: KeptStorage | null;
}
export type SessionState = Session | undefined;

const opened = (event: SessionOpened): Session => ({
  sessionId: event.sessionId,
  tenant: event.tenant,
  project: event.project,
  agent: event.agent,
  provider: event.provider,
  title: event.title ?? null,
  metadata: event.metadata ?? {},
  conversationId: event.conversationId ?? null,
  providerSessionId: event.providerSessionId ?? null,
  boundBy: null,
  expiresAt: event.expiresAt ?? null,
  subfolder: event.subfolder ?? DEFAULT_SUBFOLDER,
  storage: null,
});

const DETAILS = [
  'title',
  'metadata',
  'conversationId',
  'providerSessionId',
  'expiresAt',
  'subfolder',
] as const;

/** What an event says about a session besides whose it is: the fields it names. */
export const namedDetails = (
  source: Partial<Record<(typeof DETAILS)[number], unknown>>,
): Partial<Pick<Session, (typeof DETAILS)[number]>> =>
  Object.fromEntries(
    DETAILS.filter((name) => source[name] !== undefined).map((name) => [name, source[name]]),
  );

const kept = (storage: SessionStorage): KeptStorage => ({ ...storage, isEvicted: false, eviction: null });

/** The session after one more event. Total over every released event. */
export const evolveSession = (session: SessionState, event: SessionEvent): SessionState => {
  if (event.type === 'fleetlog.session.opened.v1') return session ?? opened(event);
  if (session === undefined) return undefined;
  if (event.type === 'fleetlog.session.updated.v1') {
    const isBound = event.providerSessionId !== undefined;
    return { ...session, ...namedDetails(event), ...(isBound && { boundBy: event.boundBy ?? null }) };
  }
  if (event.type === 'fleetlog.session.stored.v1')
    return { ...session, subfolder: event.subfolder, storage: kept(event.storage) };
  const { storage } = session;
  // Another storage has taken the place of the one that was given up.
  if (storage === null || storage.name !== event.name) return session;
  if (event.type === 'fleetlog.session.eviction-asked.v1')
    return { ...session, storage: { ...storage, eviction: { id: event.evictionId, reason: event.reason } } };
  const isEvicted = event.type === 'fleetlog.session.evicted.v1';
  return { ...session, storage: { ...storage, isEvicted, eviction: null } };
};
