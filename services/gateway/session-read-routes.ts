// Reading sessions: lists by attention, changes in the order in which they happened, one session, and the record and output of its runs in
// pages whose cursor always advances. Changes nothing.
import { SESSION_API } from '#streams/http/sessions.ts';
import { shows } from './catch-up.ts';
import { FEED_START, parsePosition } from './cursor.ts';
import { readEventPage } from './event-page.ts';
import { findSession } from './find-run.ts';
import {
  foreignBoundary,
  isRefused,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { parseInput } from './input.ts';
import { answerPage, type Rest } from './json-page.ts';
import { sourcesOfRun } from './read-routes.ts';
import type { SessionRow } from './session-row.ts';
import {
  formatSessionCursor,
  listedSession,
  parseSessionCursor,
  runOfSession,
  sessionExtras,
  sessionIndexFor,
  sessionIndexOf,
  sessionLinks,
} from './session-reading.ts';

/** ST-38: texts, what tools and programs put out, changed files, mistakes, and the end. */
const OUTPUT_REPORTS = [
  'text',
  'tool-finished',
  'output',
  'file-changed',
  'hook-failed',
  'turn-finished',
] as const;

const answerSessions = (
  parts: GatewayParts,
  request: GatewayRequest,
  page: { readonly rows: readonly SessionRow[]; readonly reader: string | undefined; readonly rest: Rest },
): Response =>
  answerPage(request, {
    name: 'sessions',
    view: parts.views.sessions,
    moreOf: (row: SessionRow) => sessionExtras(parts, row, page.reader),
    ...page,
  });

const listSessions =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(SESSION_API.listSessions.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const after = query.cursor === undefined ? undefined : parseSessionCursor(query.cursor);
    await shows(parts, parts.views.sessions, query.afterSeq);
    const { state, agent, provider, reader, limit } = query;
    const index = await sessionIndexFor(parts, query);
    const { rows, hasMore } = index.page({ state, agent, provider, reader, after, limit });
    const last = rows.at(-1);
    const next =
      hasMore && last !== undefined
        ? formatSessionCursor({ ...last, group: index.groupOf(last, reader) })
        : null;
    const filters = {
      state,
      agent: agent ?? null,
      provider: provider ?? null,
      readerId: reader ?? null,
      limit,
    };
    return answerSessions(parts, request, { rows, reader, rest: (count) => ({ count, next, filters }) });
  };

const listChanges =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(SESSION_API.listSessionChanges.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    await shows(parts, parts.views.sessions, query.afterSeq);
    const { after, agent, provider, reader, limit } = query;
    const upTo = parts.views.sessions.position();
    const { rows, ...rest } = sessionIndexOf(parts).changes(
      { after, upTo },
      limit,
      (row) =>
        (agent === undefined || row.agent === agent) && (provider === undefined || row.provider === provider),
    );
    return answerSessions(parts, request, { rows, reader, rest });
  };

const getSession =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(SESSION_API.getSession.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const session = await findSession(parts, request.req.param('id') ?? '', query.afterSeq);
    if (isRefused(session)) return session;
    const shown = listedSession(parts, session, query.reader);
    return request.json({ ...shown, links: sessionLinks(session.sessionId) });
  };

/** A page of the record, of everything or of some reports. */
const pageOfRun =
  (parts: GatewayParts, reportTypes?: readonly string[]) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(SESSION_API.getSessionTrace.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const from = query.after === undefined ? FEED_START : parsePosition(query.after);
    const session = await findSession(parts, request.req.param('id') ?? '');
    if (isRefused(session)) return session;
    const { sessionId } = session;
    const run = await runOfSession(parts, session, query.run);
    if (run === undefined)
      return request.json({ sessionId, runId: null, events: [], next: null, hasMore: false, gone: [] });
    if (isRefused(run)) return run;
    const signal = AbortSignal.any([parts.signal, request.req.raw.signal]);
    const sources = sourcesOfRun(parts, run, reportTypes);
    const { items, ...rest } = await readEventPage(sources, { from, limit: query.limit, signal });
    // Items are JSON already: they are not parsed to be written again.
    const head = JSON.stringify({ sessionId, runId: run.runId, ...rest }).slice(0, -1);
    return request.body(`${head},"events":[${items.join(',')}]}`, 200, {
      'content-type': 'application/json',
    });
  };

export const sessionReadRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...SESSION_API.listSessions, handle: listSessions(parts) },
  { ...SESSION_API.listSessionChanges, handle: listChanges(parts) },
  { ...SESSION_API.getSession, handle: getSession(parts) },
  { ...SESSION_API.getSessionTrace, handle: pageOfRun(parts) },
  { ...SESSION_API.getSessionOutput, handle: pageOfRun(parts, OUTPUT_REPORTS) },
];
