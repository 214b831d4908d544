// Storage is given up only where no run of its session is under way, by the order of the log: the rule of the session and the fold of its
// summary together, under any order of what runs, people and a late settlement do.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { fold } from '#libs/kernel/decider.ts';
import { sessionDecider } from '#services/sessions/session.decider.ts';
import { foldSession, type SessionSummary } from '#services/sessions/session.view.ts';
import type { RunEvent } from '#streams/run.ts';
import type { SessionCommand, SessionEvent } from '#streams/session.ts';
import { completed, created } from '#test/support/run-history.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import { openedByRun, OWNER, SESSION_ID, storedAt, VOLUME } from '#test/support/session-history.ts';

const RUNS = ['A', 'B', 'C'].map((letter) => `run_01HF3Z0000000000000000000${letter}`);
const runArb = fc.constantFrom(...RUNS);
const stepArb = fc.oneof(
  { weight: 3, arbitrary: runArb.map((runId) => ({ kind: 'begin' as const, runId })) },
  { weight: 3, arbitrary: runArb.map((runId) => ({ kind: 'end' as const, runId })) },
  // Whoever asks has an old summary: it says nothing of what was under way.
  { weight: 3, arbitrary: fc.constant({ kind: 'ask' as const }) },
  // How far behind the log the summary is that settles it.
  { weight: 3, arbitrary: fc.nat(4).map((behind) => ({ kind: 'settle' as const, behind })) },
  { weight: 1, arbitrary: fc.constant({ kind: 'store' as const }) },
);
type Step = typeof stepArb extends fc.Arbitrary<infer One> ? One : never;

/** The log, and what both sides make of it. */
class World {
  readonly log: (RunEvent | SessionEvent)[] = [openedByRun, storedAt(20)];
  #asked = 0;

  /** The summary as of all entries but the last few. */
  summary(behind = 0): SessionSummary | undefined {
    const boundary = { tenant: OWNER.tenant, project: OWNER.project };
    return this.log
      .slice(0, Math.max(0, this.log.length - behind))
      .reduce<SessionSummary | undefined>(
        (view, event, at) => foldSession(view, { boundary, seq: at + 1, occurredAt: at, event }),
        undefined,
      );
  }

  session() {
    return fold(
      sessionDecider,
      this.log.filter((event): event is SessionEvent => event.type.startsWith('fleetlog.session.')),
    );
  }

  play(step: Step): void {
    if (step.kind === 'begin') this.log.push(created({ sessionId: SESSION_ID, runId: step.runId }));
    else if (step.kind === 'end') this.log.push({ ...completed, sessionId: SESSION_ID, runId: step.runId });
    else if (step.kind === 'store')
      this.#do({ kind: 'store', asked: OWNER, storage: { ...VOLUME, bytes: this.log.length } });
    else if (step.kind === 'ask') this.#ask();
    else this.#settle(step.behind);
  }

  #ask(): void {
    const evictionId = `eviction-${(this.#asked += 1)}`;
    const named = { name: VOLUME.name, reason: 'full', evictionId, isActive: false, onlyExpired: false };
    this.#do({ kind: 'evict', asked: OWNER, ...named });
  }

  #settle(behind: number): void {
    const eviction = this.summary(behind)?.storage?.eviction;
    if (eviction === undefined || eviction === null) return;
    this.#do({ kind: 'settle', asked: OWNER, evictionId: eviction.id, runs: eviction.runs });
  }

  #do(command: SessionCommand): void {
    const decision = sessionDecider.decide(command, this.session(), { now: this.log.length });
    if (decision.kind === 'accepted') this.log.push(decision.event);
  }
}

/** Runs under way before an entry. */
const activeBefore = (log: World['log'], place: number): ReadonlySet<string> => {
  expect(place).toBeGreaterThan(0);
  const active = new Set<string>();
  for (const event of log.slice(0, place)) {
    if (event.type === 'fleetlog.run.created.v1') active.add(event.runId);
    if (event.type === 'fleetlog.run.completed.v1') active.delete(event.runId);
  }
  return active;
};

/** How wishes ended, and the place of each wish: the one before, of the storage that is there. */
const endsOf = (log: World['log']): readonly { readonly type: string; readonly askedAt: number }[] => {
  let askedAt = Number.NaN;
  return log.flatMap(({ type }, at) => {
    if (type === 'fleetlog.session.stored.v1') askedAt = Number.NaN;
    if (type === 'fleetlog.session.eviction-asked.v1') askedAt = at;
    return /evicted|refused/.test(type) ? [{ type, askedAt }] : [];
  });
};

test('WK-57 ST-47 storage is given up exactly where no run was under way when it was asked for, however late that is settled', () => {
  const outcomes = new Set<string>();
  fc.assert(
    fc.property(fc.array(stepArb, { maxLength: 40 }), (steps) => {
      const world = new World();
      for (const step of steps) world.play(step);
      for (let rest = 0; rest < 2; rest += 1) world.play({ kind: 'settle', behind: 0 });
      for (const { type, askedAt } of endsOf(world.log)) {
        outcomes.add(type);
        const isFree = activeBefore(world.log, askedAt).size === 0;
        expect(type).toBe(`fleetlog.session.${isFree ? 'evicted' : 'eviction-refused'}.v1`);
      }
      // Nothing is left open, and the summary says what the session does.
      const kept = world.session()?.storage;
      expect(kept?.eviction).toBeNull();
      expect(world.summary()?.storage?.eviction).toBeNull();
      expect(world.summary()?.storage?.evictedAt !== null).toBe(kept?.isEvicted);
    }),
    propertyRuns(400),
  );
  expect(outcomes.size).toBe(2);
});
