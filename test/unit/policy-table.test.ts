// The life of a managed agent, row by row (behaviours LC-T1 to T18 with the corrections of WK-62 to WK-73).
import { describe, expect, test } from 'vitest';
import {
  alive,
  applied,
  asked,
  backoff,
  escalated,
  exited,
  failed,
  given,
  HOUR,
  idleSince,
  NOW,
  refused,
  running,
  SECOND,
  seen,
  spawnA,
  spawnB,
  starting,
  stopped,
  stopping,
  tick,
  waiting,
} from '#test/support/policy-history.ts';

const onDemand = { mode: 'on-demand', keepAliveSeconds: 60 };

describe('from rest', () => {
  test('LC-T1 LC-06 a new always-on policy starts at once', () => {
    given(applied())
      .when(tick())
      .then({
        type: 'fleetlog.policy.starting.v1',
        policy: 'builder',
        decidedAt: NOW,
        spawnId: spawnB,
        agent: 'builder',
        host: 'forge-1',
        version: 1,
        cause: 'always-on',
        scheduledFor: null,
        deadlineAt: NOW + 60 * SECOND,
      });
  });
  test('LC-T2 LC-08 LC-23 a new on-demand policy starts when there is mail for it', () => {
    given(applied(onDemand))
      .when(tick({ mailSeq: 7 }))
      .thenLike({ cause: 'message-trigger' });
  });
  test('LC-T3 any other new policy is stopped, and stays so', () => {
    expect(given(applied(onDemand)).state?.state).toBe('stopped');
    given(applied(onDemand)).when(tick()).thenUnchanged();
    given(applied({ mode: 'paused' }))
      .when(tick({ mailSeq: 7 }))
      .thenUnchanged();
  });
  test('LC-T16 a message wakes an on-demand policy from new, stopped and a backoff whose time is over', () => {
    const history = [
      applied(onDemand),
      starting(),
      running(),
      stopping({ settledSeq: 4 }),
      stopped({ settledSeq: 4 }),
    ];
    given(...history)
      .when(tick({ mailSeq: 4 }))
      .thenUnchanged();
    given(...history)
      .when(tick({ mailSeq: 5 }))
      .thenLike({ cause: 'message-trigger' });
    given(applied(onDemand), starting(), backoff())
      .when(tick({ mailSeq: 5 }), 5 * SECOND)
      .thenLike({ cause: 'backoff-expired' });
  });
  test('LC-T16 WK-69 a message never cuts a backoff short', () => {
    given(applied(onDemand), starting(), backoff())
      .when(tick({ mailSeq: 5 }), 4999)
      .thenUnchanged();
  });
  test('LC-T17 from stopped, always-on and mail start again', () => {
    given(applied(), starting(), running(), stopping({ isRestart: true }), stopped())
      .when(tick())
      .thenLike({ cause: 'restart' });
    given(applied(), starting(), stopped()).when(tick()).thenLike({ cause: 'always-on' });
    given(applied(onDemand), starting(), stopped())
      .when(tick({ mailSeq: 1 }))
      .thenLike({ cause: 'message-trigger' });
  });
  test('LC-T18 from stopped, otherwise nothing', () => {
    given(applied(onDemand), starting(), stopped()).when(tick()).thenUnchanged();
  });
  test('LC-T14 a backoff whose time is over starts again, if it is wanted', () => {
    given(applied(), starting(), backoff())
      .when(tick(), 5 * SECOND)
      .thenLike({ cause: 'backoff-expired', spawnId: spawnB });
  });
  test('LC-T15 a backoff does nothing before its time, or when nobody wants it', () => {
    given(applied(), starting(), backoff()).when(tick(), 4999).thenUnchanged();
    given(applied(onDemand), starting(), backoff()).when(tick(), HOUR).thenUnchanged();
  });
  test('LC-05 WK-68 without a host it waits for one: no failure, no second word, woken by the host', () => {
    const none = { kind: 'none', code: 'HOST_OFFLINE', message: 'forge-1 is not heard of' } as const;
    const state = given(applied(), starting(), backoff({ failures: 2 }))
      .when(tick({ hosts: none }), 5 * SECOND)
      .thenLike({
        type: 'fleetlog.policy.waiting-for-host.v1',
        code: 'HOST_OFFLINE',
      });
    expect(state).toMatchObject({ state: 'waiting-for-host', failures: 2 });
    given(applied(), waiting())
      .when(tick({ hosts: none }))
      .thenUnchanged();
    given(applied(), waiting()).when(tick()).thenLike({ type: 'fleetlog.policy.starting.v1' });
  });
  test('WK-71 nothing starts beside a runner of an earlier start: its host is told once to end it', () => {
    const state = given(applied(), starting(), backoff())
      .when(tick({ runner: seen() }), 5 * SECOND)
      .thenLike({ type: 'fleetlog.policy.stray-found.v1', spawnId: spawnA, host: 'forge-1' });
    expect(state?.stray).toBe(spawnA);
    const stray = {
      type: 'fleetlog.policy.stray-found.v1',
      policy: 'builder',
      decidedAt: NOW,
      spawnId: spawnA,
      agent: 'builder',
      host: 'forge-1',
    } as const;
    given(applied(), starting(), backoff(), stray)
      .when(tick({ runner: seen() }), HOUR)
      .thenUnchanged();
    given(applied(), starting(), backoff(), stray)
      .when(tick(), HOUR)
      .thenLike({ type: 'fleetlog.policy.starting.v1' });
  });
  test('nothing starts beside a runner that a person has started, and it says so', () => {
    given(applied())
      .when(tick({ runner: seen(null) }))
      .thenLike({ type: 'fleetlog.policy.waiting-for-host.v1', code: 'AGENT_TAKEN' });
  });
  test('a calendar starts it once for each of its times, and not for those before it was written', () => {
    const nightly = { mode: 'scheduled', schedule: { cron: '0 3 * * *' } };
    given(applied(nightly))
      .when(tick({ scheduledFor: NOW - 1 }))
      .thenUnchanged();
    const due = NOW + 10 * SECOND;
    given(applied(nightly))
      .when(tick({ scheduledFor: due }), 11 * SECOND)
      .thenLike({ cause: 'scheduled', scheduledFor: due });
    const done = [applied(nightly), starting({ scheduledFor: due }), running()];
    given(...done, stopped())
      .when(tick({ scheduledFor: due }), 20 * SECOND)
      .thenUnchanged();
    given(...done, stopped())
      .when(tick({ scheduledFor: due + 1 }), 20 * SECOND)
      .thenLike({ cause: 'scheduled' });
  });
  test('what its calendar started is started again after a crash, and has done its work with exit code 0', () => {
    const nightly = { mode: 'scheduled', schedule: { cron: '0 3 * * *' } };
    const history = [applied(nightly), starting({ scheduledFor: NOW + 1 }), running()];
    given(...history)
      .when(exited({ exitCode: 0 }))
      .thenLike({ type: 'fleetlog.policy.stopped.v1', how: 'exited' });
    given(...history, backoff())
      .when(tick(), 5 * SECOND)
      .thenLike({ cause: 'backoff-expired' });
  });
});

