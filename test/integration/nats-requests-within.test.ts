// Requests that are asked and served over one connection: answered without the broker, and in no way otherwise than by it.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createRequestClient, createRequestServer } from '#libs/nats/requests.ts';
import { ServedWithin } from '#libs/nats/served-within.ts';
import { MAX_REQUESTS_IN_HAND, type RequestClient, type RequestServer } from '#libs/ports/requests.ts';
import { freshName } from '#test/support/fresh-name.ts';
import { testConnection } from '#test/support/nats-connection.ts';

const timeoutMs = 10_000;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let within: NatsConnectionHandle;
let outside: NatsConnectionHandle;
/** Serves, and asks over the connection that it serves on. */
let server: RequestServer;
let inner: RequestClient;
/** Asks over a connection of its own. */
let outer: RequestClient;
let errors: unknown[];
let subject: string;

beforeEach(async () => {
  [within, outside] = [await testConnection(), await testConnection()];
  errors = [];
  const served = new ServedWithin(within);
  server = createRequestServer(within, { onError: (error) => void errors.push(error), within: served });
  inner = createRequestClient(within, served);
  outer = createRequestClient(outside);
  subject = freshName('within');
});

afterEach(async () => {
  await within.close();
  await outside.close();
});

/** Counts what is published to a subject from now on. */
const overhear = async (overheard: string): Promise<{ readonly count: number }> => {
  const heard = { count: 0 };
  outside.nc.subscribe(overheard, { callback: () => void (heard.count += 1) });
  await outside.nc.flush();
  return heard;
};

/** What came of it, answer or fault, as a value. */
const outcomeOf = async (asked: Promise<unknown>): Promise<unknown> =>
  asked.catch((error: { readonly code?: string; readonly retry?: string; readonly message?: string }) => ({
    code: error.code,
    retry: error.retry,
    message: error.message,
  }));

const headers = fc.dictionary(
  fc.stringMatching(/^(?:X-[A-Za-z]{1,8}|Nats-Msg-Id|Nats-Service-Error-Code)$/),
  fc.stringMatching(/^(?:[!-~][ -~]{0,20}[!-~]|503|)$/),
  { maxKeys: 3 },
);
const content = fc.record({ headers, body: fc.uint8Array({ maxLength: 300 }) });

