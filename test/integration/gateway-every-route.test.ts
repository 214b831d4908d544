// The same mistakes at every declared route of the HTTP API, so that no route is more patient than the others: what each refuses is told with
// its place, before anything is looked up, and nothing of it reaches a log. And what a list makes of a value that cannot be read. No owner of
// anything runs here.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { gateway } from '#services/gateway/service.ts';
import { viewKey } from '#streams/buckets.ts';
import { jsonBytes } from '#streams/entry.ts';
import { SESSION_VIEW_EXAMPLE } from '#streams/generate-session-examples.ts';
import { API } from '#streams/http/api.ts';
import type { ApiRoute } from '#streams/http/route.ts';
import { makeId } from '#streams/ids.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';

let broker: FreshBroker;
let plane: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  const config = { gateway: { port: 0, maxBodyBytes: 2000, requestTimeoutMs: 300, readWaitMs: 100 } };
  plane = await startControlPlane({ broker, services: [gateway], config });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

type Named = readonly [string, ApiRoute];
const ROUTES: readonly Named[] = Object.entries(API);
const withQuery = ROUTES.filter(([, { query }]) => query !== undefined);
const withBody = ROUTES.filter(([, { body }]) => body !== undefined);
const takes = ({ query, body }: ApiRoute, field: string): boolean => field in ((query ?? body)?.shape ?? {});

/** What a route answers to a query or to a body, in short. */
const answerOf = async (route: ApiRoute, { query = '', body }: { query?: string; body?: string }) => {
  const path = route.path.replaceAll(/:\w+/g, 'run_none');
  // What is taken after all may be a stream without an end.
  const stop = new AbortController();
  const response = await fetch(`${plane.url()}${path}${query}`, {
    signal: stop.signal,
    method: route.method,
    ...(route.method === 'POST' && { headers: { 'content-type': 'application/json' }, body: body ?? '{}' }),
  });
  const isJson = response.headers.get('content-type')?.includes('json') === true;
  const problem = isJson
    ? ((await response.json()) as { readonly code?: string; readonly detail?: string })
    : {};
  stop.abort();
  const { code, detail } = problem;
  return { status: response.status, code, detail };
};

/** The same of many routes, by name, without the words. */
const answersOf = async (routes: readonly Named[], asked: Parameters<typeof answerOf>[1]) =>
  Promise.all(
    routes.map(async ([name, route]) => {
      const { status, code } = await answerOf(route, asked);
      return `${name}: ${status} ${code}`;
    }),
  );
const all = (routes: readonly Named[], answer: string): readonly string[] =>
  routes.map(([name]) => `${name}: ${answer}`);

describe('every route of the HTTP API', () => {
  test('names a field of the query that it does not know, and one of the body', async () => {
    for (const [name, route] of [...withQuery, ...withBody])
      expect({ name, ...(await answerOf(route, { query: '?colour=red' })) }).toMatchObject({
        name,
        status: 400,
        code: 'INPUT_INVALID',
        detail: expect.stringContaining('query.colour: unknown field'),
      });
    for (const [name, route] of withBody)
      expect({ name, ...(await answerOf(route, { body: '{"colour":"red"}' })) }).toMatchObject({
        name,
        status: 400,
        code: 'INPUT_INVALID',
        detail: expect.stringContaining('colour: unknown field'),
      });
  });

  test('WK-60 refuses a limit and a sequence that are no numbers, with 400', async () => {
    const limited = withQuery.filter(([, route]) => takes(route, 'limit'));
    const after = withQuery.filter(([, route]) => takes(route, 'afterSeq'));
    expect(limited.length).toBeGreaterThan(8);
    for (const limit of ['many', '', '1e3', 'NaN', '0x10'])
      expect(await answersOf(limited, { query: `?limit=${limit}` })).toEqual(
        all(limited, '400 INPUT_INVALID'),
      );
    for (const seq of ['many', '-1', '1.5', '9'.repeat(20)])
      expect(await answersOf(after, { query: `?afterSeq=${seq}` })).toEqual(all(after, '400 INPUT_INVALID'));
  });

  test('refuses a body over the limit with 413, one that is no JSON or no object with 400', async () => {
    const large = JSON.stringify({ colour: 'x'.repeat(3000) });
    expect(await answersOf(withBody, { body: large })).toEqual(all(withBody, '413 INPUT_TOO_LARGE'));
    for (const body of ['', '{"a":', '\u0000'])
      expect(await answersOf(withBody, { body })).toEqual(all(withBody, '400 INPUT_MALFORMED'));
    for (const body of ['[]', 'null', '"x"', '7'])
      expect(await answersOf(withBody, { body })).toEqual(all(withBody, '400 INPUT_INVALID'));
  });

  test('ER-07 refuses another tenant or project with 403, and says no more of what is not there than of what is', async () => {
    const bounded = withQuery.filter(([, route]) => takes(route, 'tenant'));
    expect(bounded.length).toBeGreaterThan(15);
    for (const query of ['?tenant=other', '?project=other'])
      expect(await answersOf(bounded, { query })).toEqual(all(bounded, '403 BOUNDARY_DENIED'));
  });

  test('leaves nothing on record of all that', async () => {
    const streams = ['TRANSITIONS', 'EVENTS', 'COMMANDS', 'MESSAGES', 'DEADLETTERS'];
    const seqs = await Promise.all(
      streams.map(async (name) => (await plane.ports.log(name).bounds()).lastSeq),
    );
    expect(seqs).toEqual(streams.map(() => 0));
  });
});

interface SessionPage {
  readonly count: number;
  readonly next: string | null;
  readonly sessions: readonly { readonly sessionId: string }[];
}

test('ST-36 a value that cannot be read is neither shown nor counted, and whoever follows the pages sees everything else', async () => {
  const ids = Array.from({ length: 3 }, () => makeId('session', systemIds.ulid()));
  const view = { ...SESSION_VIEW_EXAMPLE, ...BOUNDARY, activeRuns: [] };
  const { createdAt: _createdAt, ...cut } = view;
  for (const [at, sessionId] of ids.entries()) {
    const value = { ...(at === 1 ? cut : view), sessionId, lastActivityAt: 1000 - at };
    await plane.ports.bucket('sessions').put(viewKey(BOUNDARY, sessionId), jsonBytes(value));
  }
  const pageOf = async (query: string): Promise<SessionPage> =>
    (await (await fetch(`${plane.url()}/api/v1/sessions?${query}`)).json()) as SessionPage;
  await expect.poll(async () => (await pageOf('limit=9')).count).toBe(2);
  const pages: SessionPage[] = [];
  for (let cursor = ''; pages.length < 9;) {
    const page = await pageOf(`limit=1${cursor}`);
    pages.push(page);
    if (page.next === null) break;
    cursor = `&cursor=${page.next}`;
  }
  expect(pages.map(({ count }) => count)).toEqual([1, 0, 1]);
  const shown = pages.flatMap(({ sessions }) => sessions.map(({ sessionId }) => sessionId));
  expect(shown).toEqual([ids[0], ids[2]]);
});
