// Receipts over a bucket in memory: the first answer, crashes at any point, several at once.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { createReceipts, type KeyedRequest, type Outcome } from '#services/gateway/receipts.ts';
import { topologyOf } from '#streams/consumers.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const DAY = 86_400_000;

const world = () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const broker = createMemoryBroker({ clock, ids, topology: topologyOf({ replicas: 1, agents: [] }) });
  const bucket = broker.keyValue('receipts');
  const gatewayWith = (leaseMs: number, store: KeyValue = bucket) =>
    createReceipts({
      bucket: store,
      boundary: { tenant: 'local', project: 'main' },
      clock,
      ttlMs: 7 * DAY,
      withinMs: 3000,
      defaults: { agent: 'builder-1', turnTimeoutMs: 1000, leaseMs, maxAttempts: 3 },
      onTrouble: (fault) => {
        throw fault;
      },
    });
  return { clock, bucket, gatewayWith };
};

const request = (changes: Partial<KeyedRequest> = {}): KeyedRequest => ({
  key: 'order-1',
  method: 'POST',
  path: '/api/v1/runs',
  body: { prompt: 'x', labels: ['a'] },
  by: 'api',
  ...changes,
});
const answer = (body: string): Outcome => ({ status: 202, body, location: '/there' });

describe('a receipt', () => {
  test('WK-53 gives the first answer again, with its status, and the work is not done again', async () => {
    const receipts = world().gatewayWith(1);
    let done = 0;
    const work = () => Promise.resolve(answer(`{"n":${(done += 1)}}`));
    expect(await receipts.once(request(), work)).toEqual({ ...answer('{"n":1}'), isRepeated: false });
    const sameInOtherOrder = request({ body: { labels: ['a'], prompt: 'x' } });
    expect(await receipts.once(sameInOtherOrder, work)).toEqual({ ...answer('{"n":1}'), isRepeated: true });
    expect(done).toBe(1);
  });

  test('WK-53 a store that does not answer is told in time, nothing is done, and the repeat goes on from what it wrote late', async () => {
    const { clock, bucket, gatewayWith } = world();
    const broker = Promise.withResolvers<void>();
    const slow = {
      ...bucket,
      put: async (...put: Parameters<KeyValue['put']>) => broker.promise.then(() => bucket.put(...put)),
    };
    const never = () => Promise.reject(new Error('it was done'));
    const asked = gatewayWith(1, slow).once(request(), never);
    const refused = expect(asked).rejects.toMatchObject({ code: 'KV_UNAVAILABLE', retry: 'later' });
    await clock.advance(3000);
    await refused;
    broker.resolve();
    await clock.settle();
    const work = ({ leaseMs }: { readonly leaseMs: number }) => Promise.resolve(answer(`${leaseMs}`));
    expect(await gatewayWith(2).once(request(), work)).toEqual({ ...answer('1'), isRepeated: false });
  });

  test('ER-04 refuses another request under the key before anything is done', async () => {
    const receipts = world().gatewayWith(1);
    await receipts.once(request(), () => Promise.resolve(answer('1')));
    const never = () => Promise.reject(new Error('it was done'));
    for (const other of [{ body: { prompt: 'y' } }, { body: { prompt: 'x', labels: ['a', 'b'] } }])
      expect(await receipts.once(request(other), never)).toMatchObject({
        refused: { code: 'KEY_CONFLICTING_REQUEST' },
      });
  });

  test('is of one asker and one path', async () => {
    const receipts = world().gatewayWith(1);
    const say = (body: string) => () => Promise.resolve(answer(body));
    await receipts.once(request(), say('1'));
    expect(await receipts.once(request({ by: 'anna' }), say('2'))).toMatchObject({ body: '2' });
    expect(await receipts.once(request({ path: '/api/v1/tasks' }), say('3'))).toMatchObject({ body: '3' });
  });

  test('lives for its time, and the key is free afterwards', async () => {
    const { clock, gatewayWith } = world();
    const receipts = gatewayWith(1);
    await receipts.once(request(), () => Promise.resolve(answer('1')));
    await clock.advance(7 * DAY - 2000);
    expect(await receipts.once(request(), () => Promise.resolve(answer('2')))).toMatchObject({ body: '1' });
    await clock.advance(4000);
    expect(await receipts.once(request(), () => Promise.resolve(answer('3')))).toMatchObject({ body: '3' });
  });

  test('is not kept of a refusal, nor of what can never be done: nothing was done, so the key is free', async () => {
    const receipts = world().gatewayWith(1);
    const refusal = { refused: rejection('AGENT_UNKNOWN' as const, 'nobody') };
    expect(await receipts.once(request(), () => Promise.resolve(refusal))).toEqual(refusal);
    const broken = new Fault({ code: 'INPUT_INVALID', retry: 'never', message: 'no' });
    await expect(receipts.once(request(), () => Promise.reject(broken))).rejects.toBe(broken);
    const other = request({ body: { prompt: 'other' } });
    expect(await receipts.once(other, () => Promise.resolve(answer('1')))).toMatchObject({ body: '1' });
  });

  test('of a request that was lost in between keeps what counted then, so that the repeat asks for the same', async () => {
    const { gatewayWith } = world();
    const lost = new Fault({ code: 'REQUEST_UNANSWERED', retry: 'later', message: 'no answer' });
    await expect(gatewayWith(30_000).once(request(), () => Promise.reject(lost))).rejects.toBe(lost);
    const asked: number[] = [];
    const work = ({ leaseMs }: { leaseMs: number }) => {
      asked.push(leaseMs);
      return Promise.resolve(answer('1'));
    };
    const later = gatewayWith(60_000);
    const other = request({ body: { prompt: 'other' } });
    expect(await later.once(other, work)).toMatchObject({ refused: { code: 'KEY_CONFLICTING_REQUEST' } });
    expect(await later.once(request(), work)).toMatchObject({ body: '1' });
    expect(asked).toEqual([30_000]);
  });
});

test('ER-04 WK-53 whatever crashes, repeats and comes at once: a key has one request, and one answer once it has any', async () => {
  const step = fc.record({
    payload: fc.constantFrom('a', 'b'),
    fate: fc.constantFrom('done', 'lost-before', 'lost-after', 'refused'),
    together: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      const receipts = world().gatewayWith(1);
      /** The owner: the id follows from the key, so the first payload stands. */
      let made: string | undefined;
      const answers = new Set<string>();
      const ask = async ({ payload, fate }: (typeof steps)[number]): Promise<void> => {
        const lost = new Fault({ code: 'REQUEST_UNANSWERED', retry: 'later', message: fate });
        const outcome = await receipts
          .once(request({ body: { payload } }), async () => {
            await Promise.resolve();
            if (fate === 'lost-before') throw lost;
            if (fate === 'refused' && made === undefined)
              return { refused: rejection('AGENT_UNKNOWN' as const, 'nobody') };
            made ??= payload;
            expect(made).toBe(payload);
            if (fate === 'lost-after') throw lost;
            return answer(JSON.stringify({ made }));
          })
          .catch(() => undefined);
        if (outcome !== undefined && 'body' in outcome) answers.add(outcome.body);
      };
      let busy: Promise<void>[] = [];
      for (const one of steps) {
        busy.push(ask(one));
        if (one.together) continue;
        await Promise.all(busy);
        busy = [];
      }
      await Promise.all(busy);
      expect(answers.size).toBeLessThanOrEqual(1);
    }),
    propertyRuns(200),
  );
});
