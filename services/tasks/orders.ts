// What people ask of tasks: create, cancel, retry; and what dispatch asks of one task: recall. What was written is redacted before
// anything is decided: secrets reach neither the log nor a runner through it. Every request may be repeated: ids are derived from it.
import type { Redactor } from '#libs/redaction/redactor.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { TaskRequestOf, TaskResultOf } from '#streams/task-requests.ts';
import type { SessionCheck } from './session-check.ts';
import { hashOf, type TaskLog, type TaskTarget } from './task-log.ts';

interface Parts {
  readonly taskLog: TaskLog;
  readonly checkSession: SessionCheck;
  readonly redactor: Redactor;
}

type Asked<Op extends 'create' | 'cancel' | 'retry' | 'recall'> = (
  boundary: Boundary,
  request: TaskRequestOf<Op>,
) => Promise<Answer<TaskResultOf<Op>>>;

export interface Orders {
  readonly create: Asked<'create'>;
  readonly cancel: Asked<'cancel'>;
  readonly retry: Asked<'retry'>;
  readonly recall: Asked<'recall'>;
}

/** One order has one text: the order of keys is not part of it. */
const inOrder = (record: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));

export const createOrders = ({ taskLog, redactor, checkSession }: Parts): Orders => {
  /** The task as it is now, behind an answer that may be that of an earlier time. */
  const positionOf = async (target: TaskTarget, seq: number) => {
    const { state: task } = await taskLog.load(target);
    return { taskId: target.taskId, seq, state: task?.state ?? ('pending' as const) };
  };

  return {
    create: async (boundary, request) => {
      // Redaction keeps the shape: strings stay strings, names and ids are as they were.
      const { actor, ...asked } = redactor.value(request).value as typeof request;
      const order = { ...asked, metadata: inOrder(asked.metadata) };
      const { taskId } = order;
      const refusal = await checkSession(boundary, order);
      if (refusal !== undefined) return refused(refusal);
      const requestHash = hashOf(order);
      const target = { boundary, taskId, actor };
      // The hash is part of the id: the same request finds its event, another one meets the rule.
      const id = `${taskId}.create.${requestHash.slice(0, 32)}`;
      const outcome = await taskLog.handle(
        target,
        { kind: 'create', data: { ...order, requestHash, createdBy: actor } },
        { id, begins: true },
      );
      if (outcome.kind === 'rejected') return refused(outcome.rejection);
      const repeated = outcome.kind === 'unchanged' || outcome.repeated;
      if (!repeated) return ok({ taskId, seq: outcome.seq, state: 'pending', repeated });
      return ok({ ...(await positionOf(target, outcome.seq)), repeated });
    },

    cancel: async (boundary, { taskId, requestId, reason: given, actor }) => {
      const target = { boundary, taskId, actor };
      const reason = redactor.text(given).value.slice(0, 500);
      const outcome = await taskLog.handle(
        target,
        { kind: 'cancel', reason },
        { id: `${taskId}.cancel.${requestId}` },
      );
      if (outcome.kind === 'rejected') return refused(outcome.rejection);
      return ok(await positionOf(target, outcome.seq));
    },

    retry: async (boundary, { taskId, requestId, actor }) => {
      const target = { boundary, taskId, actor };
      const outcome = await taskLog.handle(target, { kind: 'retry' }, { id: `${taskId}.retry.${requestId}` });
      if (outcome.kind === 'rejected') return refused(outcome.rejection);
      const repeated = outcome.kind === 'unchanged' || outcome.repeated;
      return ok({ ...(await positionOf(target, outcome.seq)), repeated });
    },

    recall: async (boundary, { taskId, attempt, reason, actor }) => {
      const target = { boundary, taskId, actor };
      const outcome = await taskLog.handle(
        target,
        { kind: 'recall', attempt, reason },
        { id: `${taskId}.recall.${attempt}` },
      );
      if (outcome.kind === 'rejected') return refused(outcome.rejection);
      return ok(await positionOf(target, outcome.seq));
    },
  };
};