describe('starting', () => {
  const history = [applied(), starting()];
  test('LC-T4 WK-63 nothing happens before its deadline, and then it counts as failed', () => {
    given(...history)
      .when(tick(), 59 * SECOND)
      .thenUnchanged();
    given(...history)
      .when(tick(), 60 * SECOND)
      .thenLike({ type: 'fleetlog.policy.backoff.v1', cause: 'timed-out', spawnId: spawnA, failures: 1 });
  });
  test('LC-T5 LC-25 the registration of its spawn id makes it running, any other does not', () => {
    const state = given(...history)
      .when(alive(), SECOND)
      .thenLike({ type: 'fleetlog.policy.running.v1', spawnId: spawnA, runnerId: 'builder@forge-1' });
    expect(state).toMatchObject({ state: 'running', dueAt: null, spawn: { runningAt: NOW + SECOND } });
    given(...history)
      .when(tick({ runner: seen(null) }))
      .thenUnchanged();
    given(...history)
      .when(tick({ runner: seen(spawnB) }))
      .thenLike({ type: 'fleetlog.policy.stray-found.v1', spawnId: spawnB });
  });
  test('a host that refuses it leads to a wait; one that says "never" to the breaker', () => {
    given(...history)
      .when(refused('HOST_FULL'))
      .thenLike({ type: 'fleetlog.policy.backoff.v1', cause: 'refused', code: 'HOST_FULL' });
    given(...history)
      .when(refused('CREDENTIAL_MISSING'))
      .thenLike({ type: 'fleetlog.policy.failed.v1', code: 'CREDENTIAL_MISSING' });
    given(...history)
      .when(refused('HOST_FULL', { spawnId: spawnB }))
      .thenUnchanged();
  });
  test('a process that ends before it registers is a failure with its last words', () => {
    given(...history)
      .when(exited({ lastWords: 'no such model' }))
      .thenLike({
        cause: 'exited',
        code: 'EXIT_1',
        message: 'the process ended with exit code 1: no such model',
      });
  });
  test('a stop that is asked for meanwhile is done', () => {
    given(...history, asked('stop-asked'))
      .when(tick())
      .thenLike({ type: 'fleetlog.policy.stopping.v1', cause: 'operator' });
  });
});

