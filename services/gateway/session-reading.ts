// What is read of sessions: a summary with what it is to a reader, the place of a page's last one as a cursor, and the run that a record is
// of. All from the summaries in memory and their index. Changes nothing.
import { Fault } from '#libs/kernel/fault.ts';
import type { SessionView } from '#streams/session-view.ts';
import { attentionOf, type Attention } from './attention.ts';
import { findRun, type ShownRun } from './find-run.ts';
import { isRefused, refuse, type GatewayParts, type Refused } from './http.ts';
import type { SessionIndex, SessionListing, SessionPlace } from './session-index.ts';
import type { SessionRow } from './session-row.ts';

const GROUP_LETTER = { active: 'a', unread: 'u', read: 'r' } as const;

/** The cursor of a page that ended with this row. */
export const formatSessionCursor = ({ group, lastActivityAt, updatedAt, id }: SessionPlace): string =>
  Buffer.from(`${GROUP_LETTER[group]}:${lastActivityAt}:${updatedAt}:${id}`).toString('base64url');

/** Throws `CURSOR_INVALID` (never). */
export const parseSessionCursor = (text: string): SessionPlace => {
  const parts = /^([aur]):(\d{1,15}):(\d{1,15}):(\w{1,100})$/.exec(
    Buffer.from(text, 'base64url').toString('utf8'),
  );
  const group = (['active', 'unread', 'read'] as const).find((name) => GROUP_LETTER[name] === parts?.[1]);
  if (parts?.[4] === undefined || group === undefined)
    throw new Fault({
      code: 'CURSOR_INVALID',
      retry: 'never',
      message: `${JSON.stringify(text.slice(0, 80))} is not a cursor of this API; expected the cursor of an earlier page`,
    });
  return { group, lastActivityAt: Number(parts[2]), updatedAt: Number(parts[3]), id: parts[4] };
};

/** Where everything about a session is. */
export const sessionLinks = (sessionId: string) => {
  const self = `/api/v1/sessions/${sessionId}`;
  return {
    self,
    trace: `${self}/trace`,
    output: `${self}/output`,
    runs: `/api/v1/runs?session=${sessionId}`,
    read: `${self}/read`,
  };
};

/** The orders of sessions as of everything that has come. */
export const sessionIndexOf = ({ views }: GatewayParts): SessionIndex => {
  views.sessions.settle();
  views.cursors.settle();
  return views.indexes.sessions;
};

/** The same, with the lists of a reader made. */
export const sessionIndexFor = async (
  parts: GatewayParts,
  listing: Pick<SessionListing, 'state' | 'agent' | 'provider' | 'reader'>,
): Promise<SessionIndex> => {
  const { reader } = listing;
  if (reader !== undefined) await sessionIndexOf(parts).prepare(reader, listing);
  return sessionIndexOf(parts);
};

/** What a session is to a reader, and what follows from the rest of it (ST-30). */
interface SessionExtras extends Attention {
  readonly executionState: 'idle' | 'running' | 'terminal';
  readonly sessionPath: string;
}

/** What is shown of a session beside its summary. */
export const sessionExtras = (
  { views, boundary }: GatewayParts,
  { id, version, isActive, isIdle }: Pick<SessionRow, 'id' | 'version' | 'isActive' | 'isIdle'>,
  reader: string | undefined,
): SessionExtras => {
  const ended = isIdle ? ('idle' as const) : ('terminal' as const);
  const thing = { kind: 'session', id, version, active: isActive } as const;
  return {
    executionState: isActive ? 'running' : ended,
    sessionPath: `${boundary.tenant}/${boundary.project}/${id}`,
    ...attentionOf(thing, reader, { cursors: views.cursors, boundary }),
  };
};

/** A session as it is shown. */
export const listedSession = (
  parts: GatewayParts,
  session: SessionView,
  reader: string | undefined,
): SessionView & SessionExtras => {
  const { sessionId: id, version, activeRuns, runs } = session;
  const row = { id, version, isActive: activeRuns.length > 0, isIdle: runs === 0 };
  return { ...session, ...sessionExtras(parts, row, reader) };
};

/**
 * ST-37: the run that is asked for, which must be one of the session; else the active one that was begun last, else the last; undefined:
 * there is none. Refusal: `RUN_UNKNOWN`.
 */
export const runOfSession = async (
  parts: GatewayParts,
  { sessionId, activeRuns, lastRunId }: SessionView,
  asked: string | undefined,
): Promise<ShownRun | Refused | undefined> => {
  const runId = asked ?? activeRuns.at(-1) ?? lastRunId;
  if (runId === null) return undefined;
  const run = await findRun(parts, runId);
  if (isRefused(run) || run.sessionId === sessionId) return run;
  return refuse('RUN_UNKNOWN', `no run ${runId} in session ${sessionId}`);
};
