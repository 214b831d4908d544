// The limits of a turn that may wait for a person, and its events on their way to the sink.
import { expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { TurnWatch } from '#services/runner/providers/acp/turn-watch.ts';
import { EventFlow } from '#services/runner/providers/event-flow.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';

const LIMITS = { turnTimeoutMs: 10_000, silenceMs: 3000, killAfterMs: 1, lingerMs: 1 };

test('TR-20 silence counts from the last word, the limit of the turn from its beginning', async () => {
  const clock = createManualClock();
  const hit: string[] = [];
  const watch = new TurnWatch(LIMITS, clock, (reason) => hit.push(reason));
  for (let second = 0; second < 4; second += 1) {
    await clock.advance(2500);
    watch.heard();
  }
  expect(hit).toEqual(['deadline']);
  await clock.advance(3000);
  expect(hit).toEqual(['deadline', 'silence']);
});

test('time in which somebody else is waited for counts for neither', async () => {
  const clock = createManualClock();
  const hit: string[] = [];
  const watch = new TurnWatch(LIMITS, clock, (reason) => hit.push(reason));
  await clock.advance(2000);
  const person = Promise.withResolvers<string>();
  const other = Promise.withResolvers<void>();
  const asked = watch.aside(person.promise);
  const alsoAsked = watch.aside(other.promise);
  await clock.advance(86_400_000);
  watch.heard();
  other.resolve();
  await alsoAsked;
  await clock.advance(86_400_000);
  expect(hit).toEqual([]);
  person.resolve('yes');
  expect(await asked).toBe('yes');
  await clock.advance(2999);
  expect(hit).toEqual([]);
  await clock.advance(1);
  expect(hit).toEqual(['silence']);
  await clock.advance(5000);
  expect(hit).toEqual(['silence', 'deadline']);
});

test('an answered prompt is not watched any more', async () => {
  const clock = createManualClock();
  const hit: string[] = [];
  new TurnWatch(LIMITS, clock, (reason) => hit.push(reason)).end();
  await clock.advance(60_000);
  expect(hit).toEqual([]);
});

const text = (words: string): ProviderEvent => ({ kind: 'text', text: words });
const complaint: ProviderEvent = { kind: 'output', stream: 'stderr', text: 'x' };

test('words are joined for a moment, and stay in their place among other events', async () => {
  const clock = createManualClock();
  const taken: ProviderEvent[] = [];
  const flow = new EventFlow(
    async (event) => void taken.push(event),
    clock,
    () => undefined,
  );
  await flow.put(text('a'));
  await flow.put(text('b'));
  expect(taken).toEqual([]);
  await clock.advance(200);
  expect(taken).toEqual([text('ab')]);
  await flow.put(text('c'));
  await flow.put({ kind: 'reasoning', text: 'd' });
  await flow.put(complaint);
  await flow.put(text('e'));
  await flow.flush();
  expect(taken.slice(1)).toEqual([text('c'), { kind: 'reasoning', text: 'd' }, complaint, text('e')]);
  expect(flow.events).toBe(5);
});

test('events put in at the same time are taken one after another', async () => {
  const clock = createManualClock();
  const gate = Promise.withResolvers<void>();
  const taken: ProviderEvent[] = [];
  const flow = new EventFlow(
    async (event) => {
      await gate.promise;
      taken.push(event);
    },
    clock,
    () => undefined,
  );
  await flow.put(text('first'));
  const all = [flow.put(complaint), flow.put({ kind: 'session-mode', mode: 'plan' })];
  gate.resolve();
  await Promise.all(all);
  expect(taken).toEqual([text('first'), complaint, { kind: 'session-mode', mode: 'plan' }]);
});

test('a sink that fails is told of once, and whoever puts something in afterwards is refused', async () => {
  const clock = createManualClock();
  const failures: unknown[] = [];
  const broken = new Error('disk');
  const flow = new EventFlow(
    () => Promise.reject(broken),
    clock,
    (error) => failures.push(error),
  );
  await expect(flow.put(complaint)).rejects.toBe(broken);
  await expect(flow.put(complaint)).rejects.toBe(broken);
  await expect(flow.flush()).rejects.toBe(broken);
  expect(failures).toEqual([broken]);
});
