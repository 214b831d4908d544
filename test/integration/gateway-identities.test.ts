// Who asks: tokens of persons, agents and services from a file, on a real broker and over a real connection.
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runFleetlog } from '#services/command-line.ts';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { history } from '#test/support/scripted-runner.ts';
import { recordedTerminal } from '#test/support/recorded-terminal.ts';

let broker: FreshBroker;
let plane: ControlPlane;
let folder: string;
let file: string;

type Json = Record<string, unknown>;

const cli = async (...argv: string[]): Promise<{ code: number; body: Json; out: string }> => {
  const { terminal, out } = recordedTerminal();
  const code = await runFleetlog(['token', ...argv, '--file', file, '--json'], {
    terminal,
    environment: {},
    workingDirectory: folder,
    signal: new AbortController().signal,
    readStandardInput: () => Promise.resolve(undefined),
  });
  return { code, body: JSON.parse(out.join('\n')) as Json, out: out.join('\n') };
};
const tokenOf = async (name: string, ...more: string[]): Promise<string> =>
  String((await cli('add', name, ...more)).body['token']);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetlog-tokens-'));
  file = join(folder, 'tokens.json');
  broker = await freshBroker();
  await provision(broker);
  plane = await startControlPlane({
    broker,
    services: [runs, gateway],
    config: {
      gateway: { port: 0, apiToken: 'everybody', tokensFile: file, requestBurst: 100, requestsPerSecond: 1 },
    },
  });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const call = async (path: string, token?: string, body?: unknown) => {
  const response = await fetch(`${plane.url()}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Json, headers: response.headers };
};

/** A gateway looks at the file now and then: asks until the answer is this one. */
const becomes = (token: string, status: number): Promise<void> =>
  expect.poll(async () => (await call('/api/v1/me', token)).status, { timeout: 5000 }).toBe(status);

describe('a token of the file', () => {
  test('is taken up without a restart, says who asks, and is on record as the actor', async () => {
    const token = await tokenOf('anna', '--role', 'release');
    await becomes(token, 200);
    expect((await call('/api/v1/me', token)).body).toEqual({
      name: 'anna',
      kind: 'person',
      roles: ['release'],
      tenant: 'local',
      project: 'main',
    });
    const { status, body } = await call('/api/v1/runs', token, { prompt: 'x' });
    expect(status).toBe(202);
    const entry = await plane.ports
      .log('TRANSITIONS')
      .last(aggregateSubject(BOUNDARY, 'run', String(body['runId'])));
    expect(entry?.headers['Fleet-Actor']).toBe('user:anna');
    expect(await history(plane.ports, String(body['runId']))).toHaveLength(1);
  });

  test('beside the one API token, which goes on working', async () => {
    expect((await call('/api/v1/me', 'everybody')).body).toMatchObject({ name: 'api', kind: 'service' });
    expect((await call('/api/v1/me')).status).toBe(401);
  });

  test('that only reads changes nothing', async () => {
    const token = await tokenOf('auditor', '--role', 'reads-only');
    await becomes(token, 200);
    expect(await call('/api/v1/runs', token, { prompt: 'x' })).toMatchObject({
      status: 403,
      body: { code: 'TOKEN_READS_ONLY', kind: 'tenant-policy-denied' },
    });
    expect((await call('/api/v1/runs', token)).status).toBe(200);
  });

  test('ER-07 of another tenant opens nothing and is told nothing', async () => {
    const token = await tokenOf('spy', '--tenant', 'other');
    await becomes(token, 403);
    const { runId } = (await call('/api/v1/runs', 'everybody', { prompt: 'x' })).body;
    for (const path of [`/api/v1/runs/${String(runId)}`, '/api/v1/runs/run_none', '/api/v1/runs'])
      expect(await call(path, token)).toMatchObject({ status: 403, body: { code: 'TOKEN_FOREIGN' } });
  });

  test('ends with its time, and when it is revoked', async () => {
    const brief = await tokenOf('brief', '--expires', '1ms');
    const token = await tokenOf('carl');
    await becomes(token, 200);
    expect((await call('/api/v1/me', brief)).status).toBe(401);
    expect((await cli('revoke', 'carl')).body).toMatchObject({ revoked: [expect.stringMatching(/^tok_/)] });
    await becomes(token, 401);
    expect(await cli('revoke', 'carl')).toMatchObject({
      code: 1,
      body: { error: { code: 'TOKEN_UNKNOWN' } },
    });
  });

  test('still counts when the file is broken, which is told of', async () => {
    const token = await tokenOf('dora');
    await becomes(token, 200);
    const { body } = await cli('list');
    await writeFile(file, '{"tokens": [');
    const isTold = () =>
      plane.lines.some(({ message }) => String(message).includes('token file cannot be read'));
    await expect
      .poll(async () => (await call('/api/v1/me', token)) && isTold(), { timeout: 5000 })
      .toBe(true);
    expect((await call('/api/v1/me', token)).status).toBe(200);
    expect((await cli('add', 'emil')).body).toMatchObject({ error: { code: 'TOKENS_UNREADABLE' } });
    await rm(file);
    await becomes(token, 401);
    expect(JSON.stringify(body)).not.toContain(token);
  });
});

describe('the token file', () => {
  test('is for its owner alone, holds no token, and survives many writers', async () => {
    const tokens = await Promise.all(['w1', 'w2', 'w3'].map((name) => cli('add', name)));
    const made = tokens.filter(({ code }) => code === 0);
    const { out, body } = await cli('list');
    expect((body['tokens'] as unknown[]).length).toBe(made.length);
    for (const one of tokens.filter(({ code }) => code !== 0))
      expect(one.body).toMatchObject({ error: { code: 'TOKENS_LOCKED', retry: 'later' } });
    for (const one of made) expect(out).not.toContain(String(one.body['token']));
    expect((await stat(file)).mode & 0o077).toBe(0);
  });

  test.each([
    [['add', 'Not A Name'], /name:/],
    [['add', 'api'], /nobody's own/],
    [['add', 'x', '--kind', 'robot'], /--kind/],
    [['add', 'x', '--role', 'Very Important'], /--role/],
    [['add', 'x', '--expires', 'soon'], /--expires/],
  ])('%j is wrong usage', async (argv, says) => {
    const { code, body } = await cli(...argv);
    expect({ code, body }).toMatchObject({ code: 2, body: { error: { code: 'ARGUMENT_INVALID' } } });
    expect((body['error'] as Json)['message']).toMatch(says);
  });
});

test('an identity that asks too often is told when to ask again, and others are not', async () => {
  const [eager, calm] = [await tokenOf('eager'), await tokenOf('calm')];
  await becomes(calm, 200);
  const answers = await Promise.all(Array.from({ length: 120 }, () => call('/api/v1/me', eager)));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused[0]).toMatchObject({
    body: { code: 'REQUESTS_TOO_MANY', kind: 'rate-limited', status: 429 },
  });
  expect(Number(refused[0]?.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  expect((await call('/api/v1/me', calm)).status).toBe(200);
});

/** Bytes over a bare connection, and all that is answered. */
const raw = (bytes: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(plane.url());
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString();
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });

const auth = 'Authorization: Bearer everybody\r\nHost: localhost\r\nConnection: close\r\n';

describe('what no route sees', () => {
  test.each([
    ['huge headers', `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'HEADERS_TOO_LARGE'],
    ['no HTTP at all', 'hello\r\n\r\n', 400, 'HTTP_MALFORMED'],
    ['an unknown method', `BREW /api/v1/runs HTTP/1.1\r\n${auth}\r\n`, 400, 'HTTP_MALFORMED'],
    ['a broken escape', `GET /api/v1/runs/%E0%A4%A HTTP/1.1\r\n${auth}\r\n`, 404, 'RUN_UNKNOWN'],
    ['a climbing path', `GET /api/v1/../../etc HTTP/1.1\r\n${auth}\r\n`, 404, 'ROUTE_UNKNOWN'],
    ['no host', 'GET /api/v1/runs HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'HTTP_MALFORMED'],
    ['two hosts', `GET /api/v1/runs HTTP/1.1\r\nHost: evil.example\r\n${auth}\r\n`, 400, 'HTTP_MALFORMED'],
    ['one host, twice', `GET /healthz HTTP/1.1\r\nhost: localhost\r\n${auth}\r\n`, 400, 'HTTP_MALFORMED'],
    ['an escaped query', `GET /api/v1/runs?limit=%zz HTTP/1.1\r\n${auth}\r\n`, 400, 'INPUT_INVALID'],
  ])('%s is answered with a problem', async (_what, bytes, status, code) => {
    const answer = await raw(bytes);
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(answer.toLowerCase()).toContain('content-type: application/problem+json');
    expect(answer.toLowerCase()).toContain('x-request-id: ');
    expect(answer).toContain(`"code":"${code}"`);
  });

  test('a packed body is told how it is taken', async () => {
    const head = `POST /api/v1/runs HTTP/1.1\r\n${auth}Content-Type: application/json\r\nContent-Length: 2\r\n`;
    const packed = await raw(`${head}Content-Encoding: br\r\n\r\n{}`);
    expect(packed).toMatch(/^HTTP\/1.1 415 /);
    expect(packed.toLowerCase()).toContain('\r\naccept-encoding: identity\r\n');
    expect(await raw(`${head}Content-Encoding: Identity\r\n\r\n{}`)).toContain('"code":"INPUT_INVALID"');
  });

  test('a body nested without end is a mistake of its sender', async () => {
    const response = await fetch(`${plane.url()}/api/v1/runs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer everybody' },
      body: `{"prompt":"[[[[\\"[","x":${'['.repeat(200_000)}`,
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      errors: [{ message: expect.stringContaining('100 levels') }],
    });
  });
});
