// What a policy says, what is known of its agent, and why it is stopped (behaviours LC-02, LC-03, LC-04, LC-11).
import { expect, test } from 'vitest';
import { foldAgent, type AgentSummary } from '#services/lifecycle/agent.view.ts';
import { nextWake } from '#services/lifecycle/policy-wake.policy.ts';
import { policyConfigSchema } from '#streams/policy-config.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import {
  alive,
  applied,
  backoff,
  config,
  given,
  HOUR,
  idleSince,
  NOW,
  restartAsked,
  running,
  SECOND,
  seen,
  spawnA,
  spawnB,
  starting,
  stopping,
  tick,
} from '#test/support/policy-history.ts';
import { BOUNDARY } from '#test/support/control-plane.ts';

const summary = (...events: PolicyEvent[]): AgentSummary | undefined =>
  events.reduce<AgentSummary | undefined>(
    (view, event, at) => foldAgent(view, { boundary: BOUNDARY, seq: at + 1, by: 'user:test', event }),
    undefined,
  );

test('LC-02 a configuration holds what a policy says, and reads back as it was stored', () => {
  const said = {
    mode: 'on-demand',
    host: 'forge-1',
    provider: 'claude',
    workspace: 'cart',
    tags: ['cart'],
    capabilities: ['build'],
    permissionMode: 'acceptEdits',
    programArguments: ['--x'],
    prompt: 'Look.',
    backoff: { scheduleSeconds: [1, 2], resetAfterSeconds: 5 },
    keepAliveSeconds: 900,
    dailyRestart: true,
    restartOnUpdate: true,
    health: { stuckAfterSeconds: 300, sameCalls: 5 },
    notify: 'anna',
  };
  expect(config(said)).toMatchObject(said);
  expect(policyConfigSchema.parse(JSON.parse(JSON.stringify(config(said))))).toEqual(config(said));
});

test('LC-03 the summary of an agent names its start, its host, when, its counters, its wait and its last error', () => {
  const lived = [applied(), starting(), running(), backoff()];
  expect(summary(...lived)).toMatchObject({
    state: 'backoff',
    agent: 'builder',
    provider: 'exec',
    host: 'forge-1',
    spawnId: null,
    startedAt: NOW,
    stoppedAt: NOW,
    healthySince: null,
    restarts: 0,
    crashes: 1,
    failures: 1,
    backoffUntil: NOW + 5 * SECOND,
    lastError: { code: 'AGENT_VANISHED', message: 'gone', at: NOW },
  });
  expect(summary(applied(), starting(), running(), stopping({ isRestart: true }))).toMatchObject({
    spawnId: spawnA,
    restarts: 1,
    healthySince: NOW,
  });
});

test('IM-09 the summary shows what a turn is stuck at, and no more when it goes on', () => {
  const about = { policy: 'builder', decidedAt: NOW, spawnId: spawnA, agent: 'builder', host: 'forge-1' };
  const evidence = {
    kind: 'silent',
    runId: 'run_1',
    turnId: 'trn_1',
    sinceAt: NOW,
    detail: 'silence',
  } as const;
  const stuck = {
    type: 'fleetlog.policy.stuck.v1',
    ...about,
    step: 'nudge',
    evidence,
    nextAt: NOW + SECOND,
  } as const;
  const before = [applied(), starting(), running(), stuck];
  expect(summary(...before)).toMatchObject({ state: 'running', stuck: evidence });
  const again = { type: 'fleetlog.policy.unstuck.v1', ...about, turnId: 'trn_1' } as const;
  expect(summary(...before, again)).toMatchObject({ state: 'running', stuck: null });
});

test('LC-04 one look leads to one transition at most, and the same look again to none while nothing has changed', () => {
  const started = given(applied()).when(tick()).thenLike({ type: 'fleetlog.policy.starting.v1' });
  expect(started?.state).toBe('starting');
  given(applied(), starting()).when(tick()).thenUnchanged();
  // Gone and to be restarted and idle: the first of the rules counts.
  given(applied({ dailyRestart: true }), starting(), running(), restartAsked())
    .when(tick(idleSince(NOW)), 24 * HOUR)
    .thenLike({ type: 'fleetlog.policy.backoff.v1', cause: 'vanished' });
});

test('LC-11 a stop says why: idle, once a day, an update, stuck, or a person', () => {
  const live = (given_: Readonly<Record<string, unknown>> = {}) => [applied(given_), starting(), running()];
  const idle = alive(idleSince(NOW));
  given(...live({ mode: 'on-demand', keepAliveSeconds: 60 }))
    .when(idle, 60 * SECOND)
    .thenLike({ cause: 'idle-timeout', isRestart: false });
  given(...live({ dailyRestart: true }))
    .when(idle, 24 * HOUR)
    .thenLike({ cause: 'daily-restart', isRestart: true });
  given(...live(), restartAsked({ cause: 'restart-on-update', idleMs: 60_000 }))
    .when(idle, 60 * SECOND)
    .thenLike({ cause: 'restart-on-update', isRestart: true });
  given(...live(), restartAsked())
    .when(alive(), SECOND)
    .thenLike({ cause: 'operator', isRestart: true });
});

test('LC-17 one that is at its limit and busy is looked at again, also when nothing tells that it rests', () => {
  const { state } = given(applied({ limits: { runs: 1 } }), starting(), running());
  const activity = { isBusy: true, lastAt: NOW };
  const wake = (freeAt: number) =>
    state === undefined
      ? undefined
      : nextWake(
          state,
          { activity, usage: { runs: 1, spendMicroUsd: 0, freeAt } },
          { now: NOW, calendarAt: null },
        );
  expect(wake(NOW + HOUR)).toBe(NOW + 5 * SECOND);
  expect(wake(0)).toBe(null);
});

test('WK-71 what dead starts have announced is seen until its time is over, and holds up nothing', () => {
  const dead = (spawnId: string) => [starting({ spawnId }), backoff({ spawnId, cause: 'exited' })];
  for (const spawnId of [spawnA, spawnB])
    given(applied(), ...dead(spawnA), ...dead(spawnB))
      .when(tick({ runner: seen(spawnId) }), HOUR)
      .thenLike({ type: 'fleetlog.policy.starting.v1' });
});
