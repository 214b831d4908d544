// Laws of the policy aggregate under any sequence of commands and evidence, sensible or not.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { foldAgent, type AgentSummary } from '#services/lifecycle/agent.view.ts';
import { isLive, type PolicyState } from '#services/lifecycle/policy-state.policy.ts';
import { nextWake } from '#services/lifecycle/policy-wake.policy.ts';
import { policyDecider } from '#services/lifecycle/policy.decider.ts';
import { foldPolicy, type PolicySummary } from '#services/lifecycle/policy.view.ts';
import { managedAgentSchema, policyViewSchema } from '#streams/policy-views.ts';
import {
  policyEventSchema,
  type PolicyCommand,
  type PolicyEvent,
  type PolicyEvidence,
} from '#streams/policy.ts';
import { config, NOW, seen } from '#test/support/policy-history.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const ULID = '01HF3Z000000000000000000';
const spawnIds = Array.from({ length: 60 }, (_, at) => `spw_${ULID}${String(at).padStart(2, '0')}`);

const configArb = fc
  .record({
    mode: fc.constantFrom('always-on', 'on-demand', 'scheduled', 'paused'),
    keepAliveSeconds: fc.constantFrom(0, 5, 60),
    dailyRestart: fc.boolean(),
    restartOnUpdate: fc.boolean(),
    provider: fc.constantFrom('exec', 'claude'),
    restarts: fc.constantFrom(0, 1, 3),
    runs: fc.constantFrom(0, 2),
  })
  .map(({ restarts, runs, ...rest }) =>
    config({
      ...rest,
      schedule: { cron: '* * * * *' },
      limits: { restarts, runs, windowSeconds: 60 },
      backoff: { scheduleSeconds: [1, 5], resetAfterSeconds: 20 },
      health: { stuckAfterSeconds: 30 },
    }),
  );

/** Whom a look finds alive: nobody, the current start, an earlier one, somebody's own. */
const seenArb = fc.constantFrom('none', 'current', 'current', 'earlier', 'own');
const evidenceArb = fc.record({
  seen: seenArb,
  hasHost: fc.boolean(),
  isHostOnline: fc.boolean(),
  mailSeq: fc.nat({ max: 20 }),
  isBusy: fc.boolean(),
  idleMs: fc.nat({ max: 100_000_000 }),
  runs: fc.nat({ max: 4 }),
  isStuck: fc.boolean(),
  isDue: fc.boolean(),
});

type Step =
  | {
      readonly kind: 'tick';
      readonly evidence: typeof evidenceArb extends fc.Arbitrary<infer T> ? T : never;
      readonly chance: number;
    }
  | {
      readonly kind: 'told';
      readonly what: 'exited' | 'refused';
      readonly which: number;
      readonly code: string;
    }
  | { readonly kind: 'asked'; readonly command: PolicyCommand };

const reason = 'law';
const stepArb: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('tick' as const),
      evidence: evidenceArb,
      chance: fc.double({ min: 0, max: 0.999, noNaN: true }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('told' as const),
      what: fc.constantFrom('exited' as const, 'refused' as const),
      which: fc.nat({ max: 2 }),
      code: fc.constantFrom('HOST_FULL', 'SPAWN_FAILED', 'CREDENTIAL_MISSING', 'SPAWN_UNKNOWN'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc
      .oneof(
        configArb.map((given): PolicyCommand => ({
          kind: 'apply',
          policy: 'builder',
          config: given,
          expectedVersion: null,
          note: null,
        })),
        fc
          .constantFrom(
            'start' as const,
            'stop' as const,
            'pause' as const,
            'resume' as const,
            'reset' as const,
            'resume' as const,
            'start' as const,
          )
          .map((kind): PolicyCommand => ({ kind, reason })),
        fc
          .constantFrom('operator' as const, 'restart-on-update' as const)
          .map((cause): PolicyCommand => ({ kind: 'restart', cause, idleMs: 0, reason })),
        fc.constant<PolicyCommand>({ kind: 'remove', expectedVersion: null, reason }),
        fc.nat({ max: 4 }).map((at): PolicyCommand => ({
          kind: 'rollback',
          toVersion: at + 1,
          expectedVersion: null,
          note: null,
        })),
      )
      .map((command) => ({ kind: 'asked' as const, command })),
  },
);

interface Lived {
  readonly command: PolicyCommand;
  readonly before: PolicyState;
  readonly event: PolicyEvent | undefined;
  readonly after: PolicyState;
  readonly now: number;
}

