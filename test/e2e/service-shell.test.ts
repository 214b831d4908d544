// A real service process (test/support/tiny-service.ts): its endpoints, its drain, its end by signal, crash and mistake.
import { describe, expect, test } from 'vitest';
import { spawnFile, type SpawnedProcess } from '#test/support/spawned-process.ts';

const secret = 'hunter2hunter2';

interface Tiny extends SpawnedProcess {
  readonly url: string;
}

const parse = (line: string): Readonly<Record<string, unknown>> =>
  JSON.parse(line) as Record<string, unknown>;

/** The tiny service once all of it has started. */
const startTiny = async (environment: Readonly<Record<string, string>> = {}): Promise<Tiny> => {
  const tiny = spawnFile('test/support/tiny-service.ts', { FLEETLOG_TINY_API_TOKEN: secret, ...environment });
  await tiny.stdout.until(/^work in hand$/);
  await tiny.stderr.until(/"all services have started"/);
  const { healthUrl } = parse(await tiny.stderr.until(/"process starts"/));
  return { ...tiny, url: String(healthUrl) };
};

const get = async (url: string): Promise<{ readonly status: number; readonly body: string }> => {
  const response = await fetch(url);
  return { status: response.status, body: await response.text() };
};

describe('a running service process', () => {
  test('answers its four endpoints', async () => {
    const { url } = await startTiny();
    const [health, ready, version, metrics] = await Promise.all(
      ['healthz', 'readyz', 'version', 'metrics'].map((path) => get(`${url}/${path}`)),
    );
    expect(health?.status).toBe(200);
    expect(parse(health?.body ?? '')).toMatchObject({ status: 'ok' });
    expect(ready?.status).toBe(200);
    expect(parse(ready?.body ?? '')).toMatchObject({
      status: 'ready',
      checks: [{ name: 'ports.connection' }, { name: 'tiny.start' }, { name: 'tiny.work', ok: true }],
    });
    expect(parse(version?.body ?? '')).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/) as unknown,
      node: process.version,
      startedAt: expect.stringMatching(/^20\d\d-.*Z$/) as unknown,
    });
    expect(metrics?.body).toContain('fleetlog_service_loop_restarts_total{service="tiny",loop="work"} 0');
    expect(metrics?.body).toContain('process_resident_memory_bytes');
  });

  test('writes JSON lines without its secrets, and warns of variables that nobody knows', async () => {
    const { stderr } = await startTiny({ FLEETLOG_TINY_ANSWR: '7', FLEETLOG_OTHER_SIZE: 'not looked at' });
    expect(stderr.all.map((line) => parse(line))).toMatchObject([
      {
        level: 'warn',
        message: 'unknown variable FLEETLOG_TINY_ANSWR is ignored; did you mean FLEETLOG_TINY_ANSWER?',
      },
      { level: 'info', message: 'process starts', services: ['tiny'] },
      { level: 'info', message: 'tiny starts', service: 'tiny' },
      { level: 'info', message: 'all services have started' },
    ]);
    expect(stderr.all.join('\n')).not.toContain(secret);
  });

  test('shows a loop that fails, and starts it again', async () => {
    const { say, stdout, stderr, url } = await startTiny();
    say('fault');
    await stderr.until(/loop is down and will be restarted/);
    expect(await get(`${url}/readyz`)).toMatchObject({
      status: 503,
      body: expect.stringMatching(
        /"tiny\.work","ok":false,"detail":"LOG_UNAVAILABLE: the broker is away; restart 1/,
      ) as unknown,
    });
    expect((await get(`${url}/healthz`)).status).toBe(200);
    await stdout.until(/^work in hand again$/);
    expect((await get(`${url}/metrics`)).body).toContain(
      'fleetlog_service_loop_restarts_total{service="tiny",loop="work"} 1',
    );
  });
});

describe('a service process that is asked to stop', () => {
  test('finishes what it has in hand, closes in order, and exits with 0', async () => {
    const { kill, say, stdout, stderr, exit, url } = await startTiny();
    kill('SIGTERM');
    await stdout.until(/^intake ended$/);
    expect(await get(`${url}/readyz`)).toMatchObject({
      status: 503,
      body: expect.stringContaining('"draining"') as unknown,
    });
    expect((await get(`${url}/healthz`)).status).toBe(200);
    expect(parse(await stderr.until(/"stopping"/))).toMatchObject({
      what: 'tiny',
      waitingFor: ['loop work'],
    });
    say('finish');
    expect(await exit).toEqual({ code: 0, signal: null });
    expect(stdout.all).toEqual([
      'work in hand',
      'intake ended',
      'work finished',
      'tiny stopped',
      'ports closed',
    ]);
    expect(stderr.all.at(-1)).toContain('"message":"drained"');
  });

  test.each([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ] as const)('ends at once on a second signal, %s, with %d', async (signal, code) => {
    const { kill, stdout, exit } = await startTiny();
    kill('SIGINT');
    await stdout.until(/^intake ended$/);
    kill(signal);
    expect(await exit).toEqual({ code, signal: null });
    expect(stdout.all).not.toContain('work finished');
  });

  test('says which service did not stop in time, and exits with 75', async () => {
    const { kill, stderr, stdout, exit } = await startTiny({ FLEETLOG_DRAIN_MS: '100ms' });
    kill('SIGTERM');
    expect(await exit).toEqual({ code: 75, signal: null });
    expect(parse(await stderr.until(/did not stop in time/))).toMatchObject({
      what: 'tiny',
      waitingFor: ['loop work'],
    });
    expect(stdout.all).toContain('ports closed');
  });
});

describe('a service process that breaks', () => {
  test.each([
    ['throw', 'uncaughtException', 'thrown by a callback'],
    ['reject', 'unhandledRejection', 'nobody catches this'],
  ])('by a %s logs %s and exits with 70', async (order, kind, message) => {
    const { say, stderr, exit } = await startTiny();
    say(order);
    expect(await exit).toEqual({ code: 70, signal: null });
    expect(parse(stderr.all.at(-1) ?? '')).toMatchObject({
      level: 'fatal',
      message: 'the process crashed',
      kind,
      error: { message },
    });
  });

  test('by an invariant exits with 70', async () => {
    const { say, stderr, exit } = await startTiny();
    say('invariant');
    expect(await exit).toEqual({ code: 70, signal: null });
    expect(parse(stderr.all.at(-1) ?? '')).toMatchObject({
      level: 'fatal',
      message: 'the process cannot go on',
      error: { name: 'InvariantBroken' },
    });
  });

  test('by its configuration says every mistake and exits with 78', async () => {
    const { stderr, exit } = spawnFile('test/support/tiny-service.ts', {
      FLEETLOG_TINY_ANSWER: 'many',
      FLEETLOG_HEALTH_PORT: '99999',
    });
    expect(await exit).toEqual({ code: 78, signal: null });
    expect(stderr.all.map((line) => parse(line)['message'])).toEqual([
      [
        'the configuration has 2 mistakes:',
        '  healthPort: got "99999" from FLEETLOG_HEALTH_PORT; expected a port, 0 to 65535 (0: any free one)',
        '  tiny.answer: got "many" from FLEETLOG_TINY_ANSWER; expected a whole number, at least 1',
      ].join('\n'),
    ]);
  });
});
