// The checks of a process and the server that shows them.
import { describe, expect, onTestFinished, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createCheckBoard } from '#libs/service/checks.ts';
import { startHealthServer, type HealthFacts } from '#libs/service/health.ts';

describe('checks', () => {
  test('a pushed check is failing until its owner says otherwise, and knows since when', async () => {
    const clock = createManualClock();
    const board = createCheckBoard(clock);
    const check = board.of('tasks').push('commands');
    await clock.advance(100);
    expect(await board.report()).toEqual([
      { name: 'tasks.commands', ok: false, detail: 'starting', sinceMs: 100 },
    ]);
    check.ok();
    await clock.advance(50);
    check.ok('still');
    expect(await board.report()).toEqual([
      { name: 'tasks.commands', ok: true, detail: 'still', sinceMs: 50 },
    ]);
    check.failing('broker away');
    expect(await board.report()).toMatchObject([{ ok: false, detail: 'broker away', sinceMs: 0 }]);
    check.remove();
    expect(await board.report()).toEqual([]);
  });

  test('a probe is asked on each look; its throw is a failing check', async () => {
    const clock = createManualClock();
    const board = createCheckBoard(clock);
    let isUp = true;
    board.of('ports').add('connection', () => {
      if (!isUp) throw new Error('gone');
      return { ok: true, detail: 'up' };
    });
    board.of('a').add('later', async () => ({ ok: true, detail: 'x' }));
    expect((await board.report()).map(({ name }) => name)).toEqual(['a.later', 'ports.connection']);
    isUp = false;
    expect((await board.report())[1]).toMatchObject({ ok: false, detail: 'gone' });
  });

  test('a probe that does not answer is a failing check after two seconds', async () => {
    const clock = createManualClock();
    const board = createCheckBoard(clock);
    board.of('a').add('stuck', () => new Promise(() => undefined));
    const report = board.report();
    await clock.advance(2_000);
    expect(await report).toMatchObject([{ ok: false, detail: 'no answer within 2000 ms' }]);
  });
});

describe('the health server', () => {
  const facts: HealthFacts = {
    liveness: () => ({ ok: true, lagMs: 1.4 }),
    phase: () => 'running',
    checks: async () => [{ name: 'a.b', ok: true, detail: 'ok', sinceMs: 5 }],
    version: () => ({ version: '1.2.3' }),
    metrics: async () => ({ contentType: 'text/plain; version=0.0.4', body: 'x 1\n' }),
  };

  const serve = async (given: Partial<HealthFacts> = {}): Promise<string> => {
    const server = await startHealthServer({ ...facts, ...given }, { host: '127.0.0.1', port: 0 });
    onTestFinished(() => server.close());
    return server.url;
  };

  const get = async (url: string, init: RequestInit = {}) => {
    const response = await fetch(url, init);
    const body = await response.text();
    return { status: response.status, headers: response.headers, body };
  };

  test('answers the four endpoints', async () => {
    const url = await serve();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await get(`${url}/healthz`)).toMatchObject({ status: 200, body: '{"status":"ok","lagMs":1}\n' });
    expect(await get(`${url}/readyz?verbose`)).toMatchObject({
      status: 200,
      body: '{"status":"ready","checks":[{"name":"a.b","ok":true,"detail":"ok","sinceMs":5}]}\n',
    });
    expect(await get(`${url}/version`)).toMatchObject({ status: 200, body: '{"version":"1.2.3"}\n' });
    const metrics = await get(`${url}/metrics`);
    expect([metrics.body, metrics.headers.get('content-type')]).toEqual([
      'x 1\n',
      'text/plain; version=0.0.4',
    ]);
  });

  test('says 503 when it should be restarted, and why', async () => {
    const url = await serve({ liveness: () => ({ ok: false, lagMs: 20_000, detail: 'blocked' }) });
    expect(await get(`${url}/healthz`)).toMatchObject({
      status: 503,
      body: '{"status":"failing","lagMs":20000,"detail":"blocked"}\n',
    });
  });

  test('is not ready while a check fails, while it starts and while it drains', async () => {
    const failing = await serve({ checks: async () => [{ name: 'a', ok: false, detail: 'no', sinceMs: 1 }] });
    expect(await get(`${failing}/readyz`)).toMatchObject({
      status: 503,
      body: expect.stringContaining('"not-ready"') as unknown,
    });
    for (const phase of ['starting', 'draining'] as const) {
      const url = await serve({ phase: () => phase });
      expect(await get(`${url}/readyz`)).toMatchObject({
        status: 503,
        body: expect.stringContaining(`"${phase}"`) as unknown,
      });
    }
  });

  test('answers HEAD without a body', async () => {
    const url = await serve();
    const head = await get(`${url}/version`, { method: 'HEAD' });
    expect([head.status, head.body, head.headers.get('content-length')]).toEqual([200, '', '20']);
    expect(head.headers.get('cache-control')).toBe('no-store');
  });

  test('refuses other paths and methods with a code', async () => {
    const url = await serve();
    expect(await get(`${url}/nope`)).toMatchObject({
      status: 404,
      body: '{"code":"NOT_FOUND","message":"there is no /nope; see /healthz, /readyz, /version, /metrics"}\n',
    });
    expect((await get(`${url}/toString`)).status).toBe(404);
    const post = await get(`${url}/healthz`, { method: 'POST', body: 'x' });
    expect([post.status, post.headers.get('allow'), post.body]).toEqual([
      405,
      'GET, HEAD',
      '{"code":"METHOD_NOT_ALLOWED","message":"/healthz answers GET and HEAD only"}\n',
    ]);
  });

  test('answers 500 with a code when an endpoint itself fails', async () => {
    const url = await serve({ metrics: () => Promise.reject(new Error('broken gauge')) });
    expect(await get(`${url}/metrics`)).toMatchObject({
      status: 500,
      body: '{"code":"HEALTH_FAILED","message":"broken gauge"}\n',
    });
  });

  test('says that its port is taken', async () => {
    const { port } = new URL(await serve());
    await expect(startHealthServer(facts, { host: '127.0.0.1', port: Number(port) })).rejects.toMatchObject({
      code: 'HEALTH_LISTEN_FAILED',
      retry: 'never',
      message: expect.stringContaining(`cannot listen on 127.0.0.1:${port}: listen EADDRINUSE`) as unknown,
    });
  });
});
