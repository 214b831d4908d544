// The life of a managed agent while it runs, row by row (behaviours LC-T6 to T10, LC-13 to LC-22).
import { describe, expect, test } from 'vitest';
import { OVER_MEMORY } from '#streams/host-reports.ts';
import {
  alive,
  applied,
  backoff,
  exited,
  given,
  HOUR,
  idleSince,
  NOW,
  restartAsked,
  running,
  SECOND,
  spawnA,
  spawnB,
  asked,
  starting,
  stopped,
  stopping,
  tick,
} from '#test/support/policy-history.ts';

const onDemand = { mode: 'on-demand', keepAliveSeconds: 60 };

describe('running', () => {
  const history = [applied(), starting(), running()];
  test('LC-T6 LC-T13 LC-15 LC-27 a runner that is gone is a failure', () => {
    const state = given(...history)
      .when(tick(), SECOND)
      .thenLike({
        type: 'fleetlog.policy.backoff.v1',
        cause: 'vanished',
        failures: 1,
        delayMs: 5000,
        until: NOW + 6 * SECOND,
      });
    expect(state).toMatchObject({ state: 'backoff', spawn: null });
    given(...history)
      .when(exited(), SECOND)
      .thenLike({ cause: 'exited', failures: 1 });
  });
  test('one that its host ended with itself is no failure, and wanted as before', () => {
    const hosted = { exitCode: 0, endedFor: 'host-stopped' } as const;
    const wanted = [applied({ mode: 'on-demand' }), asked('start-asked'), starting(), running()];
    const state = given(...wanted)
      .when(exited(hosted), SECOND)
      .thenLike({ type: 'fleetlog.policy.stopped.v1', how: 'host-stopped', spawnId: spawnA });
    // What a person asked for counts still; the runner that it had, although it is seen a little longer, does not.
    expect(state).toMatchObject({
      state: 'stopped',
      asked: 'running',
      over: [spawnA],
      unsure: null,
      failures: 0,
    });
    given(...wanted, stopped({ how: 'host-stopped' }))
      .when(alive(), 2 * SECOND)
      .thenLike({ type: 'fleetlog.policy.starting.v1', cause: 'operator' });
    given(...history, stopping())
      .when(exited(hosted), SECOND)
      .thenLike({ type: 'fleetlog.policy.stopped.v1', how: 'exited' });
  });
  test('what its calendar started is not done when its host ended it', () => {
    const nightly = { mode: 'scheduled', schedule: { cron: '0 3 * * *' } };
    const open = [applied(nightly), starting({ scheduledFor: NOW + 1 }), running()];
    given(...open, stopped({ how: 'broker-moved' }))
      .when(tick(), 5 * SECOND)
      .thenLike({ type: 'fleetlog.policy.starting.v1', cause: 'scheduled' });
  });
  test('a process that was killed could not say why: who could have, and the end of its log as that', () => {
    const killed = { exitCode: null, signal: 'SIGKILL' };
    const by = 'the process was killed (SIGKILL), by somebody or by the system when memory ran out';
    given(...history)
      .when(exited({ ...killed, lastWords: '' }))
      .thenLike({ code: 'EXITED', message: by });
    given(...history)
      .when(exited({ ...killed, lastWords: 'slow disk' }))
      .thenLike({ message: `${by}; its log ends with: slow disk` });
    given(...history)
      .when(exited({ ...killed, lastWords: OVER_MEMORY }))
      .thenLike({ message: `the process was killed (SIGKILL): ${OVER_MEMORY}` });
  });
  test('LC-T7 LC-16 failures are forgotten when it has run for long enough, and it goes on', () => {
    const again = [applied(), starting(), backoff(), starting(), running()];
    given(...again)
      .when(alive(), 599 * SECOND)
      .thenUnchanged();
    expect(
      given(...again)
        .when(alive(), 600 * SECOND)
        .thenLike({ type: 'fleetlog.policy.healthy.v1', failures: 1 }),
    ).toMatchObject({ state: 'running', failures: 0 });
    given(...history)
      .when(alive(), 600 * SECOND)
      .thenUnchanged();
  });
  test('LC-T8 LC-17 LC-19 an on-demand agent stops when it was idle for its keep-alive, an always-on one does not', () => {
    const demanded = [applied(onDemand), starting(), running()];
    const idle = idleSince(NOW);
    given(...demanded)
      .when(alive(idle), 59 * SECOND)
      .thenUnchanged();
    given(...demanded)
      .when(alive({ ...idle, mailSeq: 9 }), 60 * SECOND)
      .thenLike({
        type: 'fleetlog.policy.stopping.v1',
        cause: 'idle-timeout',
        isGraceful: true,
        isRestart: false,
        settledSeq: 9,
      });
    given(...demanded)
      .when(alive({ activity: { isBusy: true, lastAt: NOW } }), HOUR)
      .thenUnchanged();
    given(applied({ mode: 'on-demand' }), starting(), running())
      .when(alive(idle), HOUR)
      .thenUnchanged();
    given(applied({ keepAliveSeconds: 60 }), starting(), running())
      .when(alive(idle), HOUR)
      .thenUnchanged();
  });
  test('LC-18 WK-70 idle counts from the latest of start, message and turn', () => {
    const demanded = [applied(onDemand), starting(), running({ decidedAt: NOW + 30 * SECOND })];
    given(...demanded)
      .when(alive(idleSince(0)), 89 * SECOND)
      .thenUnchanged();
    given(...demanded)
      .when(alive(idleSince(NOW + 40 * SECOND)), 95 * SECOND)
      .thenUnchanged();
    given(...demanded)
      .when(alive(idleSince(0)), 90 * SECOND)
      .thenLike({ cause: 'idle-timeout' });
  });
  test('LC-T9 LC-20 a daily restart waits for a day and an idle hour', () => {
    const daily = [applied({ dailyRestart: true }), starting(), running()];
    given(...daily)
      .when(alive(idleSince(NOW)), 24 * HOUR - 1)
      .thenUnchanged();
    given(...daily)
      .when(alive(idleSince(NOW + 23.5 * HOUR)), 24 * HOUR)
      .thenUnchanged();
    given(...daily)
      .when(alive(idleSince(NOW)), 24 * HOUR)
      .thenLike({ cause: 'daily-restart', isRestart: true });
  });
  test('LC-T10 LC-21 WK-62 a pending update restart waits for an idle minute, and is on record until it is done', () => {
    const update = restartAsked({ cause: 'restart-on-update', idleMs: 60_000 });
    const pending = [...history, update];
    given(...pending)
      .when(alive(idleSince(NOW)), 59 * SECOND)
      .thenUnchanged();
    given(...pending)
      .when(alive(idleSince(NOW)), 60 * SECOND)
      .thenLike({ cause: 'restart-on-update', isRestart: true });
    expect(given(...pending).state?.restart?.cause).toBe('restart-on-update');
    const done = [
      ...pending,
      stopping({ isRestart: true, cause: 'restart-on-update' }),
      stopped(),
      starting({ spawnId: spawnB }),
      running({ spawnId: spawnB }),
    ];
    expect(given(...done).state?.restart).toBe(null);
  });
  test('LC-21 a change of what it runs with is an update for those that want it, another is not', () => {
    const wants = { restartOnUpdate: true };
    const before = [applied(wants), starting(), running()];
    const changed = (given_: Readonly<Record<string, unknown>>) =>
      applied({ ...wants, ...given_ }, { version: 2, changed: Object.keys(given_) });
    expect(given(...before, changed({ provider: 'claude' })).state?.restart).toMatchObject({
      cause: 'restart-on-update',
      idleMs: 60_000,
    });
    expect(given(...before, changed({ keepAliveSeconds: 5 })).state?.restart).toBe(null);
    expect(
      given(applied(), starting(), running(), applied({ provider: 'claude' }, { version: 2 })).state?.restart,
    ).toBe(null);
  });
  test('LC-22 gone goes before healthy, healthy before idle, idle before daily', () => {
    const all = [applied({ ...onDemand, dailyRestart: true }), starting(), backoff(), starting(), running()];
    const idle = idleSince(NOW);
    given(...all)
      .when(tick(idle), 24 * HOUR)
      .thenLike({ cause: 'vanished' });
    given(...all)
      .when(alive(idle), 24 * HOUR)
      .thenLike({ type: 'fleetlog.policy.healthy.v1' });
    given(applied({ ...onDemand, dailyRestart: true }), starting(), running())
      .when(alive(idle), 24 * HOUR)
      .thenLike({ cause: 'idle-timeout' });
  });
  test('limits of turns and of spend stop it until the oldest leaves the window', () => {
    const limited = [applied({ limits: { runs: 3, spendMicroUsd: 5_000_000 } }), starting(), running()];
    const usage = (runs: number, spendMicroUsd: number) => ({
      ...idleSince(NOW),
      usage: { runs, spendMicroUsd, freeAt: NOW + HOUR },
    });
    given(...limited)
      .when(alive(usage(2, 4_999_999)), SECOND)
      .thenUnchanged();
    const state = given(...limited)
      .when(alive(usage(3, 0)), SECOND)
      .thenLike({ cause: 'limit', limitedUntil: NOW + HOUR });
    expect(state?.limitedUntil).toBe(NOW + HOUR);
    given(...limited)
      .when(alive(usage(1, 5_000_000)), SECOND)
      .thenLike({ cause: 'limit', reason: '5 USD within 3600 s' });
    const off = [...limited, stopping({ cause: 'limit', limitedUntil: NOW + HOUR }), stopped()];
    given(...off)
      .when(tick(), HOUR - 1)
      .thenUnchanged();
    given(...off)
      .when(tick(), HOUR)
      .thenLike({ type: 'fleetlog.policy.starting.v1' });
  });
  test('IM-09 a stuck turn is nudged, interrupted, and its agent started anew, each with its evidence', () => {
    const checked = applied({ health: { stuckAfterSeconds: 300 } });
    const stuck = {
      kind: 'silent',
      runId: 'run_1',
      turnId: 'trn_1',
      sinceAt: NOW,
      detail: 'nothing was heard of turn trn_1 for 300 s',
    } as const;
    const before = [checked, starting(), running()];
    given(...before)
      .when(alive({ stuck }), 300 * SECOND)
      .thenLike({ step: 'nudge', evidence: stuck, nextAt: NOW + 600 * SECOND });
    const nudged = {
      type: 'fleetlog.policy.stuck.v1',
      policy: 'builder',
      decidedAt: NOW,
      spawnId: spawnA,
      agent: 'builder',
      host: 'forge-1',
      step: 'nudge',
      evidence: stuck,
      nextAt: NOW + 600 * SECOND,
    } as const;
    given(...before, nudged)
      .when(alive({ stuck }), 599 * SECOND)
      .thenUnchanged();
    given(...before, nudged)
      .when(alive({ stuck: null }), 900 * SECOND)
      .thenLike({ type: 'fleetlog.policy.unstuck.v1', turnId: 'trn_1' });
    given(...before)
      .when(alive({ stuck: null }), 900 * SECOND)
      .thenUnchanged();
    given(...before, nudged)
      .when(alive({ stuck }), 600 * SECOND)
      .thenLike({ step: 'interrupt' });
    const interrupted = { ...nudged, step: 'interrupt' as const, nextAt: NOW + 900 * SECOND };
    given(...before, nudged, interrupted)
      .when(alive({ stuck }), 900 * SECOND)
      .thenLike({ cause: 'stuck', isRestart: true, evidence: stuck });
    given(...before, nudged, interrupted)
      .when(alive({ stuck: { ...stuck, turnId: 'trn_2' } }), 900 * SECOND)
      .thenLike({ step: 'nudge' });
  });
  test('IM-10 a turn that waits for a person is reported once and never touched', () => {
    const stuck = {
      kind: 'waiting',
      runId: 'run_1',
      turnId: 'trn_1',
      sinceAt: NOW,
      detail: 'waits',
    } as const;
    const before = [applied({ health: { stuckAfterSeconds: 300 } }), starting(), running()];
    const state = given(...before)
      .when(alive({ stuck }), 300 * SECOND)
      .thenLike({ type: 'fleetlog.policy.stuck.v1', step: 'report', evidence: stuck });
    expect(state?.state).toBe('running');
    const reported = {
      type: 'fleetlog.policy.stuck.v1',
      policy: 'builder',
      decidedAt: NOW,
      spawnId: spawnA,
      agent: 'builder',
      host: 'forge-1',
      step: 'report',
      evidence: stuck,
      nextAt: NOW + 600 * SECOND,
    } as const;
    for (const after of [600, 6000, 60_000])
      given(...before, reported)
        .when(alive({ stuck }), after * SECOND)
        .thenUnchanged();
    given(...before, reported)
      .when(alive({ stuck: null }), 700 * SECOND)
      .thenLike({ type: 'fleetlog.policy.unstuck.v1' });
  });
});
