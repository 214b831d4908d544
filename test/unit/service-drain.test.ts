// The end of a process: the order of its drain, what is late, and what it does not survive.
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { defineService, type Service } from '#libs/service/define-service.ts';
import { createProcessKit, environmentOf, startInTest as start } from '#test/support/process-kit.ts';

/** A loop that works until it is told to stop. */
const untilStopped = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

describe('the drain of a process', () => {
  test('stops services in reverse order, each with its loops first, then the ports, then the health server', async () => {
    const order: string[] = [];
    const inHand = Promise.withResolvers<void>();
    const service = (name: string): Service =>
      defineService({
        name,
        start: () => ({ stop: async () => void order.push(`${name} stop`) }),
        loops: () => [
          {
            name: 'work',
            run: async (signal) => {
              await untilStopped(signal);
              await inHand.promise;
              order.push(`${name} loop`);
            },
          },
        ],
      });
    const { started, wireEvents, ready, book } = await start([service('a'), service('b')]);
    await started.booted;
    const draining = started.drain();
    expect(started.drain()).toBe(draining);
    expect((await ready()).status).toBe(503);
    expect(order).toEqual([]);
    inHand.resolve();
    expect(await draining).toMatchObject({ late: [] });
    expect(order).toEqual(['b loop', 'b stop', 'a loop', 'a stop']);
    expect(wireEvents).toEqual(['opened', 'closed']);
    expect(book.lines.filter(({ message }) => message === 'stopped').map(({ what }) => what)).toEqual([
      'b',
      'a',
      'ports',
    ]);
    await expect(fetch(`${started.healthUrl}/healthz`)).rejects.toThrow('fetch failed');
  });

  test('says which service did not stop in time, and what it was doing', async () => {
    const stuck = defineService({
      name: 'stuck',
      loops: () => [{ name: 'deaf', run: () => new Promise(() => undefined) }],
    });
    const { started, clock, book } = await start([stuck], {
      sources: environmentOf({ FLEETLOG_DRAIN_MS: '3s' }),
    });
    await started.booted;
    const draining = started.drain();
    await clock.advance(3_000);
    expect(await draining).toEqual({ late: ['stuck'], tookMs: 3_000 });
    expect(book.lines).toContainEqual(
      expect.objectContaining({ message: 'did not stop in time', what: 'stuck', waitingFor: ['loop deaf'] }),
    );
  });
});

describe('what a process does not survive', () => {
  const broken = (): Promise<never> => Promise.reject(new InvariantBroken('two holders'));

  test.each<readonly [string, Service]>([
    ['in start', defineService({ name: 'x', start: broken })],
    ['in a loop', defineService({ name: 'x', loops: () => [{ name: 'work', run: broken }] })],
  ])('a broken invariant %s', async (_, service) => {
    const { started, book } = await start([service]);
    expect(await started.failed).toBeInstanceOf(InvariantBroken);
    expect(book.lines).toContainEqual(
      expect.objectContaining({ level: 'fatal', message: 'the process cannot go on' }),
    );
    const health = await fetch(`${started.healthUrl}/healthz`);
    expect([health.status, await health.json()]).toEqual([
      503,
      { status: 'failing', lagMs: 0, detail: 'invariant broken: two holders' },
    ]);
  });

  test('a broken invariant in the handler of a request', async () => {
    let context: ServiceContext | undefined;
    const echo = defineService({
      name: 'echo',
      start: (given) => void (context = given),
      requests: () => [{ subject: 'fleet.echo', handle: () => Promise.reject(new InvariantBroken('no')) }],
    });
    const { started, clock } = await start([echo]);
    await started.booted;
    const asked = context?.requests.client.request('fleet.echo', new Uint8Array(), { timeoutMs: 10 });
    const refused = expect(asked).rejects.toMatchObject({ code: 'REQUEST_UNANSWERED' });
    await clock.advance(10);
    await refused;
    expect(await started.failed).toBeInstanceOf(InvariantBroken);
  });

  test('a start or a connection that trying again cannot help', async () => {
    const error = new Fault({ code: 'LOG_MISSING', retry: 'never', message: 'not provisioned' });
    const service = defineService({ name: 'x', start: () => Promise.reject(error) });
    expect(await (await start([service])).started.failed).toBe(error);
    const { wire } = createProcessKit().plan([]);
    const connection = await start([], { wire: { ...wire, open: () => Promise.reject(error) } });
    expect(await connection.started.failed).toBe(error);
    await connection.started.booted;
  });

  test('an event loop that was blocked for too long shows in /healthz', async () => {
    const { started } = await start([], { lagMs: () => 12_345 });
    const health = await fetch(`${started.healthUrl}/healthz`);
    expect([health.status, await health.json()]).toEqual([
      503,
      { status: 'failing', lagMs: 12_345, detail: 'the event loop was blocked for longer than 10000 ms' },
    ]);
  });
});
