// What people ask of policies: configuration in versions, start, stop, restart, pause, resume, reset.
import { expect, test } from 'vitest';
import { backoffMs } from '#services/lifecycle/policy-failure.policy.ts';
import {
  alive,
  applied,
  apply,
  asked,
  backoff,
  config,
  failed,
  given,
  NOW,
  removed,
  restartAsked,
  running,
  SECOND,
  spawnB,
  starting,
  stopped,
  stopping,
  tick,
} from '#test/support/policy-history.ts';

const second = applied({ provider: 'claude' }, { version: 2, changed: ['provider'] });
const words = { reason: 'a person' };

test('IM-28 the first configuration is version 1 and names what it sets', () => {
  const decision = given().when(apply({}, 0)).decision;
  expect(decision).toMatchObject({
    kind: 'accepted',
    event: { version: 1, config: config(), rolledBackTo: null },
  });
});

test('IM-28 a change is a new version that names the changed fields; the same again is none', () => {
  given(applied())
    .when(apply({ provider: 'claude' }, 1))
    .thenLike({ version: 2, changed: ['provider'] });
  given(applied()).when(apply({}, 1)).thenUnchanged();
  // The repeat of a write whose answer was lost.
  given(applied(), second)
    .when(apply({ provider: 'claude' }, 1))
    .thenUnchanged();
});

test('IM-30 who has not seen the newest version does not overwrite it', () => {
  given(applied(), second)
    .when(apply({ provider: 'codex' }, 1))
    .thenRejected('POLICY_VERSION_CONFLICT');
  given(applied(), second)
    .when(apply({ provider: 'codex' }, 2))
    .thenLike({ version: 3 });
  given(applied())
    .when(apply({ provider: 'codex' }, 0))
    .thenRejected('POLICY_VERSION_CONFLICT');
  given().when(apply({}, 3)).thenRejected('POLICY_VERSION_CONFLICT');
});

test('IM-28 a rollback is a new version with an earlier configuration', () => {
  const back = { kind: 'rollback', toVersion: 1, expectedVersion: 2, note: null } as const;
  given(applied(), second)
    .when(back)
    .thenLike({ version: 3, rolledBackTo: 1, config: config(), changed: ['provider'] });
  given(applied(), second)
    .when({ ...back, toVersion: 9 })
    .thenRejected('POLICY_VERSION_UNKNOWN');
  given(applied(), second)
    .when({ ...back, toVersion: 2 })
    .thenUnchanged();
  given(applied(), second)
    .when({ ...back, expectedVersion: 1 })
    .thenRejected('POLICY_VERSION_CONFLICT');
});

test('LC-28 WK-71 a removed policy stops its agent; applied again it is there again with the next version', () => {
  const history = [applied(), starting(), running(), removed];
  given(...history)
    .when(alive())
    .thenLike({ type: 'fleetlog.policy.stopping.v1', cause: 'removed' });
  given(applied())
    .when({ kind: 'remove', expectedVersion: 1, ...words })
    .thenLike({ type: 'fleetlog.policy.removed.v1', version: 2 });
  given(applied(), removed)
    .when({ kind: 'remove', expectedVersion: null, ...words })
    .thenUnchanged();
  given(applied(), removed).when(tick()).thenUnchanged();
  given(applied(), removed)
    .when({ kind: 'start', ...words })
    .thenRejected('POLICY_REMOVED');
  given(applied(), removed).when(apply({}, 0)).thenLike({ version: 3 });
  given(applied(), removed).when(apply({}, 2)).thenRejected('POLICY_VERSION_CONFLICT');
});

test('WK-66 a stop by a person is not undone by the mode', () => {
  const history = [applied(), starting(), running(), asked('stop-asked')];
  given(...history)
    .when(alive())
    .thenLike({ cause: 'operator', isRestart: false });
  given(...history, stopping(), stopped())
    .when(tick(), 1e9)
    .thenUnchanged();
  given(...history, stopping(), stopped(), asked('start-asked'))
    .when(tick())
    .thenLike({ cause: 'operator' });
});

test('WK-66 WK-67 LC-12 a restart of an on-demand agent starts it again, and is one transition', () => {
  const history = [applied({ mode: 'on-demand' }), starting(), running(), restartAsked()];
  given(...history)
    .when(alive())
    .thenLike({ type: 'fleetlog.policy.stopping.v1', cause: 'operator', isRestart: true });
  const stoppedForIt = [...history, stopping({ isRestart: true }), stopped()];
  given(...stoppedForIt)
    .when(tick())
    .thenLike({ cause: 'restart' });
  expect(given(...stoppedForIt, starting(), running()).state?.restart).toBe(null);
});

