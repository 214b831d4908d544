// Laws of the approvals of a run under any sequence of commands, sensible or not.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import { isEnded, isHeld, type RunState } from '#services/runs/run-state.policy.ts';
import { foldRun, type RunSummary } from '#services/runs/run.view.ts';
import type { RunCommand, RunEvent } from '#streams/run.ts';
import { answer, ask, withdraw } from '#test/support/approval-history.ts';
import {
  claim,
  createData,
  expire,
  finish,
  NOW,
  result,
  start,
  turnA,
  turnB,
} from '#test/support/run-history.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const fence = fc.integer({ min: 1, max: 4 });
const approvalId = fc.constantFrom(
  ...'ABCDEF'.split('').map((last) => `apr_01HF3Z0000000000000000000${last}`),
);
const turnId = fc.constantFrom(turnA, turnB);
const digest = fc.constantFrom('a'.repeat(64), 'b'.repeat(64));

const askArb = fc
  .record({ mode: fc.constantFrom('held' as const, 'parked' as const), fence, approvalId, turnId, digest })
  .map(({ mode, ...changes }) => ask(mode, changes));
const answerArb = fc
  .record({
    approvalId,
    digest: fc.option(digest, { nil: undefined }),
    decision: fc.constantFrom('approve' as const, 'reject' as const, 'edit' as const),
    by: fc.constantFrom('user:anna', 'user:ben'),
  })
  .map((given) => answer({ ...given, ...(given.decision === 'edit' && { input: { x: 1 } }) }));
const expireArb = approvalId.map((id): RunCommand => ({
  kind: 'expire-approval',
  approvalId: id,
  nextCommandId: 'cmd_01HF3Z00000000000000000002',
}));
const commandArb: fc.Arbitrary<RunCommand> = fc.oneof(
  { weight: 4, arbitrary: fc.constant(claim) },
  { weight: 1, arbitrary: fc.tuple(fence, turnId).map(([held, turn]) => start(held, turn)) },
  { weight: 1, arbitrary: fc.tuple(fence, turnId).map(([held, turn]) => finish(held, result(), turn)) },
  { weight: 1, arbitrary: fence.map(expire) },
  { weight: 6, arbitrary: askArb },
  { weight: 5, arbitrary: answerArb },
  { weight: 2, arbitrary: expireArb },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fence, approvalId)
      .map(([held, id]) => ({ ...withdraw(held), approvalId: id }) as RunCommand),
  },
  { weight: 1, arbitrary: fc.constant<RunCommand>({ kind: 'cancel', reason: 'no' }) },
);

interface Step {
  readonly command: RunCommand;
  readonly before: RunState;
  readonly event: RunEvent | undefined;
  readonly after: RunState;
  readonly now: number;
}
const lifeArb = fc.record({
  maxAttempts: fc.integer({ min: 1, max: 3 }),
  commands: fc.array(fc.tuple(commandArb, fc.integer({ min: 0, max: 70_000 })), { maxLength: 50 }),
});

const law = (check: (steps: readonly Step[]) => void): void => {
  fc.assert(
    fc.property(lifeArb, ({ maxAttempts, commands }) => {
      let state: RunState = runDecider.initial;
      const first: readonly [RunCommand, number] = [{ kind: 'create', data: createData({ maxAttempts }) }, 0];
      const steps = [first, ...commands].map(([command, later]): Step => {
        const before = state;
        const now = NOW + later;
        const decision = runDecider.decide(command, before, { now });
        const event = decision.kind === 'accepted' ? decision.event : undefined;
        if (event !== undefined) state = runDecider.evolve(before, event);
        return { command, before, event, after: state, now };
      });
      check(steps);
    }),
    propertyRuns(500),
  );
};
const eventsOf = (steps: readonly Step[]): RunEvent[] =>
  steps.flatMap(({ event }) => (event === undefined ? [] : [event]));
const answersOf = (steps: readonly Step[]) =>
  eventsOf(steps).flatMap((event) => (event.type === 'fleetlog.run.approval-answered.v1' ? [event] : []));

