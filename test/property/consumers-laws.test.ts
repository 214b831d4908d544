// The laws of the one loop: order per lane under any completion order, nothing lost, nothing stops it, everything ends as
// handled or parked, once each as long as nothing is redelivered.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ok } from '#libs/consumers/disposition.ts';
import type { RunningConsumer } from '#libs/consumers/consumer-options.ts';
import { createLanes, type Job, type Step } from '#libs/consumers/lanes.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { consumerHarness, stopConsumers } from '#test/support/consumer-harness.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import { textOf } from '#test/support/tally.ts';

const lane = fc.constantFrom('a', 'b', 'c', 'd');

test('lanes keep the order of each key and their width, however jobs complete', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(lane, { maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      fc.array(fc.record({ pick: fc.nat(), waits: fc.boolean() }), { minLength: 1, maxLength: 20 }),
      async (keys, width, choices) => {
        const clock = createManualClock();
        const done: string[] = [];
        const open: { readonly name: string; readonly settle: (step: Step) => void }[] = [];
        const lanes = createLanes<Job>({
          clock,
          width,
          onAbandoned: () => undefined,
          onDefect: (error) => expect.unreachable(String(error)),
        });
        for (const [at, key] of keys.entries())
          lanes.add(key, {
            run: () =>
              new Promise<Step>((settle) => {
                open.push({ name: `${key}${at}`, settle });
              }),
          });
        let waitsLeft = 40;
        for (let turn = 0; done.length < keys.length; turn += 1) {
          expect(open.length).toBeLessThanOrEqual(width);
          const { pick, waits } = choices[turn % choices.length] ?? { pick: 0, waits: false };
          const [job] = open.splice(pick % Math.max(1, open.length), 1);
          if (job === undefined) await clock.advance(10);
          else if (waits && waitsLeft > 0) {
            waitsLeft -= 1;
            job.settle({ waitMs: 5 });
          } else {
            done.push(job.name);
            job.settle('done');
          }
          await clock.settle();
        }
        await lanes.drained();
        for (const key of new Set(keys)) {
          const ofKey = done.filter((name) => name.startsWith(key)).map((name) => Number(name.slice(1)));
          expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b));
        }
        expect(done).toHaveLength(keys.length);
      },
    ),
    propertyRuns(200),
  );
});

/** What the handler does with one message: how often it fails, and how. */
interface Fate {
  readonly lane: string;
  readonly kind: 'fine' | 'poison' | 'away' | 'moved' | 'defect' | 'never';
  readonly times: number;
}

const fates = fc.array(
  fc.record<Fate>({
    lane,
    kind: fc.constantFrom('fine', 'fine', 'fine', 'poison', 'away', 'moved', 'defect', 'never'),
    times: fc.integer({ min: 1, max: 6 }),
  }),
  { minLength: 1, maxLength: 40 },
);

const faultOf = (kind: Fate['kind']): Error => {
  if (kind === 'away') return new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'away' });
  if (kind === 'moved') return new Fault({ code: 'COMMAND_CONTENDED', retry: 'now', message: 'moved' });
  if (kind === 'never') return new Fault({ code: 'UNUSABLE', retry: 'never', message: 'unusable' });
  return new TypeError('a defect');
};

/** Messages by fate; the handler fails as the fate of its message says. */
const fatefulConsumer = (plan: readonly Fate[]) => {
  const harness = consumerHarness();
  const { start, handled } = harness;
  const failures = new Map<string, number>();
  const fateOf = (message: string): Fate | undefined => plan[Number(message.slice(1))];
  const run = (): RunningConsumer =>
    start({
      decode: (entry) => {
        const text = textOf(entry.body);
        if (fateOf(text)?.kind === 'poison') throw new Error('poison');
        return text;
      },
      handle: async (message) => {
        const fate = fateOf(message);
        const failed = failures.get(message) ?? 0;
        if (fate !== undefined && fate.kind !== 'fine' && (fate.kind === 'never' || failed < fate.times)) {
          failures.set(message, failed + 1);
          throw faultOf(fate.kind);
        }
        handled.push(message);
        return ok;
      },
      limits: { maxInHand: 12, width: 3, maxHeldInLane: 3 },
    });
  const send = async (): Promise<void> => {
    for (const [at, { lane: name }] of plan.entries()) await harness.send(name, `${name}${at}`);
  };
  return { ...harness, run, send };
};

const orderOf = (handled: readonly string[], name: string): number[] =>
  handled.filter((message) => message.startsWith(name)).map((message) => Number(message.slice(1)));

test('every message is handled once or parked once, in the order of its lane, and poison never stops the loop', async () => {
  await fc.assert(
    fc.asyncProperty(fates, async (plan) => {
      const { clock, run, send, handled, letters, backlog, fatal } = fatefulConsumer(plan);
      run();
      await send();
      await clock.advance(600_000);
      expect(await backlog()).toEqual({ pending: 0, unacknowledged: 0 });
      const parked = (await letters()).map(({ letter }) => textOf(letter?.origin.body ?? new Uint8Array()));
      expect([...handled, ...parked].sort()).toEqual(plan.map(({ lane: name }, at) => `${name}${at}`).sort());
      for (const name of new Set(plan.map((fate) => fate.lane))) {
        const order = orderOf(handled, name);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }
      // Unreachable is not refused: what was only away is never parked.
      for (const message of parked) expect(plan[Number(message.slice(1))]?.kind).not.toBe('away');
      expect(fatal).toEqual([]);
      await stopConsumers();
    }),
    propertyRuns(60),
  );
});

test('nothing is lost when acknowledgements are, and when consumers stop and start at any time', async () => {
  await fc.assert(
    fc.asyncProperty(
      fates,
      fc.array(fc.constantFrom(0, 50, 500, 4000), { maxLength: 6 }),
      async (plan, pauses) => {
        const { clock, broker, run, send, handled, letters, backlog } = fatefulConsumer(plan);
        broker.faults.plan({
          loseDeliveryAck: (nth) => nth % 5 === 0 && nth < 50,
          forgetDeliveryAck: (nth) => nth % 7 === 0 && nth < 50,
        });
        await send();
        for (const pauseMs of pauses) {
          const running = run();
          await clock.advance(pauseMs);
          const stopped = running.stop(100);
          await clock.advance(100);
          await stopped;
        }
        run();
        await clock.advance(600_000);
        expect(await backlog()).toEqual({ pending: 0, unacknowledged: 0 });
        const parked = (await letters()).map(({ letter }) => textOf(letter?.origin.body ?? new Uint8Array()));
        expect(new Set(parked).size, 'a letter is stored once').toBe(parked.length);
        const ended = new Set([...handled, ...parked]);
        expect(ended.size).toBe(plan.length);
        await stopConsumers();
      },
    ),
    propertyRuns(60),
  );
});
