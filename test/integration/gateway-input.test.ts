// Bad input at the HTTP API: each mistake has its code and status, a problem document, and leaves the log as it was.
import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { systemIds } from '#libs/system/ids.ts';
import { makeId } from '#streams/ids.ts';
import { PROMPT_LIMIT_CHARACTERS } from '#streams/commands.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';

let broker: FreshBroker;
let plane: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  plane = await startControlPlane({
    broker,
    services: [runs, gateway],
    config: { gateway: { port: 0, maxBodyBytes: 900_000 } },
  });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

const json = { 'content-type': 'application/json' };
const unknownRun = makeId('run', systemIds.ulid());

interface Case {
  readonly name: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly status: number;
  readonly code: string;
  readonly kind?: string;
  readonly says?: RegExp;
}

const run = (changes: Record<string, unknown>): string => JSON.stringify({ prompt: 'x', ...changes });

const CASES: readonly Case[] = [
  { name: 'malformed JSON', body: '{"prompt": ', status: 400, code: 'INPUT_MALFORMED' },
  { name: 'an empty body', body: '', status: 400, code: 'INPUT_MALFORMED' },
  { name: 'JSON that is no object', body: '[1]', status: 400, code: 'INPUT_INVALID' },
  {
    name: 'bytes that are not UTF-8',
    body: '{"prompt":"\\ud800',
    status: 400,
    code: 'INPUT_MALFORMED',
  },
  {
    name: 'unknown fields, each named',
    body: run({ promt: 'x', agnt: 'y' }),
    status: 400,
    code: 'INPUT_INVALID',
    says: /promt: unknown field; agnt: unknown field/,
  },
  {
    name: 'a missing prompt',
    body: '{}',
    status: 400,
    code: 'INPUT_INVALID',
    says: /^prompt: missing; expected string$/,
  },
  { name: 'an empty prompt', body: '{"prompt":""}', status: 400, code: 'INPUT_INVALID' },
  {
    name: 'a prompt over the limit, which is stated',
    body: run({ prompt: 'x'.repeat(PROMPT_LIMIT_CHARACTERS + 1) }),
    status: 400,
    code: 'INPUT_INVALID',
    says: /200000 characters/,
  },
  { name: 'a bad agent name', body: run({ agent: 'Not A Name' }), status: 400, code: 'INPUT_INVALID' },
  { name: 'a subject as a name', body: run({ agent: 'a.b.>' }), status: 400, code: 'INPUT_INVALID' },
  { name: 'a path as a workspace', body: run({ workspace: '../etc' }), status: 400, code: 'INPUT_INVALID' },
  { name: 'an unknown provider', body: run({ provider: 'abacus' }), status: 400, code: 'INPUT_INVALID' },
  { name: 'a lease out of range', body: run({ leaseMs: 1 }), status: 400, code: 'INPUT_INVALID' },
  { name: 'a number as text', body: run({ maxAttempts: '3' }), status: 400, code: 'INPUT_INVALID' },
  { name: 'a session that is no id', body: run({ session: 'x' }), status: 400, code: 'INPUT_INVALID' },
  { name: 'ER-12 an unknown agent', body: run({ agent: 'nobody' }), status: 404, code: 'AGENT_UNKNOWN' },
  {
    name: 'ER-07 a foreign tenant',
    body: run({ tenant: 'other' }),
    status: 403,
    code: 'BOUNDARY_DENIED',
    kind: 'tenant-policy-denied',
  },
  { name: 'ER-07 a foreign project', body: run({ project: 'other' }), status: 403, code: 'BOUNDARY_DENIED' },
  {
    name: 'a name of the query that comes twice',
    path: '/api/v1/runs?limit=1&limit=2&agent=a',
    method: 'GET',
    status: 400,
    code: 'INPUT_INVALID',
    says: /^query\.limit: given more than once$/,
  },
  {
    name: 'a wrong content type',
    body: run({}),
    headers: { 'content-type': 'text/plain' },
    status: 415,
    code: 'CONTENT_TYPE_UNSUPPORTED',
  },
  {
    name: 'a body that is packed',
    body: run({}),
    headers: { ...json, 'content-encoding': 'GZip' },
    status: 415,
    code: 'CONTENT_ENCODING_UNSUPPORTED',
    says: /content encoding is "gzip"/,
  },
  {
    name: 'a body over the limit, which is stated',
    body: run({ prompt: 'x'.repeat(1_000_000) }),
    status: 413,
    code: 'INPUT_TOO_LARGE',
    says: /900000 bytes/,
  },
  {
    name: 'a bad idempotency key',
    body: run({}),
    headers: { ...json, 'idempotency-key': 'with blank' },
    status: 400,
    code: 'INPUT_INVALID',
    says: /header.idempotency-key/,
  },
  {
    name: 'ER-01 the cancel of an unknown run',
    path: `/api/v1/runs/${unknownRun}/cancel`,
    body: '{}',
    status: 404,
    code: 'RUN_UNKNOWN',
    kind: 'schema-invalid',
  },
  {
    name: 'an unknown field of a cancel',
    path: `/api/v1/runs/${unknownRun}/cancel`,
    body: '{"why":"x"}',
    status: 400,
    code: 'INPUT_INVALID',
  },
  {
    name: 'a method that a path does not take',
    path: '/api/v1/runs',
    method: 'DELETE',
    status: 405,
    code: 'METHOD_UNSUPPORTED',
  },
  { name: 'an unknown path', path: '/api/v1/nothing', method: 'GET', status: 404, code: 'ROUTE_UNKNOWN' },
  ...[
    [`/api/v1/runs/${unknownRun}`, 404, 'RUN_UNKNOWN'],
    ['/api/v1/runs/not-an-id', 404, 'RUN_UNKNOWN'],
    [`/api/v1/runs/${unknownRun}/events`, 404, 'RUN_UNKNOWN'],
    [`/api/v1/runs/${unknownRun}/stream`, 404, 'RUN_UNKNOWN'],
    ['/api/v1/sessions/ses_x', 404, 'SESSION_UNKNOWN'],
    ['/api/v1/runs?limit=', 400, 'INPUT_INVALID'],
    ['/api/v1/runs?limit=0x10', 400, 'INPUT_INVALID'],
    ['/api/v1/sessions?limit=many', 400, 'INPUT_INVALID'],
    ['/api/v1/tasks?limit=NaN', 400, 'INPUT_INVALID'],
    ['/api/v1/sessions?state=busy', 400, 'INPUT_INVALID'],
    ['/api/v1/sessions?cursor=t1.e2', 400, 'CURSOR_INVALID'],
    ['/api/v1/sessions/changes?after=-1', 400, 'INPUT_INVALID'],
    ['/api/v1/runs?limit=many', 400, 'INPUT_INVALID'],
    ['/api/v1/runs?state=lost', 400, 'INPUT_INVALID'],
    ['/api/v1/runs?colour=red', 400, 'INPUT_INVALID'],
    ['/api/v1/runs?cursor=!!', 400, 'CURSOR_INVALID'],
    ['/api/v1/runs?tenant=other', 403, 'BOUNDARY_DENIED'],
    [`/api/v1/runs/${unknownRun}/events?limit=all`, 400, 'INPUT_INVALID'],
    [`/api/v1/runs/${unknownRun}/events?after=5`, 400, 'CURSOR_INVALID'],
    ['/api/v1/stream?subject=fleet..x', 400, 'INPUT_INVALID'],
    ['/api/v1/stream?subject=fleet.other.%3E', 403, 'BOUNDARY_DENIED'],
    ['/api/v1/stream?after=t999.e999', 400, 'CURSOR_INVALID'],
  ].map(([path, status, code]) => ({
    name: `WK-60 GET ${String(path)}`,
    path: String(path),
    method: 'GET',
    status: Number(status),
    code: String(code),
  })),
];