const evidenceOf = (
  given: Extract<Step, { kind: 'tick' }>['evidence'],
  policy: PolicyState,
  now: number,
): PolicyEvidence => {
  const current = policy?.spawn?.spawnId;
  const runners = {
    none: null,
    current: current === undefined ? null : seen(current),
    earlier: seen(spawnIds[59]),
    own: seen(null),
  } as const;
  return {
    runner: runners[given.seen as keyof typeof runners],
    hosts: given.hasHost
      ? { kind: 'host', host: 'forge-1' }
      : { kind: 'none', code: 'HOST_FULL', message: 'full' },
    isHostOnline: given.isHostOnline,
    mailSeq: given.mailSeq,
    activity: { isBusy: given.isBusy, lastAt: Math.max(0, now - given.idleMs) },
    usage: { runs: given.runs, spendMicroUsd: 0, freeAt: now + 5000 },
    scheduledFor: given.isDue ? now : null,
    stuck: given.isStuck ? { kind: 'silent', runId: null, turnId: 't', sinceAt: 0, detail: 'silent' } : null,
  };
};

const live = (steps: readonly (readonly [Step, number])[]): Lived[] => {
  let state: PolicyState = policyDecider.initial;
  let now = NOW;
  return steps.map(([step, afterMs], at) => {
    now += afterMs;
    const before = state;
    const spawnId = spawnIds[at % 59] ?? '';
    const ended =
      [before?.spawn?.spawnId, spawnIds[58], before?.over][step.kind === 'told' ? step.which : 0] ?? spawnId;
    const told = { spawnId: ended, chance: 0.5 };
    const command: PolicyCommand =
      step.kind === 'asked'
        ? step.command
        : step.kind === 'tick'
          ? { kind: 'tick', evidence: evidenceOf(step.evidence, before, now), spawnId, chance: step.chance }
          : step.what === 'exited'
            ? { kind: 'exited', ...told, exitCode: 1, signal: null, lastWords: 'ouch' }
            : { kind: 'refused', ...told, code: step.code, message: 'no' };
    const decision = policyDecider.decide(command, before, { now });
    const event = decision.kind === 'accepted' ? decision.event : undefined;
    if (event !== undefined) state = policyDecider.evolve(before, event);
    return { command, before, event, after: state, now };
  });
};

const lifeArb = fc
  .tuple(
    configArb,
    fc.array(fc.tuple(stepArb, fc.constantFrom(0, 100, 2000, 30_000, 90_000)), { maxLength: 58 }),
  )
  .map(([first, rest]): readonly (readonly [Step, number])[] => [
    [
      {
        kind: 'asked',
        command: { kind: 'apply', policy: 'builder', config: first, expectedVersion: null, note: null },
      },
      0,
    ],
    ...rest,
  ]);
const law = (check: (lived: readonly Lived[]) => void): void => {
  fc.assert(
    fc.property(lifeArb, (steps) => {
      check(live(steps));
    }),
    propertyRuns(400),
  );
};
const eventsOf = (lived: readonly Lived[]): PolicyEvent[] => lived.flatMap(({ event }) => event ?? []);

test('every event is one of the contract, and the fold of the events is the live state', () => {
  law((lived) => {
    const events = eventsOf(lived);
    for (const event of events) expect(policyEventSchema.parse(event)).toEqual(event);
    expect(fold(policyDecider, events)).toEqual(lived.at(-1)?.after);
  });
});

test('LC-06 at most one start is under way: another begins only when the last has been given up on record', () => {
  law((lived) => {
    let open: string | undefined;
    for (const event of eventsOf(lived)) {
      if (event.type === 'fleetlog.policy.starting.v1') {
        expect(open).toBe(undefined);
        open = event.spawnId;
      }
      if (
        event.type === 'fleetlog.policy.stopped.v1' ||
        event.type === 'fleetlog.policy.backoff.v1' ||
        event.type === 'fleetlog.policy.failed.v1'
      )
        open = undefined;
      if (event.type === 'fleetlog.policy.running.v1' || event.type === 'fleetlog.policy.stopping.v1')
        expect(event.spawnId).toBe(open);
    }
    for (const { after } of lived)
      if (after !== undefined) expect(after.spawn !== null).toBe(isLive(after.state));
  });
});

