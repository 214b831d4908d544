// Reading tasks and queues: pages in the order in which tasks go, changes in the order in which they happened, one task, counts, and what a
// commander looks at first; and the note of what a reader has seen.
import { toFault } from '#libs/kernel/fault.ts';
import { TASK_API } from '#streams/http/tasks.ts';
import { shows } from './catch-up.ts';
import {
  foreignBoundary,
  isRefused,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { parseInput } from './input.ts';
import { answerPage } from './json-page.ts';
import { markRead } from './mark-read.ts';
import type { TaskRow } from './task-index.ts';
import {
  countsTogether,
  findTask,
  formatTaskCursor,
  parseTaskCursor,
  taskAttention,
  taskIndexFor,
  taskIndexOf,
  taskLinks,
} from './task-reading.ts';

/** ST-57. */
const COMMANDER_TASKS = 20;

const answerTasks = (
  parts: GatewayParts,
  request: GatewayRequest,
  page: { readonly rows: readonly TaskRow[]; readonly reader: string | undefined; readonly rest: object },
): Response =>
  answerPage(request, {
    name: 'tasks',
    view: parts.views.tasks,
    moreOf: (row: TaskRow) => taskAttention(parts, row, page.reader),
    ...page,
  });

const listTasks =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(TASK_API.listTasks.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const after = query.cursor === undefined ? undefined : parseTaskCursor(query.cursor);
    await shows(parts, parts.views.tasks, query.afterSeq);
    const { rows, hasMore } = taskIndexOf(parts).page(query, { after, limit: query.limit });
    const last = rows.at(-1);
    const next = hasMore && last !== undefined ? formatTaskCursor(last) : null;
    return answerTasks(parts, request, { rows, reader: query.reader, rest: { next } });
  };

const listChanges =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(TASK_API.listTaskChanges.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    await shows(parts, parts.views.tasks, query.afterSeq);
    const { after, limit, reader } = query;
    const upTo = parts.views.tasks.position();
    const { rows, ...rest } = taskIndexOf(parts).changes({ after, upTo }, query, limit);
    return answerTasks(parts, request, { rows, reader, rest });
  };

const getTask =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(TASK_API.getTask.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const task = await findTask(parts, request.req.param('id') ?? '', query);
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
    const queues = taskIndexOf(parts).counts(query.queue);
    const why = await waitingIn(parts, query.queue);
    return request.json({ queues, ...why, generatedAt: parts.clock.now() });
  };

const getCommander =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(TASK_API.getCommander.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const { queue, reader } = query;
    const index = await taskIndexFor(parts, reader, queue);
    const { rows } = index.attention({ queue }, reader, COMMANDER_TASKS);
    const generatedAt = parts.clock.now();
    const named = { queue: queue ?? null };
    const stats = { ...named, ...countsTogether(index.counts(queue)), generatedAt };
    const rest = { ...named, readerId: reader ?? null, stats, generatedAt };
    return answerTasks(parts, request, { rows, reader, rest });
  };

const readTask = (parts: GatewayParts) =>
  markRead(parts, 'task', async (id) => {
    const task = await findTask(parts, id);
    return isRefused(task) ? task : { id: task.taskId, seq: task.seq };
  });

export const taskReadRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...TASK_API.listTasks, handle: listTasks(parts) },
  { ...TASK_API.listTaskChanges, handle: listChanges(parts) },
  { ...TASK_API.getTask, handle: getTask(parts) },
  { ...TASK_API.listQueues, handle: listQueues(parts) },
  { ...TASK_API.getCommander, handle: getCommander(parts) },
  { ...TASK_API.readTask, handle: readTask(parts) },
];
