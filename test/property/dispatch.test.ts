// Who gets which task, judged by the plainest rules: every small fleet there is, and many larger ones.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Board } from '#services/dispatch/board.policy.ts';
import { decideGrants } from '#services/dispatch/dispatch.policy.ts';
import { laneKey, noUsage, type Limits } from '#services/dispatch/limits.policy.ts';
import { noRunners, type RunnerFacts } from '#services/dispatch/runners.policy.ts';
import { nobodyWaits, type WaitingTask } from '#services/dispatch/waiting.policy.ts';
import type { TaskEvent } from '#streams/task.ts';
import { exceeded, judge, type Fleet } from '#test/support/dispatch-oracle.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import { createData } from '#test/support/task-history.ts';

const none: Limits = { queues: new Map(), lanes: new Map(), agents: new Map(), providers: new Map() };

/** The same fleet as the policy sees it. */
const situationOf = (fleet: Fleet) => {
  const [waiting, runners, usage] = [nobodyWaits(), noRunners(), noUsage()];
  for (const task of fleet.waiting) waiting.add(task);
  for (const [agent, facts] of fleet.runners) runners.present(agent, facts);
  for (const [at, { task, agent }] of fleet.active.entries()) {
    usage.add(task, 1);
    runners.take(agent, `active-${at}`);
  }
  for (const [at, agent] of fleet.otherRuns.entries()) runners.take(agent, `other-${at}`);
  // Measured when all of that was under way.
  for (const [agent, facts] of fleet.runners) runners.present(agent, facts);
  for (const { agent, provider } of fleet.paused ?? []) runners.pauses.pause(agent, provider, 1);
  return { waiting, runners, usage };
};

const task = (taskId: string, changes: Partial<WaitingTask> = {}): WaitingTask => ({
  taskId,
  attempt: 1,
  queue: 'q1',
  lane: 'main',
  provider: 'exec',
  agent: null,
  labels: [],
  priority: 0,
  queuedSeq: Number(taskId),
  ...changes,
});

/** All ways to choose one of each. */
const choices = <T extends Record<string, readonly unknown[]>>(
  of: T,
): { readonly [K in keyof T]: T[K][number] }[] =>
  Object.entries(of).reduce<Record<string, unknown>[]>(
    (sofar, [name, values]) => sofar.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  ) as { readonly [K in keyof T]: T[K][number] }[];

const one = (providers: string[], slots = 1, labels: string[] = []): RunnerFacts => ({
  providers,
  slots,
  labels,
});

test('WK-32 WK-35 HR-14 every fleet of three tasks is served in order, within all limits, and to the full', () => {
  const kinds = choices({ priority: [0, 1], queue: ['q1', 'q2'], provider: ['exec', 'claude'] });
  const runners = [
    new Map([['a', one(['exec'])]]),
    new Map([['a', one(['exec', 'claude'], 2)]]),
    new Map([
      ['a', one(['exec'])],
      ['b', one(['exec', 'claude'])],
    ]),
  ];
  const limits = choices({ fleet: [undefined, 1, 2], q1: [undefined, 0, 1], claude: [undefined, 1] }).map(
    ({ fleet, q1, claude }): Limits => ({
      ...none,
      ...(fleet !== undefined && { fleet }),
      queues: new Map(q1 === undefined ? [] : [['q1', q1]]),
      providers: new Map(claude === undefined ? [] : [['claude', claude]]),
    }),
  );
  let fleets = 0;
  for (const { first, second, third, facts, limit } of choices({
    first: kinds,
    second: kinds,
    third: kinds,
    facts: runners,
    limit: limits,
  })) {
    const waiting = [task('1', first), task('2', second), task('3', third)];
    const fleet: Fleet = { waiting, active: [], otherRuns: [], runners: facts };
    const grants = decideGrants(situationOf(fleet), limit, 10);
    const { faults, after } = judge(fleet, limit, { grants, most: 10 });
    if (faults.length > 0 || exceeded(after, limit).length > 0)
      expect.fail(JSON.stringify({ faults, waiting, grants }));
    fleets += 1;
  }
  expect(fleets).toBe(8 ** 3 * 3 * 18);
});

const name = (prefix: string, most: number) =>
  fc.integer({ min: 1, max: most }).map((number) => `${prefix}${number}`);
const labels = fc.subarray(['gpu', 'eu']);
const demandArb = fc.record({
  queue: name('q', 3),
  lane: fc.constantFrom('main', 'slow'),
  provider: fc.constantFrom('exec', 'claude', 'codex'),
  agent: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: name('a', 4) }),
  labels: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: labels }),
  priority: fc.integer({ min: -1, max: 2 }),
});
const limitOf = fc.integer({ min: 0, max: 3 });
const mapOf = (keys: readonly string[]) =>
  fc
    .record(Object.fromEntries(keys.map((key) => [key, fc.option(limitOf, { nil: undefined })])))
    .map(
      (record) =>
        new Map(
          Object.entries(record).flatMap(([key, value]) =>
            value === undefined ? [] : [[key, value] as const],
          ),
        ),
    );