const send = ({ path = '/api/v1/runs', method = 'POST', headers = json, body }: Case): Promise<Response> =>
  fetch(`${plane.url()}${path}`, {
    method,
    headers: method === 'POST' ? headers : {},
    ...(body !== undefined && { body }),
  });

const lastSeqs = async (): Promise<number[]> => {
  const streams = ['TRANSITIONS', 'EVENTS', 'COMMANDS', 'DEADLETTERS'];
  return Promise.all(streams.map(async (stream) => (await plane.ports.log(stream).bounds()).lastSeq));
};

describe('ST-31 WK-60 bad input', () => {
  for (const one of CASES)
    test(`${one.name} is refused with ${one.status} ${one.code}`, async () => {
      const before = await lastSeqs();
      const response = await send(one);
      const body = (await response.json()) as Record<string, unknown>;
      expect({ status: response.status, body }).toMatchObject({
        status: one.status,
        body: { status: one.status, code: one.code, ...(one.kind !== undefined && { kind: one.kind }) },
      });
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(body).toMatchObject({
        type: expect.stringMatching(/^urn:fleetlog:problem:/),
        title: expect.any(String),
        detail: expect.stringMatching(one.says ?? /./),
        requestId: response.headers.get('x-request-id'),
      });
      expect(await lastSeqs()).toEqual(before);
    });

  test('a method that is not taken names those that are', async () => {
    const response = await fetch(`${plane.url()}/api/v1/runs`, { method: 'PUT' });
    expect(response.headers.get('allow')).toBe('POST, GET, HEAD');
  });

  test('every mistake of a body is listed with its place', async () => {
    const response = await send({
      name: '',
      status: 400,
      code: '',
      body: run({ agent: '!', leaseMs: 'x', y: 1 }),
    });
    const { errors } = (await response.json()) as { errors: { path: string }[] };
    expect(errors.map(({ path }) => path).sort()).toEqual(['agent', 'leaseMs', 'y']);
  });
});

