// Every transition and refusal of a task: the whole table of state × command, then what the table cannot show.
import { describe, expect, test } from 'vitest';
import type { TaskCommand, TaskEvent, TaskStateName } from '#streams/task.ts';
import {
  agent,
  assign,
  assigned,
  blocked,
  broke,
  cancel,
  cancelled,
  cancelRequested,
  completed,
  create,
  createData,
  created,
  end,
  endFailed,
  failed,
  given,
  lost,
  recall,
  recalled,
  requeued,
  retried,
  retry,
  start,
  started,
} from '#test/support/task-history.ts';

/** A history that ends in each state, with one attempt where there can be one. */
const HISTORIES: Readonly<Record<TaskStateName, readonly TaskEvent[]>> = {
  pending: [created()],
  assigned: [created(), assigned()],
  running: [created(), assigned(), started()],
  cancelling: [created(), assigned(), started(), cancelRequested()],
  completed: [created(), assigned(), started(), completed()],
  failed: [created(), assigned(), started(), failed()],
  blocked: [created(), assigned(), started(), blocked()],
  cancelled: [created(), assigned(), started(), cancelRequested(), cancelled('cancelled')],
};

type Expected = TaskEvent | 'unchanged' | 'TASK_ATTEMPT_UNKNOWN' | TaskRefusal;
type TaskRefusal =
  | 'TASK_NOT_PENDING'
  | 'TASK_ENDED'
  | 'TASK_CANCELLED'
  | 'TASK_COMPLETED'
  | 'TASK_NOT_ENDED'
  | 'TASK_CONFLICTING_REQUEST';
type Row = Readonly<Record<TaskStateName, Expected>>;

const same = (expected: Expected): Row => ({
  pending: expected,
  assigned: expected,
  running: expected,
  cancelling: expected,
  completed: expected,
  failed: expected,
  blocked: expected,
  cancelled: expected,
});

const other: TaskCommand = { kind: 'create', data: createData({ requestHash: 'b'.repeat(64) }) };

/** What each command does in each state. */
const TABLE: readonly (readonly [string, TaskCommand, Row])[] = [
  ['ST-49 create again', create, same('unchanged')],
  ['ST-49 ER-04 create with another order', other, same('TASK_CONFLICTING_REQUEST')],
  [
    'WK-58 ER-06 assign (first attempt)',
    assign(),
    {
      ...same('unchanged'),
      pending: assigned(),
      completed: 'TASK_ENDED',
      failed: 'TASK_ENDED',
      blocked: 'TASK_ENDED',
      cancelled: 'TASK_CANCELLED',
    },
  ],
  [
    'WK-58 ER-06 assign (second attempt)',
    assign(2),
    {
      ...same('TASK_NOT_PENDING'),
      completed: 'TASK_ENDED',
      failed: 'TASK_ENDED',
      blocked: 'TASK_ENDED',
      cancelled: 'TASK_CANCELLED',
    },
  ],
  [
    'WK-58 ST-T17 start',
    start(),
    { ...same('unchanged'), pending: 'TASK_ATTEMPT_UNKNOWN', assigned: started() },
  ],
  [
    'WK-58 ST-T17 end as completed',
    end(),
    {
      ...same('unchanged'),
      pending: 'TASK_ATTEMPT_UNKNOWN',
      assigned: completed(),
      running: completed(),
      cancelling: cancelled('completed'),
    },
  ],
  [
    'WK-58 ST-T17 end as failed',
    endFailed(),
    {
      ...same('unchanged'),
      pending: 'TASK_ATTEMPT_UNKNOWN',
      assigned: failed(),
      running: failed(),
      cancelling: cancelled('failed'),
    },
  ],
  [
    'WK-58 ST-T17 end as lost',
    endFailed(lost),
    {
      ...same('unchanged'),
      pending: 'TASK_ATTEMPT_UNKNOWN',
      assigned: requeued(),
      running: requeued(),
      cancelling: cancelled('failed'),
    },
  ],
  [
    'WK-58 ST-T17 end as blocked',
    end({ outcome: 'blocked', summary: 'needs a key' }),
    {
      ...same('unchanged'),
      pending: 'TASK_ATTEMPT_UNKNOWN',
      assigned: blocked(),
      running: blocked(),
      cancelling: cancelled('blocked'),
    },
  ],
  [
    'WK-58 ST-T17 end as cancelled',
    end({ outcome: 'cancelled', summary: 'by hand' }),
    {
      ...same('unchanged'),
      pending: 'TASK_ATTEMPT_UNKNOWN',
      assigned: cancelled('cancelled', { reason: 'by hand' }),
      running: cancelled('cancelled', { reason: 'by hand' }),
      cancelling: cancelled('cancelled'),
    },
  ],
  ['WK-58 recall', recall(), { ...same('unchanged'), pending: 'TASK_ATTEMPT_UNKNOWN', assigned: recalled() }],
  [
    'ST-T18 ST-T19 cancel',
    cancel,
    {
      ...same('unchanged'),
      pending: cancelled(),
      assigned: cancelRequested(),
      running: cancelRequested(),
    },
  ],
  [
    'ST-T19 retry',
    retry,
    {
      ...same('TASK_NOT_ENDED'),
      completed: 'TASK_COMPLETED',
      failed: retried(),
      blocked: retried(),
      cancelled: retried(),
    },
  ],
];

