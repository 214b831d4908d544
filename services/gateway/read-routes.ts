// Reading: runs, sessions, runners, and the record of a run in pages. Everything comes from the summaries in memory but the
// record, which comes from the streams. Changes nothing.
import type { ReadView } from '#libs/projections/read-view.ts';
import { viewKey } from '#streams/buckets.ts';
import { READ_API } from '#streams/http/reads.ts';
import { boundaryQuery } from '#streams/http/route.ts';
import { RUN_API } from '#streams/http/runs.ts';
import { FEED_START, parseListCursor, parsePosition } from './cursor.ts';
import { readEventPage } from './event-page.ts';
import { runSources, type FeedSources } from './feed-source.ts';
import { findRun, findSession, type ShownRun } from './find-run.ts';
import {
  foreignBoundary,
  isRefused,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { parseInput } from './input.ts';
import { pageOf } from './list-page.ts';
import { linksOf } from './run-routes.ts';

/** The two streams as far as they are about one run. */
export const sourcesOfRun = ({ hubs, views, boundary }: GatewayParts, run: ShownRun): FeedSources =>
  runSources(hubs, {
    boundary,
    runId: run.runId,
    agent: run.agent,
    // A run without activity has no report among those that were folded.
    firstReportSeq: run.activity?.firstSeq ?? views.activity.position() + 1,
  });

const ownKeys = ({ boundary }: GatewayParts): ((key: string) => boolean) => {
  const prefix = viewKey(boundary, '');
  return (key) => key.startsWith(prefix);
};

/** The values of a view that are wanted, each with the sequence it reflects. */
function* shownOf<State extends object>(
  view: ReadView<State>,
  isOwn: (key: string) => boolean,
  isWanted: (state: State) => boolean,
): Generator<State & { readonly seq: number }> {
  for (const [, { seq, state }] of view.list(isOwn)) if (isWanted(state)) yield { seq, ...state };
}

const listRuns =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(RUN_API.listRuns.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const after = query.cursor === undefined ? undefined : parseListCursor(query.cursor);
    const wanted = shownOf(
      parts.views.runs,
      ownKeys(parts),
      (run) =>
        (query.state === undefined || query.state.includes(run.state)) &&
        (query.agent === undefined || query.agent === run.agent) &&
        (query.session === undefined || query.session === run.sessionId),
    );
    const page = pageOf(wanted, (run) => ({ atMs: run.createdAt, id: run.runId }), {
      after,
      limit: query.limit,
    });
    return request.json({ runs: page.items, next: page.next });
  };

const getRun =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(RUN_API.getRun.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const run = await findRun(parts, request.req.param('id') ?? '', query.afterSeq);
    return isRefused(run) ? run : request.json({ ...run, links: linksOf(run) });
  };

const getEvents =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(RUN_API.listRunEvents.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const from = query.after === undefined ? FEED_START : parsePosition(query.after);
    const run = await findRun(parts, request.req.param('id') ?? '');
    if (isRefused(run)) return run;
    const signal = AbortSignal.any([parts.signal, request.req.raw.signal]);
    const page = await readEventPage(sourcesOfRun(parts, run), { from, limit: query.limit, signal });
    // Items are JSON already: they are not parsed to be written again.
    const { next, hasMore, gone } = page;
    const rest = JSON.stringify({ next, hasMore, gone });
    return request.body(`{"events":[${page.items.join(',')}],${rest.slice(1)}`, 200, {
      'content-type': 'application/json',
    });
  };

const listSessions =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(READ_API.listSessions.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const after = query.cursor === undefined ? undefined : parseListCursor(query.cursor);
    const wanted = shownOf(
      parts.views.sessions,
      ownKeys(parts),
      (session) => query.agent === undefined || query.agent === session.agent,
    );
    const positionOf = (session: { readonly createdAt: number; readonly sessionId: string }) => ({
      atMs: session.createdAt,
      id: session.sessionId,
    });
    const page = pageOf(wanted, positionOf, { after, limit: query.limit });
    return request.json({ sessions: page.items, next: page.next });
  };

const getSession =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const foreign = foreignBoundary(parts, parseInput(boundaryQuery, request.req.query(), 'query'));
    if (foreign !== undefined) return foreign;
    const session = await findSession(parts, request.req.param('id') ?? '');
    return isRefused(session) ? session : request.json(session);
  };

const listRunners =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const foreign = foreignBoundary(parts, parseInput(boundaryQuery, request.req.query(), 'query'));
    if (foreign !== undefined) return foreign;
    const isOwn = ownKeys(parts);
    const runners = parts.views.runners.list().flatMap(([key, runner]) => (isOwn(key) ? [runner] : []));
    return request.json({ agents: parts.config.agents, runners });
  };

const listSources =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const foreign = foreignBoundary(parts, parseInput(boundaryQuery, request.req.query(), 'query'));
    if (foreign !== undefined) return foreign;
    const sources = [...shownOf(parts.views.sources, ownKeys(parts), () => true)];
    return request.json({ sources: sources.toSorted((a, b) => (a.agent < b.agent ? -1 : 1)) });
  };

export const readRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...RUN_API.listRuns, handle: listRuns(parts) },
  { ...RUN_API.getRun, handle: getRun(parts) },
  { ...RUN_API.listRunEvents, handle: getEvents(parts) },
  { ...READ_API.listSessions, handle: listSessions(parts) },
  { ...READ_API.getSession, handle: getSession(parts) },
  { ...READ_API.listRunners, handle: listRunners(parts) },
  { ...READ_API.listSources, handle: listSources(parts) },
];