const limitsArb: fc.Arbitrary<Limits> = fc
  .record({
    fleet: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
    eachQueue: fc.option(limitOf, { nil: undefined }),
    queues: mapOf(['q1', 'q2']),
    lanes: mapOf(['q1/slow', 'q2/main']),
    agents: mapOf(['a1', 'a2']),
    providers: mapOf(['exec', 'claude']),
    hosts: mapOf(['h1']),
    eachHost: fc.option(limitOf, { nil: undefined }),
    hostMemoryFloorBytes: fc.integer({ min: 0, max: 2 }),
    hostDiskFloorBytes: fc.integer({ min: 0, max: 1 }),
    taskMemoryBytes: fc.integer({ min: 0, max: 2 }),
  })
  .map(({ fleet, eachQueue, eachHost, ...rest }) => ({
    ...rest,
    ...(fleet !== undefined && { fleet }),
    ...(eachQueue !== undefined && { eachQueue }),
    ...(eachHost !== undefined && { eachHost }),
  }));
const placeArb = fc.record({
  host: fc.option(name('h', 2), { nil: undefined }),
  account: fc.option(name('acc', 2), { nil: undefined }),
});
const roomArb = fc.record({
  freeMemoryBytes: fc.integer({ min: 0, max: 8 }),
  freeDiskBytes: fc.integer({ min: 0, max: 2 }),
});
const runnersArb = fc
  .tuple(
    fc.array(
      fc.tuple(
        name('a', 4),
        fc.subarray(['exec', 'claude', 'codex'], { minLength: 1 }),
        fc.integer({ min: 1, max: 3 }),
        labels,
        placeArb,
      ),
    ),
    // One measurement a machine: runners of one machine that differ are told apart by time, which is not there.
    fc.record({ h1: roomArb, h2: roomArb }),
  )
  .map(
    ([all, rooms]) =>
      new Map(
        all.map(([agent, providers, slots, has, { host, account }]): [string, RunnerFacts] => [
          agent,
          {
            ...one(providers, slots, has),
            ...(host !== undefined && { host: { name: host, ...rooms[host as 'h1'] } }),
            ...(account !== undefined && { account }),
          },
        ]),
      ),
  );
const fleetArb: fc.Arbitrary<Fleet> = fc
  .tuple(
    fc.array(demandArb, { maxLength: 12 }),
    fc.array(fc.tuple(demandArb, name('a', 4)), { maxLength: 6 }),
    runnersArb,
    fc.array(name('a', 4), { maxLength: 2 }),
    fc.array(fc.nat(), { minLength: 12, maxLength: 12 }),
    fc.array(fc.record({ agent: name('a', 4), provider: fc.constantFrom('exec', 'claude') }), {
      maxLength: 2,
    }),
  )
  .map(([waiting, active, runners, otherRuns, shuffle, paused]) => ({
    paused,
    // In any order: what goes first follows from priority and sequence alone.
    waiting: waiting
      .map((demand, at) => task(String(at + 1), demand))
      .toSorted((a, b) => (shuffle[Number(a.taskId) - 1] ?? 0) - (shuffle[Number(b.taskId) - 1] ?? 0)),
    active: active.map(([demand, agent], at) => ({ task: task(String(100 + at), demand), agent })),
    runners,
    otherRuns,
  }));

test('WK-30 WK-32 WK-35 HR-14 any fleet is served in order, within all limits and the room of its machines, and to the full', () => {
  fc.assert(
    fc.property(fleetArb, limitsArb, fc.integer({ min: 1, max: 12 }), (fleet, limits, most) => {
      const grants = decideGrants(situationOf(fleet), limits, most);
      expect(grants.length).toBeLessThanOrEqual(most);
      expect(judge(fleet, limits, { grants, most }).faults).toEqual([]);
    }),
    propertyRuns(1500),
  );
});

test('a decision changes nothing of what it was made from, and is the same again', () => {
  fc.assert(
    fc.property(fleetArb, limitsArb, (fleet, limits) => {
      const situation = situationOf(fleet);
      const first = decideGrants(situation, limits, 100);
      expect(decideGrants(situation, limits, 100)).toEqual(first);
    }),
    propertyRuns(200),
  );
});

test('an agent that can do little is used before one that can do much', () => {
  const runners = new Map([
    ['a', one(['exec', 'claude'])],
    ['b', one(['exec'])],
  ]);
  const waiting = [task('1'), task('2', { provider: 'claude' })];
  const grants = decideGrants(situationOf({ waiting, runners, active: [], otherRuns: [] }), none, 10);
  expect(grants.map(({ taskId, agent }) => [taskId, agent])).toEqual([
    ['1', 'b'],
    ['2', 'a'],
  ]);
});

