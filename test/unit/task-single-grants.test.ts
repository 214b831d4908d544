// A single task is granted first and handed over then: what becomes of it when whoever granted it dies in between, or the task goes on otherwise.
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog, NewEntry } from '#libs/ports/event-log.ts';
import { Board } from '#services/dispatch/board.policy.ts';
import { createAssign } from '#services/tasks/assignments.ts';
import { createSingleGrants, decodeSingleGrant } from '#services/tasks/single-grant.ts';
import { ADMISSION_ID } from '#streams/admission.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { BOUNDARY } from '#test/support/control-plane.ts';
import { first, handOverWorld, second, ULID } from '#test/support/hand-over-world.ts';
import { createData } from '#test/support/task-history.ts';

describe('a grant of one task whose maker dies before the task has heard of it', () => {
  /** On the log as it would be: the grant is there, the task's own transition is not. */
  const granted = async () => {
    const made = handOverWorld();
    for (const taskId of [first, second]) await made.create(taskId);
    const parts = { taskLog: made.taskLog, log: made.log, clock: made.clock };
    const lost = new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'dead' });
    const dying = Object.create(made.log, {
      appendInOrder: {
        value: async ([grant]: readonly [NewEntry]) => {
          await made.log.append(grant);
          throw lost;
        },
      },
    }) as EventLog;
    const singles = createSingleGrants({ ...parts, log: dying });
    const request = { grantId: 'g', expectedSeq: 0, dispatcher: 'd1' };
    const grants = [{ taskId: first, attempt: 1, agent: 'a1' }];
    const dead = createAssign({ ...parts, singles })(BOUNDARY, { ...request, grants });
    await expect(dead).rejects.toBe(lost);
    expect(await made.history(first)).toEqual(['created']);
    const entry = await made.log.last(aggregateSubject(BOUNDARY, 'admission', ADMISSION_ID));
    const grant = entry && decodeSingleGrant(entry);
    if (entry === undefined || grant === undefined) throw new Error('no grant');
    return { ...made, entry, grant, reactor: createSingleGrants(parts) };
  };
  const cancel = async ({ taskLog }: Awaited<ReturnType<typeof granted>>): Promise<void> => {
    const target = { boundary: BOUNDARY, taskId: first, actor: 'user:test' };
    await taskLog.handle(target, { kind: 'cancel', reason: 'no' }, { id: 'c' });
  };
  const handled = async (of: Awaited<ReturnType<typeof granted>>): Promise<void> => {
    const handling = of.reactor.handle(of.grant);
    await of.clock.advance(300);
    await handling;
  };

  test('WK-33 is carried out by the reactor, once', async () => {
    const of = await granted();
    await handled(of);
    await handled(of);
    expect(await of.history(first)).toEqual(['created', 'assigned']);
  });

  test('WK-31 WK-33 is carried out before the next one is made', async () => {
    const of = await granted();
    expect(await of.ask([second], of.entry.seq)).toMatchObject({ result: { granted: [second] } });
    expect(await of.history(first)).toEqual(['created', 'assigned']);
    await handled(of);
    expect(await of.history(first)).toEqual(['created', 'assigned']);
  });

  test('is void when the task was cancelled meanwhile, also after a retry, and holds up nobody', async () => {
    const of = await granted();
    await cancel(of);
    const target = { boundary: BOUNDARY, taskId: first, actor: 'user:test' };
    await of.taskLog.handle(target, { kind: 'retry' }, { id: 'r' });
    await handled(of);
    expect(await of.history(first)).toEqual(['created', 'cancelled', 'retried']);
    expect(await of.ask([second], of.entry.seq)).toMatchObject({ result: { granted: [second] } });
  });

  test('WK-31 has its slot and its share on every board that has seen it, until the task goes on otherwise', async () => {
    const of = await granted();
    const boards = [new Board(), new Board()] as const;
    const data = createData({ taskId: first });
    for (const board of boards) {
      board.applyTask({ type: 'fleetlog.task.created.v1', ...data, createdAt: 1 }, of.grant.granted.taskSeq);
      board.applyGrant(of.entry.seq, [of.grant.granted]);
      expect([...board.active()]).toMatchObject([{ agent: 'a1', isBegun: false }]);
    }
    const [told, retried] = boards;
    const { runId } = of.grant.granted;
    const assigned = { ...data, attempt: 1, runId, sessionId: `ses_${ULID}1`, agent: 'a1', assignedAt: 1 };
    told.applyTask({ type: 'fleetlog.task.assigned.v1', ...assigned }, 9);
    expect([...told.active()]).toHaveLength(1);
    const limits = {
      queues: new Map([['fix', 1]]),
      lanes: new Map(),
      agents: new Map(),
      providers: new Map(),
    };
    expect(told.usage.reached(data, limits)).toMatchObject({ what: 'queue' });
    const end = { taskId: first, queue: 'fix', last: null, reason: 'no', endedAt: 1 };
    retried.applyTask({ type: 'fleetlog.task.cancelled.v1', ...end }, 9);
    expect([...retried.active()]).toEqual([]);
    // It waits again where it did not stand then: the old grant is no hand-over of it.
    retried.applyRetry(
      { type: 'fleetlog.task.created.v1', ...data, createdAt: 1 },
      { type: 'fleetlog.task.retried.v1', taskId: first, queue: 'fix', attempts: 0, retriedAt: 1 },
      10,
    );
    retried.applyGrant(of.entry.seq, [of.grant.granted]);
    expect([...retried.active()]).toEqual([]);
  });
});