test('WK-41 a question is settled at most once, and only after it was asked', () => {
  law((steps) => {
    const events = eventsOf(steps);
    const ids = answersOf(steps).map((event) => event.approvalId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [index, event] of events.entries()) {
      if (event.type !== 'fleetlog.run.approval-answered.v1') continue;
      const question = events
        .slice(0, index)
        .find(
          (earlier) =>
            earlier.type === 'fleetlog.run.approval-asked.v1' && earlier.approvalId === event.approvalId,
        );
      expect(question).toMatchObject({ digest: event.digest, callId: event.callId, fence: event.fence });
    }
  });
});

test('an answer to another call, or after its time, never counts; time over is never an approval', () => {
  law((steps) => {
    for (const { command, before, event, now } of steps) {
      if (event?.type !== 'fleetlog.run.approval-answered.v1') continue;
      const open = before?.open.find((approval) => approval.approvalId === event.approvalId);
      if (command.kind === 'answer-approval') {
        expect(now).toBeLessThan(open?.expiresAt ?? 0);
        if (command.digest !== undefined) expect(command.digest).toBe(open?.digest);
      }
      if (command.kind === 'expire-approval')
        expect([event.decision, now >= (open?.expiresAt ?? Infinity)]).toEqual(['expired', true]);
    }
  });
});

test('a question is open only while the claim that asked it waits: its end closes what is open in the same append', () => {
  law((steps) => {
    for (const { before, event, after } of steps) {
      if (after === undefined) continue;
      for (const { fence: asking } of after.open) expect(asking).toBe(after.claims);
      if (after.open.length > 0) expect(['waiting']).toContain(after.state);
      if (after.state === 'waiting') expect(after.open.length).toBeGreaterThan(0);
      if (before === undefined || event === undefined || event.type === 'fleetlog.run.approval-answered.v1')
        continue;
      const gone = before.open.filter(
        ({ approvalId: id }) => !after.open.some((open) => open.approvalId === id),
      );
      const said = 'approvalsClosed' in event ? (event.approvalsClosed ?? []) : [];
      expect(said).toEqual(gone.map(({ approvalId: id }) => id));
    }
  });
});

test('an ended run absorbs questions, answers and expiries', () => {
  law((steps) => {
    for (const { before, event } of steps)
      if (before !== undefined && isEnded(before.state)) expect(event).toBeUndefined();
  });
});

test('parking gives the claim back and uses no attempt; attempts never exceed their limit', () => {
  law((steps) => {
    for (const { event, after } of steps) {
      if (after === undefined) continue;
      expect(after.claims - after.parkings).toBeLessThanOrEqual(after.created.maxAttempts);
      expect(isHeld(after)).toBe(after.runnerId !== null);
      if (event?.type === 'fleetlog.run.approval-asked.v1')
        expect(after.runnerId === null).toBe(event.mode === 'parked');
    }
  });
});

test('the fold of the events is the live state, and a command that was accepted is not accepted again', () => {
  law((steps) => {
    expect(fold(runDecider, eventsOf(steps))).toEqual(steps.at(-1)?.after);
    for (const { command, event, after, now } of steps)
      if (event !== undefined && command.kind !== 'claim')
        expect(runDecider.decide(command, after, { now }).kind).not.toBe('accepted');
  });
});

test('the summary shows the state and the open questions of the aggregate', () => {
  const boundary = { tenant: 'local', project: 'main' };
  law((steps) => {
    let view: RunSummary | undefined;
    for (const event of eventsOf(steps)) view = foldRun(view, { boundary, event });
    const state = steps.at(-1)?.after;
    expect(view).toMatchObject({ state: state?.state, parkings: state?.parkings });
    expect(view?.openApprovals.map((open) => open.approvalId)).toEqual(
      state?.open.map((open) => open.approvalId),
    );
    if (state !== undefined && !isEnded(state.state)) expect(view?.runnerId).toBe(state.runnerId);
  });
});
