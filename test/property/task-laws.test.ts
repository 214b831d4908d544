// Laws of the task aggregate under any sequence of commands, sensible or not.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { isActive, isEnded, type TaskState } from '#services/tasks/task-state.policy.ts';
import { taskDecider } from '#services/tasks/task.decider.ts';
import { foldTask, type TaskSummary } from '#services/tasks/task.view.ts';
import { taskViewSchema } from '#streams/task-view.ts';
import type { TaskCommand, TaskEvent } from '#streams/task.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import { createData, newSession } from '#test/support/task-history.ts';

const ULID = '01HF3Z0000000000000000000';
const time = fc.nat({ max: 1e12 });
const attempt = fc.integer({ min: 1, max: 5 });
/** The run of an attempt; now and then that of another one. */
const runOf = (number: number): string => `run_${ULID}${number}`;
const named = fc
  .tuple(attempt, fc.boolean(), attempt)
  .map(([number, isTrue, other]) => ({ attempt: number, runId: runOf(isTrue ? number : other) }));

const endArb = fc
  .tuple(
    fc.constantFrom(
      'completed' as const,
      'failed' as const,
      'lost' as const,
      'blocked' as const,
      'cancelled' as const,
    ),
    time,
  )
  .map(([how, endedAt]) => ({
    outcome: how === 'lost' ? ('failed' as const) : how,
    failure:
      how === 'failed' || how === 'lost'
        ? { kind: how === 'lost' ? ('runner-lost' as const) : ('provider-failed' as const), message: 'broke' }
        : null,
    summary: 'last words',
    endedAt,
  }));

const createCommand: fc.Arbitrary<TaskCommand> = fc
  .record({
    hash: fc.constantFrom('a', 'a', 'b'),
    replay: fc.constantFrom('requeue' as const, 'fail' as const),
    maxAttempts: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ hash, ...rest }) => ({
    kind: 'create',
    data: createData({ requestHash: hash.repeat(64), ...rest }),
  }));

const commandArb: fc.Arbitrary<TaskCommand> = fc.oneof(
  { weight: 1, arbitrary: createCommand },
  {
    weight: 6,
    arbitrary: fc
      .tuple(named, fc.constantFrom('builder-1', 'builder-2'))
      .map(([{ attempt: number }, agent]) => ({
        kind: 'assign' as const,
        attempt: number,
        runId: runOf(number),
        newSessionId: newSession,
        agent,
      })),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(named, time)
      .map(([about, startedAt]) => ({ kind: 'start' as const, ...about, startedAt })),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(named, endArb).map(([about, end]) => ({ kind: 'end' as const, ...about, end })),
  },
  {
    weight: 2,
    arbitrary: attempt.map((number) => ({ kind: 'recall' as const, attempt: number, reason: 'gone' })),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'cancel' as const, reason: 'no' }) },
  { weight: 2, arbitrary: fc.constant({ kind: 'retry' as const }) },
);

const lifeArb = fc
  .tuple(createCommand, fc.array(fc.tuple(commandArb, time), { maxLength: 50 }))
  .map(([first, rest]): readonly (readonly [TaskCommand, number])[] => [[first, 1], ...rest]);

interface Step {
  readonly command: TaskCommand;
  readonly before: TaskState;
  readonly event: TaskEvent | undefined;
  readonly after: TaskState;
}

const live = (life: readonly (readonly [TaskCommand, number])[]): Step[] => {
  let state: TaskState = taskDecider.initial;
  return life.map(([command, now]) => {
    const before = state;
    const decision = taskDecider.decide(command, before, { now });
    const event = decision.kind === 'accepted' ? decision.event : undefined;
    if (event !== undefined) state = taskDecider.evolve(before, event);
    return { command, before, event, after: state };
  });
};
const eventsOf = (steps: readonly Step[]): TaskEvent[] =>
  steps.flatMap(({ event }) => (event === undefined ? [] : [event]));
const law = (check: (steps: readonly Step[]) => void): void => {
  fc.assert(
    fc.property(lifeArb, (life) => {
      check(live(life));
    }),
    propertyRuns(500),
  );
};

test('the fold of the events is the live state', () => {
  law((steps) => expect(fold(taskDecider, eventsOf(steps))).toEqual(steps.at(-1)?.after));
});

test('WK-58 ST-T19 a task is completed at most once, and then absorbs everything', () => {
  law((steps) => {
    const events = eventsOf(steps);
    const done = events.findIndex(({ type }) => type === 'fleetlog.task.completed.v1');
    if (done >= 0) expect(done).toBe(events.length - 1);
  });
});

test('ST-T19 only a retry leads out of an end', () => {
  law((steps) => {
    for (const { before, event } of steps)
      if (before !== undefined && isEnded(before.state) && event !== undefined)
        expect(event.type).toBe('fleetlog.task.retried.v1');
  });
});

test('WK-58 attempts are numbered without gaps, never forgotten, and one at a time is under way', () => {
  law((steps) => {
    const numbers = eventsOf(steps).flatMap((event) =>
      event.type === 'fleetlog.task.assigned.v1' ? [event.attempt] : [],
    );
    expect(numbers).toEqual(numbers.map((_, at) => at + 1));
    for (const { after } of steps) {
      if (after === undefined) continue;
      const open = after.attempts.filter(({ outcome }) => outcome === null);
      expect(open).toHaveLength(isActive(after.state) ? 1 : 0);
    }
    expect(steps.at(-1)?.after?.attempts).toHaveLength(numbers.length);
  });
});

test('attempts that count never exceed the allowance of a life', () => {
  law((steps) => {
    for (const { after } of steps)
      if (after !== undefined) {
        expect(after.used).toBeGreaterThanOrEqual(0);
        expect(after.used).toBeLessThanOrEqual(after.created.maxAttempts);
      }
  });
});

test('a command that was accepted changes nothing when it comes again', () => {
  law((steps) => {
    for (const { command, event, after } of steps) {
      if (event === undefined || command.kind === 'retry') continue;
      expect(taskDecider.decide(command, after, { now: 5 })).toEqual({ kind: 'unchanged' });
    }
  });
});

test('the summary shows the state and all attempts of the aggregate, and is one of the contract', () => {
  const boundary = { tenant: 'local', project: 'main' };
  law((steps) => {
    let view: TaskSummary | undefined;
    const events = eventsOf(steps);
    for (const [at, event] of events.entries()) view = foldTask(view, { boundary, event, seq: at + 1 });
    const state = steps.at(-1)?.after;
    expect(taskViewSchema.parse({ seq: events.length, ...view })).toEqual({ seq: events.length, ...view });
    expect(view?.state).toBe(state?.state);
    expect(view?.attempts.map(({ runId, outcome, recalled }) => [runId, outcome, recalled !== null])).toEqual(
      state?.attempts.map(({ runId, outcome, isRecalled }) => [runId, outcome, isRecalled]),
    );
  });
});
