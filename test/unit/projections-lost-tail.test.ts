// A bucket that loses its last writes: whatever is lost, and whenever, the projection folds it again.
import { afterEach, expect, test } from 'vitest';
import { verifyProjection } from '#libs/projections/verify.ts';
import { projectionHarness, stopProjections } from '#test/support/projection-harness.ts';
import { rewindableBucket } from '#test/support/rewindable-bucket.ts';

afterEach(stopProjections);

const setup = () => {
  const harness = projectionHarness();
  const bucket = rewindableBucket(harness.broker, 'lossy');
  const { log, projection } = harness;
  const verify = () => verifyProjection({ projection, log, kv: bucket.kv });
  return { ...harness, bucket, verify, start: () => harness.start({ kv: bucket.kv }) };
};

test('a tail lost while nobody looks is folded again at the start', async () => {
  const { clock, add, bucket, start, verify } = setup();
  const first = start();
  for (let at = 1; at <= 10; at += 1) {
    await add(`k${at % 3}`, at);
    await clock.settle();
  }
  await first.stop();
  await bucket.loseTail(7);
  start();
  await clock.settle();
  expect(await verify()).toEqual({ equal: true, keys: 3, seq: 10 });
});

test('a tail lost under a running projection is noticed at its next write', async () => {
  const { clock, add, bucket, start, verify, kinds } = setup();
  start();
  for (let at = 1; at <= 10; at += 1) {
    await add(`k${at % 3}`, at);
    await clock.settle();
  }
  await bucket.loseTail(9);
  await add('k1', 11);
  await clock.settle();
  expect(kinds()).toContain('lost-tail');
  expect(await verify()).toEqual({ equal: true, keys: 3, seq: 11 });
});

test('a tail lost under an idle projection is noticed without any entry', async () => {
  const { clock, add, bucket, start, verify } = setup();
  start();
  for (let at = 1; at <= 10; at += 1) {
    await add(`k${at % 3}`, at);
    await clock.settle();
  }
  await bucket.loseTail(9);
  await clock.advance(10_000);
  expect(await verify()).toEqual({ equal: true, keys: 3, seq: 10 });
});

test('a tail of any length, lost after any entry, changes nothing in the end', async () => {
  for (let lost = 1; lost <= 12; lost += 1) {
    const { clock, add, bucket, start, verify } = setup();
    const running = start();
    for (let at = 1; at <= 12; at += 1) {
      await add(`k${at % 4}`, at);
      await clock.settle();
      if (at % 3 === 0) await bucket.loseTail(lost);
    }
    await clock.advance(10_000);
    expect(await verify(), `lost ${lost}`).toEqual({ equal: true, keys: 4, seq: 12 });
    await running.stop();
  }
});
