// What a reactor did before its delivery came: found once, and only when it was done.
import { expect, test } from 'vitest';
import { createAhead } from '#libs/commands/ahead.ts';

test('work that was begun ahead is found done once its delivery comes, and is waited for', async () => {
  const ahead = createAhead();
  const working = Promise.withResolvers<void>();
  ahead.note('a', working.promise);
  const taken = ahead.take('a');
  working.resolve();
  expect(await taken).toBe(true);
  expect(await ahead.take('a'), 'a delivery that comes again does it again').toBe(false);
});

test('work that failed, was begun elsewhere or long ago is left to the delivery', async () => {
  const ahead = createAhead();
  ahead.note('failed', Promise.reject(new Error('away')));
  expect(await ahead.take('failed')).toBe(false);
  expect(await ahead.take('elsewhere')).toBe(false);
  for (let at = 0; at <= 1000; at += 1) ahead.note(`c${at}`, Promise.resolve());
  expect(await Promise.all([ahead.take('c0'), ahead.take('c1')])).toEqual([false, true]);
});

test('work that is noted before its cause is stored is waited for by a delivery that comes first', async () => {
  const ahead = createAhead();
  const stored = Promise.withResolvers<boolean>();
  ahead.note('a', stored.promise);
  const taken = ahead.take('a');
  stored.resolve(true);
  expect(await taken).toBe(true);
});

test('work that found nothing to do is left to the delivery, and makes room for others', async () => {
  const ahead = createAhead();
  const refused = Promise.resolve(false);
  ahead.note('refused', refused);
  const taken = ahead.take('refused');
  expect(await taken).toBe(false);
  for (let at = 0; at < 1000; at += 1) ahead.note(`c${at}`, Promise.resolve());
  ahead.note('refused', refused);
  await refused;
  expect(await ahead.take('c1'), 'only the oldest had to go').toBe(true);
});