test('WK-71 nothing starts while a runner of the agent is seen, unless it is of a start that is known to be over', () => {
  law((lived) => {
    for (const { command, before, event } of lived) {
      if (event?.type !== 'fleetlog.policy.starting.v1' || command.kind !== 'tick') continue;
      const runner = command.evidence.runner ?? null;
      expect(runner === null || runner.spawnId === before?.over).toBe(true);
    }
  });
});

test('WK-69 a wait after a failure is cut short by nothing but a reset', () => {
  law((lived) => {
    for (const { before, event, now } of lived)
      if (before?.state === 'backoff' && event?.type === 'fleetlog.policy.starting.v1')
        expect(now).toBeGreaterThanOrEqual(before.dueAt ?? 0);
  });
});

test('an open breaker is left by a reset or a removal only', () => {
  law((lived) => {
    for (const { before, after, event } of lived)
      if (before?.state === 'failed' && after?.state !== 'failed')
        expect(
          event?.type === 'fleetlog.policy.reset.v1' ||
            (before.isRemoved && event?.type === 'fleetlog.policy.stopped.v1'),
        ).toBe(true);
  });
});

test('WK-66 what a person has stopped, paused or removed is not started', () => {
  law((lived) => {
    for (const { before, event } of lived)
      if (event?.type === 'fleetlog.policy.starting.v1')
        expect([
          before?.asked === 'stopped',
          before?.isPaused,
          before?.isRemoved,
          before?.config.mode === 'paused',
        ]).toEqual([false, false, false, false]);
  });
});

test('LC-13 failures count crashes in a row: one more with each, none after a healthy time or a reset, and no other event moves them', () => {
  law((lived) => {
    for (const { before, after, event } of lived) {
      if (event === undefined || before === undefined || after === undefined) continue;
      const short = event.type.replace(/^fleetlog\.policy\.|\.v1$/g, '');
      if (short === 'backoff' || short === 'failed') expect(after.failures).toBe(before.failures + 1);
      else if (short === 'healthy' || short === 'reset') expect(after.failures).toBe(0);
      else expect(after.failures).toBe(before.failures);
    }
  });
});

test('versions are numbered without gaps from 1, and the mail that is settled never grows less', () => {
  law((lived) => {
    const versions = eventsOf(lived).flatMap((event) =>
      event.type === 'fleetlog.policy.applied.v1' || event.type === 'fleetlog.policy.removed.v1'
        ? [event.version]
        : [],
    );
    expect(versions).toEqual(versions.map((_, at) => at + 1));
    for (const { before, after } of lived)
      if (before !== undefined && after !== undefined)
        expect(after.settledSeq).toBeGreaterThanOrEqual(before.settledSeq);
  });
});

test('what is due is looked at: every deadline has a timer, and no timer is in the past by more than its deadline', () => {
  law((lived) => {
    for (const { after, now } of lived) {
      if (after === undefined) continue;
      const wakeAt = nextWake(after, {}, { now, calendarAt: null });
      if (after.state === 'starting' || after.state === 'stopping') expect(wakeAt).toBe(after.dueAt);
      else if (wakeAt !== null) expect(wakeAt).toBeGreaterThan(now);
      const isWaiting = after.state === 'backoff' && (after.dueAt ?? 0) > now;
      const isOff =
        after.isRemoved || after.isPaused || after.asked === 'stopped' || after.config.mode === 'paused';
      if (isWaiting && !isOff) expect(wakeAt).not.toBe(null);
    }
  });
});

test('the summaries show the state of the aggregate, and are of the contract', () => {
  const boundary = { tenant: 'local', project: 'main' };
  law((lived) => {
    let agent: AgentSummary | undefined;
    let view: PolicySummary | undefined;
    const events = eventsOf(lived);
    for (const [at, event] of events.entries()) {
      const placed = { boundary, event, seq: at + 1, by: 'user:law' };
      agent = foldAgent(agent, placed);
      view = foldPolicy(view, placed);
    }
    const state = lived.at(-1)?.after;
    expect(managedAgentSchema.parse({ seq: 1, ...agent })).toEqual({ seq: 1, ...agent });
    expect(policyViewSchema.parse({ seq: 1, ...view })).toEqual({ seq: 1, ...view });
    expect([agent?.state, agent?.failures, agent?.spawnId]).toEqual([
      state?.state,
      state?.failures,
      state?.spawn?.spawnId ?? null,
    ]);
    expect([view?.isRemoved, view?.config]).toEqual([state?.isRemoved, state?.config]);
  });
});