test('a body that grows over the limit without saying so is cut off', async () => {
  const before = await lastSeqs();
  const status = await new Promise<number>((resolve, reject) => {
    const { hostname, port } = new URL(plane.url());
    const options = { hostname, port, path: '/api/v1/runs', method: 'POST', headers: json };
    const request = httpRequest(options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
      request.destroy();
    });
    // The answer comes while the client is still sending.
    request.on('error', (error) => {
      if (!request.destroyed) reject(error);
    });
    const chunk = Buffer.alloc(64 * 1024, 'x');
    for (let at = 0; at < 20; at += 1) request.write(chunk);
    request.end();
  });
  expect(status).toBe(413);
  expect(await lastSeqs()).toEqual(before);
});

describe('request ids', () => {
  test('are taken over when they are well formed, and made otherwise', async () => {
    const idOf = async (given: string) =>
      (await fetch(`${plane.url()}/healthz`, { headers: { 'x-request-id': given } })).headers.get(
        'x-request-id',
      );
    expect(await idOf('my-request.1')).toBe('my-request.1');
    expect(await idOf('<script>')).toMatch(/^req_/);
  });
});

/** A request whose Host header is of the test's choosing. */
const withHeaders = (path: string, headers: Record<string, string>): Promise<number> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(plane.url());
    const request = httpRequest({ hostname, port, path, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.on('error', reject);
    request.end();
  });

describe('access', () => {
  test('a foreign host name, or a page of another origin, is denied on loopback', async () => {
    expect(await withHeaders('/api/v1/runs', { host: 'localhost:1234' })).toBe(200);
    expect(await withHeaders('/api/v1/runs', { host: '[::1]:1234' })).toBe(200);
    expect(await withHeaders('/api/v1/runs', { host: 'evil.example' })).toBe(403);
    expect(await withHeaders('/api/v1/runs', { host: 'localhost', origin: 'http://evil.example' })).toBe(403);
    expect(await withHeaders('/api/v1/runs', { host: 'localhost:7', origin: 'http://localhost:7' })).toBe(
      200,
    );
  });

  test('no answer ever allows another origin', async () => {
    const response = await fetch(`${plane.url()}/api/v1/runs`, { method: 'OPTIONS' });
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  test('with a token set, everything but the health check asks for it', async () => {
    await using guarded = await startControlPlane({
      broker,
      services: [gateway],
      config: { gateway: { port: 0, apiToken: 'open-sesame' } },
    });
    const status = async (path: string, authorization?: string) =>
      (
        await fetch(
          `${guarded.url()}${path}`,
          authorization === undefined ? {} : { headers: { authorization } },
        )
      ).status;
    expect(await status('/healthz')).toBe(200);
    expect(await status('/api/v1/runs')).toBe(401);
    expect(await status('/api/v1/nothing')).toBe(401);
    expect(await status('/api/v1/runs', 'Bearer open-sesam')).toBe(401);
    expect(await status('/api/v1/runs', 'Basic open-sesame')).toBe(401);
    expect(await status('/api/v1/runs', 'Bearer open-sesame')).toBe(200);
    expect(JSON.stringify(guarded.lines)).not.toContain('open-sesame');
  });
});
