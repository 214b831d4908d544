// Reading tasks and queues: pages in the order in which tasks go, changes in the order in which they happened, one task, counts.
import type { z } from 'zod';
import {
  foreignBoundary,
  isRefused,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { parseInput, runQuery } from './input.ts';
import { pageIn } from './list-page.ts';
import { changesQuery, queuesQuery, taskListQuery } from './task-input.ts';
import {
  allTasks,
  CHANGE_ORDER,
  countQueues,
  findTask,
  parseTaskCursor,
  TASK_ORDER,
  taskLinks,
} from './task-reading.ts';

function* wantedTasks(
  parts: GatewayParts,
  { queue, lane, state }: z.infer<typeof taskListQuery | typeof changesQuery>,
) {
  for (const task of allTasks(parts)) {
    if (queue !== undefined && task.queue !== queue) continue;
    if (lane !== undefined && task.lane !== lane) continue;
    if (state === undefined || state.includes(task.state)) yield task;
  }
}

const listTasks =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(taskListQuery, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const after = query.cursor === undefined ? undefined : parseTaskCursor(query.cursor);
    const { limit } = query;
    const { items, next } = pageIn(TASK_ORDER, wantedTasks(parts, query), (task) => task, { after, limit });
    return request.json({ tasks: items, next });
  };

const listChanges =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(changesQuery, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const { after, limit } = query;
    const page = pageIn(CHANGE_ORDER, wantedTasks(parts, query), ({ seq }) => seq, { after, limit });
    return request.json({
      tasks: page.items,
      after: page.items.at(-1)?.seq ?? after,
      hasMore: page.next !== null,
    });
  };

const getTask =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(runQuery, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const task = await findTask(parts, request.req.param('id') ?? '', query.afterSeq);
    return isRefused(task) ? task : request.json({ ...task, links: taskLinks(task.taskId) });
  };

const listQueues =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(queuesQuery, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const queues = countQueues(allTasks(parts), query.queue);
    return request.json({ queues, generatedAt: parts.clock.now() });
  };

export const taskReadRoutes = (parts: GatewayParts): readonly Route[] => [
  {
    method: 'GET',
    path: '/api/v1/tasks',
    means: 'List tasks in the order in which they go: higher priority first, then the older one.',
    query: taskListQuery,
    handle: listTasks(parts),
  },
  {
    method: 'GET',
    path: '/api/v1/tasks/changes',
    means:
      'Tasks that have changed after a sequence, in the order of their last change. Come again with `after` of the answer.',
    query: changesQuery,
    handle: listChanges(parts),
  },
  {
    method: 'GET',
    path: '/api/v1/tasks/:id',
    means:
      'A task with its attempts and, while it waits, its place in its queue; with `afterSeq` at least as of that sequence.',
    query: runQuery,
    handle: getTask(parts),
  },
  {
    method: 'GET',
    path: '/api/v1/queues',
    means: 'Queues: how many tasks in which state and lane, and which go next.',
    query: queuesQuery,
    handle: listQueues(parts),
  },
];