test('HR-09 where no limit is set nothing waits but for a runner: as many go as there are slots, however many are under way', () => {
  const runners = new Map([
    ['a', one(['exec'], 30)],
    ['b', one(['exec'], 40)],
  ]);
  const waiting = Array.from({ length: 100 }, (_, at) => task(String(at + 1)));
  const active = Array.from({ length: 5 }, (_, at) => ({ task: task(String(200 + at)), agent: 'a' }));
  const grants = decideGrants(situationOf({ waiting, runners, active, otherRuns: ['b'] }), none, 1000);
  expect(grants.map(({ taskId }) => taskId)).toEqual(waiting.slice(0, 64).map(({ taskId }) => taskId));
});

test('HR-20 a limit of zero pauses what it names, and lets the rest go', () => {
  const runners = new Map([['a', one(['exec'], 5)]]);
  const waiting = [task('1', { lane: 'slow' }), task('2'), task('3', { queue: 'q2' })];
  const lanes = new Map([[laneKey({ queue: 'q1', lane: 'slow', provider: 'exec' }), 0]]);
  const grants = decideGrants(
    situationOf({ waiting, runners, active: [], otherRuns: [] }),
    { ...none, lanes },
    10,
  );
  expect(grants.map(({ taskId }) => taskId)).toEqual(['2', '3']);
});

const ULID = '01HF3Z0000000000000000000';
const taskIds = [1, 2, 3].map((number) => `tsk_${ULID}${number}`);
type Step = 'assigned' | 'started' | 'requeued' | 'completed' | 'failed' | 'recalled' | 'cancel-requested';
const eventOf = (taskId: string, step: Step, attempt: number): TaskEvent => {
  const about = { taskId, queue: 'fix', attempt, runId: `run_${ULID}${taskId.slice(-1)}` };
  const facts: Record<Step, object> = {
    assigned: { ...about, sessionId: `ses_${ULID}A`, agent: 'a1', assignedAt: 1 },
    started: { ...about, startedAt: 1 },
    requeued: { ...about, outcome: 'failed', failure: null, endedAt: 1 },
    completed: { ...about, summary: '', endedAt: 1 },
    failed: { ...about, summary: '', failure: { kind: 'provider-failed', message: 'x' }, endedAt: 1 },
    recalled: { ...about, reason: 'gone', recalledAt: 1 },
    'cancel-requested': { ...about, reason: 'no', requestedAt: 1 },
  };
  return { type: `fleetlog.task.${step}.v1`, ...facts[step] } as TaskEvent;
};
/** What may follow what. */
const FOLLOWS: Readonly<Record<string, readonly Step[]>> = {
  waiting: ['assigned'],
  active: ['started', 'recalled', 'cancel-requested', 'requeued', 'completed', 'failed'],
  over: [],
};

test('WK-30 a board counts what is under way, whatever happened before', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 5 })), { maxLength: 60 }), (moves) => {
      const board = new Board();
      const model = new Map(taskIds.map((taskId) => [taskId, { phase: 'waiting', attempt: 1 }]));
      let seq = 0;
      for (const taskId of taskIds) {
        seq += 1;
        board.applyTask({ type: 'fleetlog.task.created.v1', ...createData({ taskId }), createdAt: 1 }, seq);
      }
      for (const [which, pick] of moves) {
        const taskId = taskIds[which] ?? '';
        const now = model.get(taskId) ?? { phase: 'over', attempt: 0 };
        const steps = FOLLOWS[now.phase] ?? [];
        const step = steps[pick % Math.max(1, steps.length)];
        if (step === undefined) continue;
        const event = eventOf(taskId, step, now.attempt);
        seq += 1;
        board.applyTask(event, seq);
        if (step === 'assigned') model.set(taskId, { ...now, phase: 'active' });
        else if (step === 'requeued') model.set(taskId, { phase: 'waiting', attempt: now.attempt + 1 });
        else if (step === 'completed' || step === 'failed') model.set(taskId, { ...now, phase: 'over' });
        const active = [...model.values()].filter(({ phase }) => phase === 'active').length;
        expect([...board.active()]).toHaveLength(active);
        expect(board.waiting.size).toBe(
          [...model.values()].filter(({ phase }) => phase === 'waiting').length,
        );
        const limits = (fleet: number): Limits => ({ ...none, fleet });
        const share = { queue: 'fix', lane: 'main', provider: 'exec' };
        expect(board.usage.fits(share, limits(active + 1))).toBe(true);
        expect(board.usage.fits(share, limits(active))).toBe(false);
        board.runners.present('a1', one(['exec'], 3));
        expect(board.runners.freeSlots('a1', none)).toBe(3 - active);
      }
    }),
    propertyRuns(300),
  );
});
