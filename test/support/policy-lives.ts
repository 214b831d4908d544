// Random lives of one policy, for its laws: commands, evidence and news, sensible or not, as time goes on.
import * as fc from 'fast-check';
import type { PolicyState } from '#services/lifecycle/policy-state.policy.ts';
import { policyDecider } from '#services/lifecycle/policy.decider.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { PolicyCommand, PolicyEvidence } from '#streams/policy-commands.ts';
import { config, NOW, seen } from './policy-history.ts';
import { propertyRuns } from './seeds.ts';

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
const seenArb = fc.constantFrom(
  'none' as const,
  'current' as const,
  'current' as const,
  'earlier' as const,
  'own' as const,
);
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

/** One step of a life. */
export interface Lived {
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
    runner: runners[given.seen],
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
      [before?.spawn?.spawnId, spawnIds[58], before?.over.at(-1)][step.kind === 'told' ? step.which : 0] ??
      spawnId;
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
/** Checks a law of many lives. */
export const law = (check: (lived: readonly Lived[]) => void): void => {
  fc.assert(
    fc.property(lifeArb, (steps) => {
      check(live(steps));
    }),
    propertyRuns(400),
  );
};
