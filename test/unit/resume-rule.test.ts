// A program that is not in the conversation it was asked to go on with, under each rule: with a provider played by the test.
import { expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import type { EventSink, Provider, ProviderEvent, TurnOrder } from '#services/runner/providers/provider.ts';
import { withResumeRule } from '#services/runner/providers/resume-rule.ts';
import type { StopReason, TurnFacts } from '#services/runner/providers/turn-facts.ts';
import { turnOutcome } from '#services/runner/providers/turn-outcome.policy.ts';

interface Played {
  readonly order: TurnOrder;
  readonly sink: EventSink;
  readonly stops: StopReason[];
  end(facts: Partial<TurnFacts>): void;
}

const setUp = (kind: 're-prime' | 'fail') => {
  const clock = createManualClock();
  const played: Played[] = [];
  const holds: number[] = [];
  const provider: Provider = {
    name: 'pretend',
    start: (order, sink) => {
      const ending = Promise.withResolvers<TurnFacts>();
      const stops: StopReason[] = [];
      const end = (facts: Partial<TurnFacts>): void =>
        ending.resolve({
          closing: null,
          exit: { code: 0, signal: null },
          startProblem: null,
          stopped: stops[0] ?? null,
          lastText: '',
          errorTail: '',
          usage: null,
          events: 1,
          leftovers: 0,
          ...facts,
        });
      played.push({ order, sink, stops, end });
      const stop = (reason: StopReason): void => void stops.push(reason);
      const part = played.length;
      const hold = () => {
        holds.push(part);
        return () => void holds.push(-part);
      };
      return { started: Promise.resolve({ pid: part }), stop, hold, ended: ending.promise };
    },
  };
  const rule = { kind, freshProgram: ['agent'], recap: { text: 'Earlier: a, b.', turns: 2 } };
  const events: ProviderEvent[] = [];
  const order: TurnOrder = {
    workspace: '/w',
    prompt: 'go on',
    program: ['agent', '--resume', 'old'],
    environment: {},
    mark: 'M',
    limits: { turnTimeoutMs: 60_000, silenceMs: 0, killAfterMs: 100, lingerMs: 100 },
    resume: { providerSessionId: 'old', counters: {} },
  };
  const start = (changes: Partial<TurnOrder> = {}) =>
    withResumeRule(provider, rule, clock).start({ ...order, ...changes }, async (event) => {
      events.push(event);
    });
  const part = (at: number): Played => {
    const one = played[at];
    if (one === undefined) throw new Error(`the program was not started ${at + 1} times`);
    return one;
  };
  return { clock, played, part, events, holds, start };
};

const fork: ProviderEvent = { kind: 'session-forked', providerSessionId: 'new', requested: 'old' };
const done = { closing: { outcome: 'done', summary: 'ok', message: '' } } as const;
const bound = { session: { providerSessionId: 'new', counters: {} } } as const;

test('WK-28 a fork under re-prime ends the program at once, and starts it anew with the summary before the prompt', async () => {
  const { clock, part, played, events, start } = setUp('re-prime');
  const turn = start();
  await part(0).sink(fork);
  expect(part(0).stops).toEqual(['session-lost']);
  await clock.advance(5000);
  part(0).end({ ...bound, usage: { inputTokens: 5 }, events: 2, leftovers: 1 });
  await clock.settle();
  expect(played).toHaveLength(2);
  const { order } = part(1);
  expect(order).toMatchObject({ program: ['agent'], prompt: 'Earlier: a, b.\n\ngo on' });
  expect(order.resume).toBeUndefined();
  expect(order.limits.turnTimeoutMs).toBe(55_000);
  part(1).end({
    ...done,
    session: { providerSessionId: 'fresh', counters: {} },
    usage: { inputTokens: 7 },
    events: 3,
  });
  expect(await turn.ended).toMatchObject({
    closing: { outcome: 'done' },
    session: { providerSessionId: 'fresh' },
    usage: { inputTokens: 12 },
    events: 5,
    leftovers: 1,
  });
  expect(events).toEqual([
    fork,
    { kind: 'session-primed', requested: 'old', observed: 'new', turns: 2, characters: 14 },
  ]);
});

test('a conversation that is not known under re-prime is begun anew in the same turn', async () => {
  const { clock, part, events, start } = setUp('re-prime');
  const turn = start();
  part(0).end({ exit: { code: 1, signal: null }, session: 'gone' });
  await clock.settle();
  part(1).end({ ...done, ...bound });
  expect(turnOutcome(await turn.ended, 1).outcome).toBe('done');
  expect(events).toEqual([
    { kind: 'session-primed', requested: 'old', observed: null, turns: 2, characters: 14 },
  ]);
});

test.each([
  ['a fork', async ({ sink }: Played) => sink(fork), bound],
  ['an unknown conversation', async () => undefined, { session: 'gone' } as const],
])('WK-28 %s under fail ends the turn, and what is kept of the session stays', async (_, happen, facts) => {
  const { part, played, start } = setUp('fail');
  const turn = start();
  await happen(part(0));
  part(0).end({ ...facts, ...done });
  const ended = await turn.ended;
  expect(ended.session).toBeUndefined();
  expect(turnOutcome(ended, 1)).toMatchObject({ outcome: 'failed', failure: { kind: 'session-lost' } });
  expect(played).toHaveLength(1);
});

test('a turn that is ended from outside meanwhile is not begun again, and says why it was ended', async () => {
  const { clock, part, played, start } = setUp('re-prime');
  const turn = start();
  await part(0).sink(fork);
  turn.stop('cancel');
  part(0).end(bound);
  expect(turnOutcome(await turn.ended, 1).outcome).toBe('cancelled');
  await clock.settle();
  expect(played).toHaveLength(1);
});

test('a wait for a person holds the limits of the program that runs', async () => {
  const { clock, part, holds, start } = setUp('re-prime');
  const turn = start();
  turn.hold?.()();
  part(0).end({ session: 'gone' });
  await clock.settle();
  turn.hold?.()();
  expect(holds).toEqual([1, -1, 2, -2]);
  part(1).end(done);
  await turn.ended;
});

test('a stop reaches the program that was started anew', async () => {
  const { clock, part, start } = setUp('re-prime');
  const turn = start();
  part(0).end({ session: 'gone' });
  await clock.settle();
  turn.stop('lease', 10);
  expect(part(1).stops).toEqual(['lease']);
  part(1).end({});
  expect((await turn.ended).stopped).toBe('lease');
});

test.each(['re-prime', 'fail'] as const)(
  'under %s nothing changes for a conversation that is there, or a new one',
  async (kind) => {
    const { part, played, start } = setUp(kind);
    const there = start();
    await part(0).sink({ kind: 'session-bound', providerSessionId: 'old', requested: 'old' });
    part(0).end({ ...done, session: { providerSessionId: 'old', counters: {} } });
    expect(await there.ended).toMatchObject({ session: { providerSessionId: 'old' } });
    const { resume: _resume, ...fresh } = part(0).order;
    const begun = start(fresh);
    expect(played).toHaveLength(2);
    part(1).end({ ...done, ...bound });
    expect(await begun.ended).toMatchObject(bound);
  },
);
