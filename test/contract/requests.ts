// The contract of request and reply, one suite for every implementation: bind it with
//   requestsContract('memory', () => makeHarness());
// in a test file. What it does not prove: what happens while a broker is away (the fault suite).
import { MAX_REQUESTS_IN_HAND, type RequestClient, type RequestServer } from '#libs/ports/requests.ts';
import { describe, expect, it } from 'vitest';
import { expectFault } from './reading.ts';

interface RequestsHarness {
  /** Two sides that may be one and the same object, or two connections. */
  readonly client: RequestClient;
  readonly server: RequestServer;
  /** A literal subject that no other test uses (or a filter, when the name holds wildcards); the same for the same name. */
  readonly subject: (name: string) => string;
  /** Time passes; does nothing on a real broker, where the tests wait for what time brings about. */
  readonly advance: (ms: number) => Promise<void>;
  /** Resolves once what was served or stopped before is known to the broker. */
  readonly served: () => Promise<void>;
  readonly dispose: () => Promise<void>;
}

/** Makes a harness. Called once per test. */
export type MakeRequests = () => Promise<RequestsHarness>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const bytes = (text: string): Uint8Array => encoder.encode(text);
const timeoutMs = 5_000;

const withRequests =
  (make: MakeRequests, body: (harness: RequestsHarness) => Promise<void>): (() => Promise<void>) =>
  async () => {
    const harness = await make();
    try {
      await body(harness);
    } finally {
      await harness.dispose();
    }
  };

const answers = (make: MakeRequests): void => {
  it(
    'answers a request with headers and body, and hands the handler what was asked',
    withRequests(make, async ({ client, server, subject, served }) => {
      server.serve(subject('ask'), 'group', async (message) => {
        expect(message.subject).toBe(subject('ask'));
        expect(message.headers).toMatchObject({ 'X-Asks': 'builder-1' });
        return { headers: { 'X-Answers': 'runs' }, body: Uint8Array.of(0, ...message.body, 255) };
      });
      await served();
      const answer = await client.request(subject('ask'), bytes('hm?'), {
        timeoutMs,
        headers: { 'X-Asks': 'builder-1' },
      });
      expect(answer.headers).toMatchObject({ 'X-Answers': 'runs' });
      expect([...answer.body]).toEqual([0, ...bytes('hm?'), 255]);
    }),
  );

  it(
    'answers without headers and without a body',
    withRequests(make, async ({ client, server, subject, served }) => {
      server.serve(subject('ask'), 'group', async ({ headers, body }) => {
        expect(headers).toEqual({});
        expect(body).toHaveLength(0);
        return { body: new Uint8Array() };
      });
      await served();
      const answer = await client.request(subject('ask'), new Uint8Array(), { timeoutMs });
      expect(answer.headers).toEqual({});
      expect(answer.body).toHaveLength(0);
    }),
  );

  it(
    'serves every subject of a filter, and says which one was asked',
    withRequests(make, async ({ client, server, subject, served }) => {
      server.serve(subject('ask.*.>'), 'group', async (message) => ({ body: bytes(message.subject) }));
      await served();
      for (const name of ['ask.a.b', 'ask.c.d.e']) {
        const { body } = await client.request(subject(name), bytes(''), { timeoutMs });
        expect(decoder.decode(body)).toBe(subject(name));
      }
      await expectFault(
        () => client.request(subject('ask.a'), bytes(''), { timeoutMs }),
        'REQUEST_UNANSWERED',
        'later',
      );
    }),
  );

  it(
    'keeps apart the answers of many requests at once',
    withRequests(make, async ({ client, server, subject, served }) => {
      server.serve(subject('double'), 'group', async ({ body }) => ({
        body: bytes(`${Number(decoder.decode(body)) * 2}`),
      }));
      await served();
      const doubled = await Promise.all(
        Array.from({ length: 50 }, async (_, n) => {
          const { body } = await client.request(subject('double'), bytes(`${n}`), { timeoutMs });
          return Number(decoder.decode(body));
        }),
      );
      expect(doubled).toEqual(Array.from({ length: 50 }, (_, n) => 2 * n));
    }),
  );
};