describe.for(TABLE)('%s', ([, command, row]) => {
  test.for(Object.keys(HISTORIES) as TaskStateName[])('in state %s', (state) => {
    const expected = row[state];
    const history = given(...HISTORIES[state]);
    expect(history.state?.state).toBe(state);
    const outcome = history.when(command);
    if (expected === 'unchanged') outcome.thenUnchanged();
    else if (typeof expected === 'string') outcome.thenRejected(expected);
    else outcome.then(expected);
  });
});

describe('a task that does not exist', () => {
  test('ST-T16 is created whole', () => {
    given().when(create).then(created());
  });
  test('ST-52 ER-01 knows no other command', () => {
    for (const command of [assign(), start(), end(), recall(), cancel, retry])
      given().when(command).thenRejected('TASK_UNKNOWN');
  });
});

describe('handing over', () => {
  test('goes to the one agent that the task is for, and to no other', () => {
    const only = created({ agent });
    given(only).when(assign(1, 'builder-2')).thenRejected('TASK_FOREIGN');
    given(only).when(assign(1, agent)).then(assigned());
  });
  test('goes on in the conversation that the task names', () => {
    const sessionId = 'ses_01HF3Z0000000000000000000Z';
    given(created({ sessionId })).when(assign()).thenLike({ sessionId });
  });
  test('gives the next attempt the next number, and no other', () => {
    const history = [created(), assigned(), requeued()];
    given(...history)
      .when(assign(2))
      .then(assigned(2));
    given(...history)
      .when({ ...assign(2), attempt: 3 } as TaskCommand)
      .thenRejected('TASK_NOT_PENDING');
  });
});

describe('news of an attempt', () => {
  test('that is over changes nothing, whatever the task does by now', () => {
    for (const later of [[], [assigned(2)], [assigned(2), started(2)], [assigned(2), completed(2)]])
      for (const command of [start(), end(), endFailed(lost), recall()])
        given(created(), assigned(), requeued(), ...later)
          .when(command)
          .thenUnchanged();
  });
  test('with the run of another attempt is refused', () => {
    for (const command of [start(2), end({}, 2)])
      given(created(), assigned())
        .when({ ...command, attempt: 1 } as TaskCommand)
        .thenRejected('TASK_ATTEMPT_UNKNOWN');
  });
});

describe('a lost runner', () => {
  test('is tried again up to the attempts, then the task fails for that reason', () => {
    given(created(), assigned(), requeued(), assigned(2), started(2))
      .when(endFailed(lost, 2))
      .thenLike({ type: 'fleetlog.task.failed.v1', failure: lost });
  });
  test('fails the task at once when it must not be repeated', () => {
    given(created({ replay: 'fail' }), assigned(), started())
      .when(endFailed(lost))
      .thenLike({ type: 'fleetlog.task.failed.v1' });
  });
});

describe('a recalled attempt', () => {
  const history = [created({ maxAttempts: 1 }), assigned(), recalled()];
  test('that is cancelled or lost waits again, and does not count', () => {
    given(...history)
      .when(end({ outcome: 'cancelled', summary: '' }))
      .then(requeued(1, 'cancelled'));
    given(...history)
      .when(endFailed(lost))
      .then(requeued());
    given(...history, requeued(1, 'cancelled'), assigned(2))
      .when(endFailed(lost, 2))
      .thenLike({ type: 'fleetlog.task.failed.v1' });
  });
  test('that began after all and was done is done', () => {
    given(...history, started())
      .when(end())
      .then(completed());
  });
  test('can still be cancelled by a person, for good', () => {
    given(...history)
      .when(cancel)
      .then(cancelRequested());
    given(...history, cancelRequested())
      .when(end({ outcome: 'cancelled' }))
      .then(cancelled('cancelled'));
  });
  test('is recalled once', () => {
    given(...history)
      .when(recall())
      .thenUnchanged();
  });
});

describe('a retry', () => {
  test('WK-58 keeps all attempts and gives the whole number of them again', () => {
    const history = given(created({ maxAttempts: 1 }), assigned(), failed());
    const state = history.when(retry).then(retried());
    expect(state?.attempts).toHaveLength(1);
    expect(state?.attempts[0]).toMatchObject({ outcome: 'failed' });
    given(created({ maxAttempts: 2 }), assigned(), failed(), retried(), assigned(2))
      .when(endFailed(lost, 2))
      .then(requeued(2));
  });
  test('of a task that was cancelled while it waited begins with the first attempt', () => {
    given(created(), cancelled(), retried(0)).when(assign()).then(assigned());
  });
});

test('a failure that says nothing has a reason all the same', () => {
  given(created(), assigned())
    .when(end({ outcome: 'failed', summary: '' }))
    .thenLike({ failure: { ...broke, message: 'the run failed without saying why' } });
  given(created(), assigned())
    .when(end({ outcome: 'blocked', summary: '' }))
    .thenLike({ reason: 'the agent did not say why' });
});
