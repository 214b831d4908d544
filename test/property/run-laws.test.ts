// Laws of the run aggregate under any sequence of commands, sensible or not.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import { isEnded, isHeld, type RunState } from '#services/runs/run-state.policy.ts';
import { foldRun, type RunSummary } from '#services/runs/run.view.ts';
import type { RunCommand, RunEvent } from '#streams/run.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const ULID = '01HF3Z0000000000000000000';
const runId = `run_${ULID}A`;
const turnIds = ['A', 'B', 'C'].map((last) => `trn_${ULID}${last}`);
const time = fc.nat({ max: 1e12 });
const fence = fc.integer({ min: 1, max: 6 });

const failure = { kind: 'provider-failed', message: 'broke' } as const;
const FAILURE_KIND = { failed: 'provider-failed', lost: 'runner-lost' } as const;
const resultArb = fc
  .constantFrom(
    'done' as const,
    'yielded' as const,
    'blocked' as const,
    'failed' as const,
    'cancelled' as const,
    'lost' as const,
  )
  .map((end) => ({
    outcome: end === 'lost' ? ('failed' as const) : end,
    exitCode: null,
    signal: null,
    summary: '',
    failure: end === 'failed' || end === 'lost' ? { ...failure, kind: FAILURE_KIND[end] } : null,
    durationMs: 1,
    events: 0,
  }));

const createArb = fc.record({
  hash: fc.constantFrom('a', 'b'),
  replay: fc.constantFrom('requeue' as const, 'fail' as const),
  maxAttempts: fc.integer({ min: 1, max: 4 }),
});
const createCommand = createArb.map(({ hash, replay, maxAttempts }): RunCommand => ({
  kind: 'create',
  data: {
    runId,
    sessionId: `ses_${ULID}A`,
    agent: 'builder-1',
    provider: 'exec',
    title: null,
    request: { prompt: 'x', turnTimeoutMs: 1000 },
    requestHash: hash.repeat(64),
    commandId: `cmd_${ULID}A`,
    replay,
    maxAttempts,
    leaseMs: 2000,
  },
}));
const commandArb: fc.Arbitrary<RunCommand> = fc.oneof(
  { weight: 1, arbitrary: createCommand },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('claim' as const),
      agent: fc.constantFrom('builder-1', 'builder-1', 'builder-1', 'other'),
      runnerId: fc.constantFrom('r1', 'r2'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('start-turn' as const),
      agent: fc.constantFrom('builder-1', 'builder-1', 'builder-1', 'other'),
      fence,
      turnId: fc.constantFrom(...turnIds),
      startedAt: time,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('finish-turn' as const),
      agent: fc.constantFrom('builder-1', 'builder-1', 'builder-1', 'other'),
      fence,
      turnId: fc.constantFrom(...turnIds),
      result: resultArb,
      endedAt: time,
      nextCommandId: fc.constant(`cmd_${ULID}C`),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('expire-lease' as const),
      fence,
      commandId: fc.constant(`cmd_${ULID}B`),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('cancel' as const), reason: fc.constantFrom('no', 'why') }),
  },
);
const lifeArb = fc
  .tuple(createCommand, fc.array(fc.tuple(commandArb, time), { maxLength: 40 }))
  .map(([first, rest]): readonly (readonly [RunCommand, number])[] => [[first, 1], ...rest]);

interface Step {
  readonly command: RunCommand;
  readonly before: RunState;
  readonly event: RunEvent | undefined;
  readonly after: RunState;
}

const live = (life: readonly (readonly [RunCommand, number])[]): Step[] => {
  let state: RunState = runDecider.initial;
  return life.map(([command, now]) => {
    const before = state;
    const decision = runDecider.decide(command, before, { now });
    const event = decision.kind === 'accepted' ? decision.event : undefined;
    if (event !== undefined) state = runDecider.evolve(before, event);
    return { command, before, event, after: state };
  });
};
const eventsOf = (steps: readonly Step[]): RunEvent[] =>
  steps.flatMap(({ event }) => (event === undefined ? [] : [event]));
const law = (check: (steps: readonly Step[]) => void): void => {
  fc.assert(
    fc.property(lifeArb, (life) => {
      check(live(life));
    }),
    propertyRuns(500),
  );
};
const ends = (event: RunEvent): boolean =>
  event.type === 'fleetlog.run.completed.v1' ||
  event.type === 'fleetlog.run.blocked.v1' ||
  event.type === 'fleetlog.run.failed.v1' ||
  event.type === 'fleetlog.run.cancelled.v1' ||
  (event.type === 'fleetlog.run.lease-expired.v1' && event.next !== 'queued');

test('WK-34 the fold of the events is the live state', () => {
  law((steps) => expect(fold(runDecider, eventsOf(steps))).toEqual(steps.at(-1)?.after));
});

test('a run ends at most once, and an ended run absorbs everything', () => {
  law((steps) => {
    const events = eventsOf(steps);
    const end = events.findIndex(ends);
    if (end >= 0) expect(end).toBe(events.length - 1);
    for (const { before, event } of steps)
      if (before !== undefined && isEnded(before.state)) expect(event).toBeUndefined();
  });
});

test('fences grow by one with each claim, and claims never exceed the attempts', () => {
  law((steps) => {
    const fences = eventsOf(steps).flatMap((event) =>
      event.type === 'fleetlog.run.claimed.v1' ? [event.fence] : [],
    );
    expect(fences).toEqual(fences.map((_, index) => index + 1));
    expect(fences.length).toBeLessThanOrEqual(steps.at(-1)?.after?.created.maxAttempts ?? 0);
  });
});

test('only a report under the fence that holds the run moves it', () => {
  law((steps) => {
    for (const { command, before, event } of steps) {
      if (command.kind !== 'start-turn' && command.kind !== 'finish-turn') continue;
      if (event === undefined) continue;
      expect(command.fence).toBe(before?.claims);
      expect(command.agent).toBe('builder-1');
      expect(before !== undefined && isHeld(before)).toBe(true);
    }
  });
});

test('a command that was accepted changes nothing when it comes again', () => {
  law((steps) => {
    for (const { command, event, after } of steps) {
      if (event === undefined || command.kind === 'claim') continue;
      expect(runDecider.decide(command, after, { now: 5 })).toEqual({ kind: 'unchanged' });
    }
  });
});

test('a run is held exactly while a claim is neither ended nor lost', () => {
  law((steps) => {
    const state = steps.at(-1)?.after;
    if (state !== undefined) expect(isHeld(state)).toBe(state.runnerId !== null);
  });
});

test('the summary shows the state, attempt and holder of the aggregate', () => {
  const boundary = { tenant: 'local', project: 'main' };
  law((steps) => {
    let view: RunSummary | undefined;
    for (const event of eventsOf(steps)) view = foldRun(view, { boundary, event });
    const state = steps.at(-1)?.after;
    expect(view).toMatchObject({
      state: state?.state,
      attempt: state?.claims,
      turnId: state?.turnId ?? null,
      cancelReason: state?.cancelReason ?? null,
    });
    if (typeof state?.runnerId === 'string') expect(view?.runnerId).toBe(state.runnerId);
  });
});
