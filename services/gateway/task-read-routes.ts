// Reading tasks and queues: pages in the order in which tasks go, changes in the order in which they happened, one task, counts.
import { toFault } from '#libs/kernel/fault.ts';
import { TASK_API, type TaskFilters } from '#streams/http/tasks.ts';
import {
  foreignBoundary,
  isRefused,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { parseInput } from './input.ts';
import { pageIn } from './list-page.ts';
import {
  allTasks,
  CHANGE_ORDER,
  countQueues,
  findTask,
  parseTaskCursor,
  TASK_ORDER,
  taskLinks,
} from './task-reading.ts';

function* wantedTasks(parts: GatewayParts, { queue, lane, state }: TaskFilters) {
  for (const task of allTasks(parts)) {
    if (queue !== undefined && task.queue !== queue) continue;
    if (lane !== undefined && task.lane !== lane) continue;
    if (state === undefined || state.includes(task.state)) yield task;
  }
}

const listTasks =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(TASK_API.listTasks.query, request.req.query(), 'query');
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
    const query = parseInput(TASK_API.listTaskChanges.query, request.req.query(), 'query');
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
    const query = parseInput(TASK_API.getTask.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const task = await findTask(parts, request.req.param('id') ?? '', query.afterSeq);
    return isRefused(task) ? task : request.json({ ...task, links: taskLinks(task.taskId) });
  };

/** Why the first tasks wait, as dispatch says; without it the counts are good all the same. */
const waitingIn = async ({ dispatchClient, logger }: GatewayParts, queue: string | undefined) => {
  try {
    const answer = await dispatchClient.ask('explain', queue === undefined ? {} : { queue });
    if (answer.kind === 'ok') return { waiting: answer.result.lines, waitingProblem: null };
    return { waiting: [], waitingProblem: answer.rejection.message };
  } catch (error) {
    const { message } = toFault(error);
    logger.warn('dispatch does not say why tasks wait', { error: message });
    return { waiting: [], waitingProblem: `dispatch does not answer: ${message}` };
  }
};

const listQueues =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(TASK_API.listQueues.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const queues = countQueues(allTasks(parts), query.queue);
    const why = await waitingIn(parts, query.queue);
    return request.json({ queues, ...why, generatedAt: parts.clock.now() });
  };

export const taskReadRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...TASK_API.listTasks, handle: listTasks(parts) },
  { ...TASK_API.listTaskChanges, handle: listChanges(parts) },
  { ...TASK_API.getTask, handle: getTask(parts) },
  { ...TASK_API.listQueues, handle: listQueues(parts) },
];
