// Services as one process: start, readiness, requests, dependencies that are away.
import { describe, expect, test } from 'vitest';
import { duration, integer, secret } from '#libs/config/fields.ts';
import { configSchema } from '#libs/config/schema.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { defineService } from '#libs/service/define-service.ts';
import { startProcess } from '#libs/service/start-process.ts';
import { createProcessKit, environmentOf, startInTest as start } from '#test/support/process-kit.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content);

const away = (): Fault =>
  new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'the broker is away' });

describe('a process', () => {
  test('gives a service its configuration, ports, log, metrics and checks', async () => {
    let seen: ServiceContext<{ leaseMs: number }> | undefined;
    const tasks = defineService({
      name: 'tasks',
      config: configSchema({ leaseMs: duration().default(30_000) }),
      start: (context) => {
        seen = context;
        context.logger.info('hello');
        context.metrics.counter('fleetlog_hello_total', 'Hellos.').add({});
        context.checks.push('warm').ok('warm enough');
      },
    });
    const { started, ready, book, clock } = await start([tasks], {
      sources: environmentOf({ FLEETLOG_TASKS_LEASE_MS: '5s' }),
    });
    await started.booted;
    expect(seen).toMatchObject({ name: 'tasks', config: { leaseMs: 5_000 }, drainMs: 10_000 });
    expect(seen?.clock).toBe(clock);
    expect([
      seen?.log('EVENTS').stream,
      seen?.bucket('runs').bucket,
      seen?.queue('EVENTS', 'c').consumer,
    ]).toEqual(['EVENTS', 'runs', 'c']);
    expect(book.lines).toContainEqual(expect.objectContaining({ service: 'tasks', message: 'hello' }));
    expect(await (await fetch(`${started.healthUrl}/metrics`)).text()).toContain('fleetlog_hello_total 1');
    expect(await ready()).toEqual({
      status: 200,
      body: {
        status: 'ready',
        checks: [
          { name: 'ports.connection', ok: true, detail: 'in memory', sinceMs: 0 },
          { name: 'tasks.start', ok: true, detail: 'started', sinceMs: 0 },
          { name: 'tasks.warm', ok: true, detail: 'warm enough', sinceMs: 0 },
        ],
      },
    });
    expect(await (await fetch(`${started.healthUrl}/version`)).json()).toEqual({
      version: '1.2.3',
      commit: 'abc',
      node: 'v24.0.0',
      startedAt: '2030-03-17T17:46:40.000Z',
    });
  });

  test('logs at its start what it is and what it was told, without secrets', async () => {
    const tasks = defineService({ name: 'tasks', config: configSchema({ apiToken: secret() }) });
    const { book, started } = await start([tasks], {
      sources: environmentOf({
        FLEETLOG_TASKS_API_TOKEN: 'hunter2hunter2',
        FLEETLOG_TYPO: '1',
        SOME_API_KEY: 'swordfish-99',
      }),
    });
    started.logger.info('echo of swordfish-99 and hunter2hunter2');
    expect(book.messages()).toContain('echo of [redacted:known] and [redacted:known]');
    expect(book.lines[0]).toMatchObject({
      level: 'warn',
      message: 'unknown variable FLEETLOG_TYPO is ignored',
    });
    expect(book.lines[1]).toMatchObject({
      message: 'process starts',
      services: ['tasks'],
      version: '1.2.3',
      config: {
        tasks: { values: { apiToken: '[redacted]' }, given: ['apiToken from FLEETLOG_TASKS_API_TOKEN'] },
      },
    });
    expect(JSON.stringify(book.lines)).not.toContain('hunter2');
  });

  test('does not start on a configuration with mistakes', async () => {
    const tasks = defineService({ name: 'tasks', config: configSchema({ size: integer() }) });
    const other = defineService({ name: 'other', config: configSchema({ size: integer() }) });
    const { plan } = createProcessKit();
    const wrong = plan([tasks], {
      elsewhere: [other],
      sources: environmentOf({ FLEETLOG_LOG_LEVEL: 'loud' }),
    });
    await expect((async () => startProcess(wrong))()).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      detail: {
        problems: [
          'logLevel: got "loud" from FLEETLOG_LOG_LEVEL; expected one of debug, info, warn, error, fatal, silent',
          'tasks.size: missing; expected a whole number; set --tasks-size, FLEETLOG_TASKS_SIZE or tasks.size in the config file',
        ],
      },
    });
  });

  test('answers requests once it has started and no longer when it stops', async () => {
    let context: ServiceContext | undefined;
    const echo = defineService({
      name: 'echo',
      start: (given) => void (context = given),
      requests: () => [
        { subject: 'fleet.echo', handle: async ({ body }) => ({ body: bytes(`echo ${text(body)}`) }) },
        { subject: 'fleet.broken', handle: () => Promise.reject(new Error('no')) },
      ],
    });
    const { started, book, clock } = await start([echo]);
    await started.booted;
    const ask = (subject: string) =>
      context?.requests.client.request(subject, bytes('hi'), { timeoutMs: 1_000 });
    expect(text((await ask('fleet.echo'))?.body ?? bytes(''))).toBe('echo hi');
    const refused = expect(ask('fleet.broken')).rejects.toMatchObject({ code: 'REQUEST_UNANSWERED' });
    await clock.advance(1_000);
    await refused;
    expect(book.lines).toContainEqual(
      expect.objectContaining({ message: 'request failed', subject: 'fleet.broken', service: 'echo' }),
    );
    await started.drain();
    const unanswered = expect(ask('fleet.echo')).rejects.toMatchObject({ code: 'REQUEST_UNANSWERED' });
    await clock.advance(1_000);
    await unanswered;
  });
});

describe('a dependency that is away', () => {
  test('keeps a service starting, visibly, until it is there', async () => {
    let failures = 3;
    const tasks = defineService({
      name: 'tasks',
      start: () => {
        failures -= 1;
        if (failures >= 0) throw away();
      },
    });
    const { started, ready, clock } = await start([tasks]);
    await clock.settle();
    expect(await ready()).toMatchObject({
      status: 503,
      body: {
        status: 'starting',
        checks: [
          { ok: true },
          { name: 'tasks.start', ok: false, detail: 'LOG_UNAVAILABLE: the broker is away' },
        ],
      },
    });
    await clock.advance(5_000);
    await started.booted;
    expect(await ready()).toMatchObject({ status: 200 });
  });

  test('keeps the ports connecting, visibly, until it is there', async () => {
    const kit = createProcessKit();
    const plan = kit.plan([]);
    let isAway = true;
    const { started, ready, clock } = await start([], {
      wire: {
        ...plan.wire,
        open: async (config, tools) => {
          if (isAway) throw away();
          return plan.wire.open(config, tools);
        },
      },
    });
    await clock.settle();
    expect(await ready()).toMatchObject({
      status: 503,
      body: { status: 'starting', checks: [{ name: 'ports.connection', ok: false, detail: 'connecting' }] },
    });
    isAway = false;
    await clock.advance(1_000);
    await started.booted;
    expect(await ready()).toMatchObject({ status: 200 });
  });

  test('does not keep a process from draining', async () => {
    const tasks = defineService({
      name: 'tasks',
      start: () => {
        throw away();
      },
    });
    const { started, clock, wireEvents } = await start([tasks]);
    await clock.settle();
    expect(await started.drain()).toMatchObject({ late: [] });
    expect(wireEvents).toEqual(['opened', 'closed']);
  });
});