const sharing = (make: MakeRequests): void => {
  it(
    'lets the instances of one group share the requests, one of them each',
    withRequests(make, async ({ client, server, subject, served }) => {
      const counts = [0, 0, 0];
      for (const instance of counts.keys())
        server.serve(subject('ask'), 'group', async () => {
          counts[instance] = (counts[instance] ?? 0) + 1;
          return { body: bytes('done') };
        });
      await served();
      for (let n = 0; n < 60; n += 1) await client.request(subject('ask'), bytes(''), { timeoutMs });
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(60);
      for (const count of counts) expect(count).toBeGreaterThan(0);
    }),
  );

  it(
    'goes on with the other instances when one stops, which finishes what it has begun',
    withRequests(make, async ({ client, server, subject, served }) => {
      const begun = Promise.withResolvers<void>();
      const release = Promise.withResolvers<void>();
      const leaving = server.serve(subject('ask'), 'group', async () => {
        begun.resolve();
        await release.promise;
        return { body: bytes('leaving') };
      });
      await served();
      const slow = client.request(subject('ask'), bytes(''), { timeoutMs });
      await begun.promise;
      server.serve(subject('ask'), 'group', async () => ({ body: bytes('staying') }));
      await served();
      let hasStopped = false;
      const stopped = leaving.stop().finally(() => {
        hasStopped = true;
      });
      await served();
      const { body } = await client.request(subject('ask'), bytes(''), { timeoutMs });
      expect([decoder.decode(body), hasStopped]).toEqual(['staying', false]);
      release.resolve();
      expect(decoder.decode((await slow).body)).toBe('leaving');
      await stopped;
      for (let n = 0; n < 10; n += 1) {
        const { body } = await client.request(subject('ask'), bytes(''), { timeoutMs });
        expect(decoder.decode(body)).toBe('staying');
      }
    }),
  );
};

const silence = (make: MakeRequests): void => {
  it(
    'faults at once when nobody serves the subject',
    withRequests(make, async ({ client, server, subject, served }) => {
      server.serve(subject('other'), 'group', async () => ({ body: bytes('') }));
      await served();
      const day = { timeoutMs: 86_400_000 };
      await expectFault(() => client.request(subject('ask'), bytes(''), day), 'REQUEST_UNANSWERED', 'later');
    }),
  );

  it(
    'faults when the only instance has stopped',
    withRequests(make, async ({ client, server, subject, served }) => {
      const { stop } = server.serve(subject('ask'), 'group', async () => ({ body: bytes('') }));
      await served();
      await client.request(subject('ask'), bytes(''), { timeoutMs });
      await stop();
      await served();
      await expectFault(
        () => client.request(subject('ask'), bytes(''), { timeoutMs }),
        'REQUEST_UNANSWERED',
        'later',
      );
    }),
  );

  it(
    'faults when the answer does not come in time',
    withRequests(make, async ({ client, server, subject, served, advance }) => {
      const release = Promise.withResolvers<void>();
      server.serve(subject('ask'), 'group', async () => {
        await release.promise;
        return { body: bytes('late') };
      });
      await served();
      const fault = expectFault(
        () => client.request(subject('ask'), bytes(''), { timeoutMs: 200 }),
        'REQUEST_UNANSWERED',
        'later',
      );
      await advance(200);
      await fault;
      release.resolve();
    }),
  );

  it(
    'turns away what is too much at once without handing it to the handler, and goes on',
    withRequests(make, async ({ client, server, subject, served }) => {
      const gate = Promise.withResolvers<void>();
      let handed = 0;
      server.serve(subject('ask'), 'group', async () => {
        handed += 1;
        await gate.promise;
        return { body: bytes('done') };
      });
      await served();
      const more = 40;
      const asked = Array.from({ length: MAX_REQUESTS_IN_HAND + more }, () =>
        client.request(subject('ask'), bytes(''), { timeoutMs: 20_000 }),
      );
      const turnedAway = await Promise.all(
        asked.slice(-more).map((one) => expectFault(() => one, 'REQUEST_BUSY', 'later')),
      );
      expect(turnedAway).toHaveLength(more);
      expect(handed).toBe(MAX_REQUESTS_IN_HAND);
      gate.resolve();
      expect(await Promise.all(asked.slice(0, MAX_REQUESTS_IN_HAND))).toHaveLength(MAX_REQUESTS_IN_HAND);
      expect((await client.request(subject('ask'), bytes(''), { timeoutMs })).body).toEqual(bytes('done'));
    }),
  );

  it(
    'faults when the handler throws, and serves the next request',
    withRequests(make, async ({ client, server, subject, served, advance }) => {
      server.serve(subject('ask'), 'group', async ({ body }) => {
        if (body.length === 0) throw new Error('broken on purpose');
        return { body };
      });
      await served();
      const fault = expectFault(
        () => client.request(subject('ask'), bytes(''), { timeoutMs: 300 }),
        'REQUEST_UNANSWERED',
        'later',
      );
      await advance(300);
      await fault;
      expect((await client.request(subject('ask'), bytes('x'), { timeoutMs })).body).toHaveLength(1);
    }),
  );
};

export const requestsContract = (name: string, make: MakeRequests): void => {
  describe(`requests: ${name}`, { timeout: 30_000 }, () => {
    answers(make);
    sharing(make);
    silence(make);
  });
};