describe('a request within one connection', () => {
  it('is answered as over the broker, whatever is asked and answered', async () => {
    let next: { readonly headers: Readonly<Record<string, string>>; readonly body: Uint8Array };
    const seen: unknown[] = [];
    server.serve(subject, 'g', async (message) => {
      seen.push({ ...message, body: [...message.body] });
      return next;
    });
    await server.heard();
    await fc.assert(
      fc.asyncProperty(content, content, async (question, answer) => {
        next = answer;
        const options = { timeoutMs, headers: question.headers };
        const direct = await outcomeOf(inner.request(subject, question.body, options));
        const carried = await outcomeOf(outer.request(subject, question.body, options));
        expect(direct).toEqual(carried);
        const [first, second] = seen.splice(0);
        expect(first).toEqual(second);
      }),
      { numRuns: 60 },
    );
  });

  it('does not go over the broker, and is no request of anybody else', async () => {
    server.serve(subject, 'g', async ({ body }) => ({ body }));
    await server.heard();
    const overheard = await overhear(subject);
    await inner.request(subject, bytes('x'), { timeoutMs });
    await within.nc.flush();
    await outside.nc.flush();
    expect(overheard.count).toBe(0);
    await outer.request(subject, bytes('x'), { timeoutMs });
    await outside.nc.flush();
    expect(overheard.count).toBe(1);
  });

  it('shares nothing with who asks: both may change what they have', async () => {
    const kept: Uint8Array[] = [];
    server.serve(subject, 'g', async ({ body }) => {
      body.fill(7);
      const answer = Uint8Array.of(1, 2, 3);
      kept.push(answer);
      return { body: answer };
    });
    const asked = bytes('mine');
    const { body } = await inner.request(subject, asked, { timeoutMs });
    kept[0]?.fill(9);
    expect([new TextDecoder().decode(asked), [...body]]).toEqual(['mine', [1, 2, 3]]);
  });

  it('is for the broker when several groups serve it here, or tools ask it of everybody', async () => {
    const told: string[] = [];
    const tell = (name: string) => async () => {
      told.push(name);
      return { body: bytes(name) };
    };
    server.serve(subject, 'one', tell('one'));
    server.serve(subject, 'two', tell('two'));
    server.serve(`$SRV.PING.${subject}`, 'three', tell('three'));
    await server.heard();
    await inner.request(subject, bytes(''), { timeoutMs });
    await within.nc.flush();
    expect(told.toSorted()).toEqual(['one', 'two']);
    const overheard = await overhear(`$SRV.PING.${subject}`);
    await inner.request(`$SRV.PING.${subject}`, bytes(''), { timeoutMs });
    await outside.nc.flush();
    expect(overheard.count).toBe(1);
  });

  it('that is larger than the broker carries is refused, and an answer that is fails', async () => {
    let handed = 0;
    const most = within.nc.info?.max_payload ?? 0;
    server.serve(subject, 'g', async () => {
      handed += 1;
      return { body: new Uint8Array(most + 1) };
    });
    await server.heard();
    const large = new Uint8Array(most + 1);
    const direct = await outcomeOf(inner.request(subject, large, { timeoutMs }));
    expect(direct).toMatchObject({ code: 'REQUEST_TOO_LARGE' });
    expect(direct).toEqual(await outcomeOf(outer.request(subject, large, { timeoutMs })));
    expect(handed).toBe(0);
    await expect(inner.request(subject, bytes(''), { timeoutMs })).rejects.toMatchObject({
      code: 'REQUEST_UNANSWERED',
    });
    await expect(outer.request(subject, bytes(''), { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'REQUEST_UNANSWERED',
    });
    expect([handed, errors.length]).toEqual([2, 2]);
  });

  it('counts as in hand whichever way it came', async () => {
    const gate = Promise.withResolvers<void>();
    const full = Promise.withResolvers<void>();
    let handed = 0;
    server.serve(subject, 'g', async () => {
      handed += 1;
      if (handed === MAX_REQUESTS_IN_HAND) full.resolve();
      await gate.promise;
      return { body: bytes('done') };
    });
    await server.heard();
    const asked = Array.from({ length: MAX_REQUESTS_IN_HAND }, (_, at) =>
      (at % 2 === 0 ? inner : outer).request(subject, bytes(''), { timeoutMs }),
    );
    await full.promise;
    for (const client of [inner, outer])
      await expect(client.request(subject, bytes(''), { timeoutMs })).rejects.toMatchObject({
        code: 'REQUEST_BUSY',
      });
    gate.resolve();
    expect(await Promise.all(asked)).toHaveLength(MAX_REQUESTS_IN_HAND);
  });

  it('ends with the connection, and is refused while the broker is away', async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    server.serve(subject, 'g', async () => {
      begun.resolve();
      await gate.promise;
      return { body: bytes('late') };
    });
    const underWay = inner.request(subject, bytes(''), { timeoutMs });
    await begun.promise;
    const away = new Promise<void>((resolve) => within.onConnectivity((isUp) => !isUp && resolve()));
    await within.nc.reconnect();
    await away;
    await expect(underWay).rejects.toMatchObject({ code: 'REQUEST_UNAVAILABLE', retry: 'later' });
    await within.whenConnected();
    gate.resolve();
    const { body } = await inner.request(subject, bytes(''), { timeoutMs });
    expect(new TextDecoder().decode(body)).toBe('late');
    await within.close();
    await expect(inner.request(subject, bytes(''), { timeoutMs })).rejects.toMatchObject({
      code: 'REQUEST_UNAVAILABLE',
    });
  });

  it('of one that has stopped goes to another, over the broker', async () => {
    const own = server.serve(subject, 'g', async () => ({ body: bytes('own') }));
    createRequestServer(outside, { onError: () => undefined }).serve(subject, 'g', async () => ({
      body: bytes('other'),
    }));
    await outside.nc.flush();
    const ask = async (): Promise<string> =>
      new TextDecoder().decode((await inner.request(subject, bytes(''), { timeoutMs })).body);
    for (let at = 0; at < 5; at += 1) expect(await ask()).toBe('own');
    const stopped = own.stop();
    await stopped;
    expect(await ask()).toBe('other');
  });
});