test('WK-62 a restart that was asked for while it waits or is stopped is done by the next start, once', () => {
  const history = [
    applied(),
    starting(),
    backoff(),
    restartAsked(),
    starting({ spawnId: spawnB }),
    running({ spawnId: spawnB }),
  ];
  expect(given(...history).state?.restart).toBe(null);
  given(applied(), starting())
    .when({ kind: 'restart', cause: 'operator', idleMs: 0, ...words })
    .thenUnchanged();
  given(applied(), starting(), running(), restartAsked())
    .when({ kind: 'restart', cause: 'operator', idleMs: 0, ...words })
    .thenUnchanged();
  given(applied(), starting())
    .when({ kind: 'restart', cause: 'restart-on-update', idleMs: 60_000, ...words })
    .thenUnchanged();
});

test('WK-67 a restart of a policy whose host has gone is stopped with it and waits for another', () => {
  const history = [applied(), starting(), running(), restartAsked(), stopping({ isRestart: true })];
  given(...history)
    .when(tick({ isHostOnline: false }))
    .thenLike({ type: 'fleetlog.policy.stopped.v1', how: 'vanished' });
});

test('a paused policy stops its agent, and nothing starts it until it is resumed', () => {
  const history = [applied(), starting(), running(), asked('paused')];
  given(...history)
    .when(alive())
    .thenLike({ cause: 'paused' });
  const off = [...history, stopping({ cause: 'paused' }), stopped()];
  given(...off)
    .when(tick())
    .thenUnchanged();
  given(...off)
    .when({ kind: 'start', ...words })
    .thenRejected('POLICY_PAUSED');
  given(...off)
    .when({ kind: 'restart', cause: 'operator', idleMs: 0, ...words })
    .thenRejected('POLICY_PAUSED');
  given(...off, asked('resumed'))
    .when(tick())
    .thenLike({ type: 'fleetlog.policy.starting.v1' });
  given(applied({ mode: 'paused' }))
    .when({ kind: 'start', ...words })
    .thenRejected('POLICY_PAUSED');
});

test('what is asked again changes nothing', () => {
  given(applied(), asked('start-asked'))
    .when({ kind: 'start', ...words })
    .thenUnchanged();
  given(applied(), asked('stop-asked'))
    .when({ kind: 'stop', ...words })
    .thenUnchanged();
  given(applied(), asked('paused'))
    .when({ kind: 'pause', ...words })
    .thenUnchanged();
  given(applied())
    .when({ kind: 'resume', ...words })
    .thenUnchanged();
  given(applied())
    .when({ kind: 'reset', ...words })
    .thenUnchanged();
});

test('a policy that crashed too often is not started by asking, but by a reset', () => {
  given(applied(), failed())
    .when({ kind: 'start', ...words })
    .thenRejected('POLICY_FAILED');
  given(applied(), failed())
    .when({ kind: 'reset', ...words })
    .thenLike({ type: 'fleetlog.policy.reset.v1' });
  given(applied(), starting(), backoff())
    .when({ kind: 'reset', ...words }, SECOND)
    .thenLike({ type: 'fleetlog.policy.reset.v1' });
  expect(given(applied(), starting(), backoff(), asked('reset')).state).toMatchObject({
    state: 'stopped',
    failures: 0,
  });
});

test('nothing is asked of a policy that there is not', () => {
  given()
    .when({ kind: 'start', ...words })
    .thenRejected('POLICY_UNKNOWN');
  given().when(tick()).thenRejected('POLICY_UNKNOWN');
});

test('LC-14 ND-13 the wait grows along the schedule, less what is left to chance; 30 s without one', () => {
  const schedule = { scheduleSeconds: [5, 15, 60], jitter: 0.2 };
  expect([0, 1, 2, 3, 99].map((failures) => backoffMs(schedule, failures, 0))).toEqual([
    5000, 15_000, 60_000, 60_000, 60_000,
  ]);
  expect(backoffMs(schedule, 0, 0.5)).toBe(4500);
  expect(backoffMs({ scheduleSeconds: [], jitter: 0 }, 4, 0)).toBe(30_000);
});

test('LC-13 planned restarts raise no failures, crashes do', () => {
  const planned = [
    applied(),
    starting(),
    running(),
    restartAsked(),
    stopping({ isRestart: true }),
    stopped(),
  ];
  expect(given(...planned).state?.failures).toBe(0);
  given(applied(), starting(), running(), backoff(), starting(), running())
    .when(tick(), NOW)
    .thenLike({ failures: 2 });
});
