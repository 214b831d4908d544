// Reading: runs, runners, and the record of a run in pages. Everything comes from the summaries in memory but the
// record, which comes from the streams. Changes nothing.
import type { Stamped } from '#libs/projections/projection.ts';
import { viewKey } from '#streams/buckets.ts';
import { READ_API } from '#streams/http/reads.ts';
import { boundaryQuery } from '#streams/http/route.ts';
import { RUN_API } from '#streams/http/runs.ts';
import { shows } from './catch-up.ts';
import { FEED_START, parseListCursor, parsePosition } from './cursor.ts';
import { readEventPage } from './event-page.ts';
import { runSources, type FeedSources } from './feed-source.ts';
import { findRun, type ShownRun } from './find-run.ts';
import {
  foreignBoundary,
  isRefused,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { parseInput } from './input.ts';
import { answerPage } from './json-page.ts';
import { linksOf } from './run-routes.ts';

/**
 * The two streams as far as they are about one run. Where its reports begin is read here, not taken from a run that was found earlier: a run
 * without activity has no report among those folded by now, and both must be of one moment, or the reports between are skipped.
 */
export const sourcesOfRun = (
  {
    hubs,
    views,
    boundary,
  }: Pick<GatewayParts, 'hubs' | 'boundary'> & {
    readonly views: Pick<GatewayParts['views'], 'activity'>;
  },
  { runId, agent }: Pick<ShownRun, 'runId' | 'agent'>,
  reportTypes?: readonly string[],
): FeedSources => {
  const activity = views.activity.get(viewKey(boundary, runId));
  return runSources(hubs, {
    boundary,
    ...(reportTypes !== undefined && { reportTypes }),
    runId,
    agent,
    firstReportSeq: activity?.state.firstSeq ?? views.activity.position() + 1,
  });
};

/** A value as it is shown, with the sequence it reflects; nothing when there is none. */
export const valueOf = <State extends object>(
  found: Stamped<State> | undefined,
): readonly (State & { readonly seq: number })[] =>
  found === undefined ? [] : [{ seq: found.seq, ...found.state }];

const listRuns =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(RUN_API.listRuns.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const after = query.cursor === undefined ? undefined : parseListCursor(query.cursor);
    const { views } = parts;
    await shows(parts, views.runs, query.afterSeq);
    views.runs.settle();
    const page = views.indexes.runs.page({ ...query, after });
    return answerPage(request, {
      name: 'runs',
      view: views.runs,
      rows: page.rows,
      rest: { next: page.next },
    });
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

const listRunners =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const foreign = foreignBoundary(parts, parseInput(boundaryQuery, request.req.query(), 'query'));
    if (foreign !== undefined) return foreign;
    const prefix = viewKey(parts.boundary, '');
    const runners = parts.views.runners
      .list()
      .flatMap(([key, runner]) => (key.startsWith(prefix) ? [runner] : []));
    return request.json({ agents: parts.agentNames(), runners });
  };

const listSources =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const foreign = foreignBoundary(parts, parseInput(boundaryQuery, request.req.query(), 'query'));
    if (foreign !== undefined) return foreign;
    // One a runner: few, and all of them are shown.
    const sources = [...parts.views.sources.list()].flatMap(([, found]) => valueOf(found));
    return request.json({ sources: sources.toSorted((a, b) => (a.agent < b.agent ? -1 : 1)) });
  };

export const readRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...RUN_API.listRuns, handle: listRuns(parts) },
  { ...RUN_API.getRun, handle: getRun(parts) },
  { ...RUN_API.listRunEvents, handle: getEvents(parts) },
  { ...READ_API.listRunners, handle: listRunners(parts) },
  { ...READ_API.listSources, handle: listSources(parts) },
];
