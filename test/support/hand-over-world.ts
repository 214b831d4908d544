// Tasks and their owner in memory, without loops: what hand-overs are asked of directly.
import { createAssign } from '#services/tasks/assignments.ts';
import { createSingleGrants } from '#services/tasks/single-grant.ts';
import { createTaskLog } from '#services/tasks/task-log.ts';
import { jsonBytes } from '#streams/entry.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { BOUNDARY } from './control-plane.ts';
import { createWorld } from './simulated-world.ts';
import { createData } from './task-history.ts';

export const ULID = '01HF3Z0000000000000000000';
/** Two tasks. */
export const [first, second] = [`tsk_${ULID}1`, `tsk_${ULID}2`] as const;

/** A world with agent `a1`. */
export const handOverWorld = () => {
  const world = createWorld(1, { agents: ['a1'] });
  const { clock, ids, ports } = world;
  const log = ports.log('TRANSITIONS');
  const taskLog = createTaskLog({ log, clock, ids });
  const create = async (taskId: string): Promise<void> => {
    const target = { boundary: BOUNDARY, taskId, actor: 'user:test' };
    await taskLog.handle(
      target,
      { kind: 'create', data: createData({ taskId }) },
      { id: `${taskId}.create` },
    );
  };
  const singles = createSingleGrants({ taskLog, log, clock });
  const assign = createAssign({ taskLog, log, clock, singles });
  const ask = (taskIds: readonly string[], expectedSeq: number, grantId = `g${expectedSeq}`) =>
    assign(BOUNDARY, {
      grantId,
      expectedSeq,
      dispatcher: 'd1',
      grants: taskIds.map((taskId) => ({ taskId, attempt: 1, agent: 'a1' })),
    });
  const history = async (taskId: string): Promise<string[]> => {
    const types: string[] = [];
    for await (const { headers } of log.read(aggregateSubject(BOUNDARY, 'task', taskId)))
      types.push(headers['ce-type']?.replace(/^fleetlog\.task\.|\.v1$/g, '') ?? '');
    return types;
  };
  /** Puts an entry on a task's subject that nobody here can read. */
  const spoil = async (taskId: string): Promise<void> => {
    const subject = aggregateSubject(BOUNDARY, 'task', taskId);
    const last = await log.last(subject);
    const entry = { subject, id: `${taskId}.spoilt`, headers: {}, body: jsonBytes({}) };
    await log.append({ ...entry, expectedSeq: last?.seq ?? 0 });
  };
  return { ...world, log, taskLog, create, ask, history, spoil };
};