describe('stopping', () => {
  const history = [applied(), starting(), running(), stopping()];
  test('LC-T11 WK-63 nothing happens before its deadline; then it is killed, and asked for again and again', () => {
    given(...history)
      .when(alive(), 14 * SECOND)
      .thenUnchanged();
    given(...history)
      .when(alive(), 15 * SECOND)
      .thenLike({ type: 'fleetlog.policy.stop-escalated.v1', tries: 1, deadlineAt: NOW + 25 * SECOND });
    given(...history, escalated())
      .when(alive(), 25 * SECOND)
      .thenLike({ tries: 2, deadlineAt: NOW + 45 * SECOND });
  });
  test('LC-T12 LC-27 it is stopped when its host says that it has ended', () => {
    given(...history)
      .when(exited({ exitCode: null, signal: 'SIGTERM' }))
      .thenLike({ type: 'fleetlog.policy.stopped.v1', spawnId: spawnA, how: 'exited', signal: 'SIGTERM' });
    given(...history)
      .when(refused('SPAWN_UNKNOWN'))
      .thenLike({ type: 'fleetlog.policy.stopped.v1', how: 'refused' });
  });
  test('LC-T12 it is stopped when it vanished with its host, or was killed and is not seen', () => {
    given(...history)
      .when(tick({ isHostOnline: false }))
      .thenLike({ type: 'fleetlog.policy.stopped.v1', how: 'vanished' });
    given(...history)
      .when(tick())
      .thenUnchanged();
    given(...history, escalated())
      .when(tick(), 25 * SECOND)
      .thenLike({ how: 'vanished' });
  });
  test('LC-T5 LC-25 WK-73 a late or repeated registration moves nothing, and the deadline stays', () => {
    given(...history)
      .when(alive(), SECOND)
      .thenUnchanged();
    expect(given(...history).state?.dueAt).toBe(NOW + 15 * SECOND);
  });
  test('LC-24 a message while it starts, runs or stops starts nothing', () => {
    const mail = { mailSeq: 9, ...idleSince(NOW) };
    given(applied(onDemand), starting()).when(tick(mail)).thenUnchanged();
    given(applied(onDemand), starting(), running()).when(alive(mail)).thenUnchanged();
    given(applied(onDemand), starting(), running(), stopping()).when(alive(mail)).thenUnchanged();
  });
});

describe('the breaker', () => {
  const limited = applied({ limits: { restarts: 2 }, backoff: { scheduleSeconds: [0] } });
  const crash = (at: number) => [
    starting({ decidedAt: at }),
    running({ decidedAt: at }),
    backoff({ decidedAt: at, until: at }),
  ];
  test('too many crashes within the window open it, and only a reset closes it', () => {
    const twice = [limited, ...crash(NOW), ...crash(NOW + SECOND), starting(), running()];
    const state = given(...twice)
      .when(tick(), 2 * SECOND)
      .thenLike({ type: 'fleetlog.policy.failed.v1', cause: 'vanished', windowMs: HOUR });
    expect(state?.state).toBe('failed');
    given(limited, failed())
      .when(tick(), 100 * HOUR)
      .thenUnchanged();
    given(limited, failed(), asked('reset')).when(tick()).thenLike({ type: 'fleetlog.policy.starting.v1' });
  });
  test('crashes that are older than the window do not count', () => {
    const long = [limited, ...crash(NOW), ...crash(NOW + SECOND), starting(), running()];
    given(...long)
      .when(tick(), 2 * HOUR)
      .thenLike({ type: 'fleetlog.policy.backoff.v1' });
  });
  test('a host that cannot take it is no crash', () => {
    let history = [limited];
    for (let times = 0; times < 5; times += 1)
      history = [...history, starting(), backoff({ cause: 'refused', code: 'HOST_FULL' })];
    given(...history, starting())
      .when(refused('HOST_FULL'))
      .thenLike({ type: 'fleetlog.policy.backoff.v1' });
  });
});
