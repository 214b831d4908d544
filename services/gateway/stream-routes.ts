// Live streams: GET /runs/{id}/stream and GET /stream. A stream resumes by `Last-Event-ID` or `?after=`; it ends when its
// client leaves, when its run has ended and everything before the end is out, or when the gateway stops.
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import { LIVE_API } from '#streams/http/live.ts';
import { EVENT_STREAM } from '#streams/http/route.ts';
import { nameSchema } from '#streams/ids.ts';
import { AGGREGATE_FAMILIES, aggregateFilter, aggregateSubject, typedFilter } from '#streams/subjects.ts';
import { checkReached, FEED_START, parsePosition, type FeedPosition } from './cursor.ts';
import { readFeed, type FeedOptions } from './feed.ts';
import { feedItem } from './feed-item.ts';
import { filteredSources } from './feed-source.ts';
import { findRun } from './find-run.ts';
import {
  foreignBoundary,
  isRefused,
  refuse,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { inputInvalid, parseInput } from './input.ts';
import { sourcesOfRun } from './read-routes.ts';
import { orderFeed } from './order-feed.ts';
import { feedFrame, plainFrame, sseBody, type SseOptions } from './sse.ts';
import { intersectFilters, isFilter } from './subject-filter.ts';
import { taskIndexOf } from './task-reading.ts';
import { SendTurns, Turnstile } from './turnstile.ts';

/** How many streams are open; a place is given back once. */
const createPlaces = (most: number, onChange: (taken: number) => void) => {
  let taken = 0;
  return {
    take: (): (() => void) => {
      if (taken >= most)
        throw new Fault({
          code: 'STREAMS_EXHAUSTED',
          retry: 'later',
          message: `${most} live streams are open, which is the limit`,
        });
      taken += 1;
      onChange(taken);
      return () => {
        taken -= 1;
        onChange(taken);
      };
    },
  };
};
type Places = ReturnType<typeof createPlaces>;

/** Pages of the past that are read at a time: each is a reading of its own for the broker. */
const MOST_CATCH_UPS = 8;

/** What all streams of a gateway share. */
interface Sharing {
  readonly places: Places;
  readonly turns: SendTurns;
  readonly turnstile: Turnstile;
}

/** Where the reader was: by the header of a reconnecting client, else as asked for. */
const givenPosition = (request: GatewayRequest, after: string | undefined): FeedPosition | undefined => {
  const given = request.req.header('last-event-id') ?? after;
  return given === undefined ? undefined : parsePosition(given);
};

const lastSeqs = async ({ hubs }: GatewayParts): Promise<FeedPosition> => {
  const [transitions, events] = await Promise.all([hubs.transitions.log.bounds(), hubs.events.log.bounds()]);
  return { transitions: transitions.lastSeq, events: events.lastSeq };
};

type Watching = Omit<FeedOptions, 'hubs' | 'turnstile' | 'signal'>;

const STREAM_HEADERS = {
  'content-type': `${EVENT_STREAM}; charset=utf-8`,
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
};

interface Serving {
  readonly parts: GatewayParts;
  readonly sharing: Sharing;
  readonly request: GatewayRequest;
}

interface Shown<Output> {
  readonly feedOf: (signal: AbortSignal) => AsyncGenerator<Output>;
  readonly frame: SseOptions<Output>['frame'];
}

const openStream = <Output>(
  { parts, sharing: { places, turns }, request }: Serving,
  { feedOf, frame }: Shown<Output>,
): Response => {
  // Nobody reads the body of an answer to HEAD, so nothing may be opened for it.
  if (request.req.method === 'HEAD') return new Response(null, { headers: STREAM_HEADERS });
  const leave = places.take();
  const closing = new AbortController();
  const signal = AbortSignal.any([parts.signal, closing.signal]);
  const body = sseBody({
    feed: feedOf(signal),
    frame,
    clock: parts.clock,
    heartbeatMs: parts.config.heartbeatMs,
    turns,
    stallMs: parts.config.streamStallMs,
    onStall: () => {
      parts.logger.info('a live stream was ended: its client takes nothing', { path: request.req.path });
      request.env.outgoing?.destroy();
    },
    onClose: () => {
      closing.abort();
      leave();
    },
    onFailure: (error) => parts.logger.warn('live stream failed; its client will come again', { error }),
  });
  return new Response(body, { headers: STREAM_HEADERS });
};

const streamResponse = (serving: Serving, watching: Watching): Response =>
  openStream(serving, {
    feedOf: (signal) =>
      readFeed({ ...watching, hubs: serving.parts.hubs, turnstile: serving.sharing.turnstile, signal }),
    frame: feedFrame,
  });

const runStream =
  (parts: GatewayParts, sharing: Sharing) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(LIVE_API.streamRun.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const given = givenPosition(request, query.after);
    const run = await findRun(parts, request.req.param('id') ?? '');
    if (isRefused(run)) return run;
    const from = given ?? FEED_START;
    if (given !== undefined) checkReached(given, await lastSeqs(parts));
    const last = await parts.transitions.last(aggregateSubject(parts.boundary, 'run', run.runId));
    const hasEnded =
      last !== undefined && last.seq <= from.transitions && feedItem('TRANSITIONS', last).endsRun;
    const sources = sourcesOfRun(parts, run);
    return streamResponse({ parts, sharing, request }, { sources, from, endsWithRun: true, hasEnded });
  };

/** What of each stream a subject filter selects within the tenant and project served here; a refusal for a foreign one. */
const selection = ({ boundary }: GatewayParts, subject: string) => {
  if (!isFilter(subject))
    throw inputInvalid([
      {
        path: 'query.subject',
        message: 'expected a subject filter such as fleet.*.*.run.> (see streams/README.md)',
      },
    ]);
  const own = intersectFilters(subject, `fleet.${boundary.tenant}.${boundary.project}.>`);
  if (own === undefined)
    return refuse(
      'BOUNDARY_DENIED',
      `${subject} selects nothing of tenant ${boundary.tenant}, project ${boundary.project}`,
    );
  const within = (filters: readonly string[]): string[] =>
    filters.flatMap((filter) => intersectFilters(own, filter) ?? []);
  return {
    transitions: within(AGGREGATE_FAMILIES.map((family) => aggregateFilter(family, boundary))),
    events: within([typedFilter('evt', boundary)]),
  };
};

const fleetStream =
  (parts: GatewayParts, sharing: Sharing) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(LIVE_API.streamFleet.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const given = givenPosition(request, query.after);
    const filters = selection(parts, query.subject ?? 'fleet.>');
    if (isRefused(filters)) return filters;
    if (given !== undefined) checkReached(given, await lastSeqs(parts));
    const from = given ?? (await lastSeqs(parts));
    const sources = filteredSources(parts.hubs, filters);
    return streamResponse(
      { parts, sharing, request },
      { sources, from, endsWithRun: false, hasEnded: false },
    );
  };

const placeSchema = z.object({ queue: nameSchema });

const orderStream =
  (parts: GatewayParts, sharing: Sharing) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(LIVE_API.streamOrder.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const { queue } = parseInput(placeSchema, { queue: request.req.param('queue') }, '');
    const { tasks } = parts.views;
    const feedOf = (signal: AbortSignal) =>
      orderFeed({
        queue,
        read: () => ({ order: taskIndexOf(parts).firstWaiting(queue, query.limit), seq: tasks.position() }),
        subscribe: (onChange) => tasks.subscribe(onChange),
        clock: parts.clock,
        signal,
      });
    return openStream({ parts, sharing, request }, { feedOf, frame: plainFrame('order') });
  };

export const streamRoutes = (parts: GatewayParts): readonly Route[] => {
  const sharing = {
    places: createPlaces(parts.config.maxStreams, parts.onStreams),
    turns: new SendTurns(),
    turnstile: new Turnstile(MOST_CATCH_UPS),
  };
  return [
    { ...LIVE_API.streamRun, handle: runStream(parts, sharing) },
    { ...LIVE_API.streamFleet, handle: fleetStream(parts, sharing) },
    { ...LIVE_API.streamOrder, handle: orderStream(parts, sharing) },
  ];
};
