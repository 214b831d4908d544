// Asking for tasks and for their end or another attempt. The owner of the task decides; the gateway checks the input, gives ids, and
// passes the answer on. With an Idempotency-Key the ids follow from the key, so that a repeat finds what the first request made, at any
// later time and through any gateway. What is read of tasks is in task-read-routes.ts.
import { createHash } from 'node:crypto';
import { TASK_API, type CreateTaskInput } from '#streams/http/tasks.ts';
import type { WorkDefaults } from '#streams/receipts.ts';
import { foreignToSession } from '#streams/session-owner.policy.ts';
import type { TaskRequestOf } from '#streams/task-requests.ts';
import { findSession } from './find-run.ts';
import {
  actorOf,
  foreignBoundary,
  isRefused,
  keyOf,
  refuse,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { readBody } from './input.ts';
import { idMaker } from './new-ids.ts';
import { givenRules, titleOfPrompt } from './run-routes.ts';
import { findTask, taskLinks } from './task-reading.ts';

/** Whose conversation it goes on in, if any: that agent alone can do it. */
const whoMay = async (
  parts: GatewayParts,
  { session: sessionId, agent, provider }: CreateTaskInput,
): Promise<Pick<TaskRequestOf<'create'>, 'agent' | 'provider' | 'sessionId'> | Refused> => {
  if (sessionId === undefined) return { agent: agent ?? null, provider: provider ?? 'exec', sessionId: null };
  const session = await findSession(parts, sessionId);
  if (isRefused(session)) return session;
  const asked = { agent: agent ?? session.agent, provider: provider ?? session.provider };
  const refused = foreignToSession(session, asked);
  return refused === undefined ? { ...asked, sessionId } : { refused };
};

type Order = Omit<TaskRequestOf<'create'>, 'taskId' | 'actor' | 'agent' | 'provider' | 'sessionId'>;

/** What was asked for, with what counts where nothing was said. */
const orderOf = (defaults: WorkDefaults, input: CreateTaskInput): Order => ({
  queue: input.queue,
  lane: input.lane ?? 'main',
  priority: input.priority ?? 0,
  title: input.title ?? titleOfPrompt(input.prompt),
  labels: [...new Set(input.labels)].toSorted(),
  request: {
    prompt: input.prompt,
    turnTimeoutMs: input.turnTimeoutMs ?? defaults.turnTimeoutMs,
    ...givenRules(input),
  },
  replay: input.replay ?? 'requeue',
  maxAttempts: input.maxAttempts ?? defaults.maxAttempts,
  leaseMs: input.leaseMs ?? defaults.leaseMs,
  references: input.references ?? [],
  metadata: input.metadata ?? {},
});

const createTask =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const { config, boundary, ids } = parts;
    const key = keyOf(request);
    const input = await readBody(request.req.raw, TASK_API.createTask.body, config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const who = await whoMay(parts, input);
    if (isRefused(who)) return who;
    if (who.agent !== null && !parts.knowsAgent(who.agent))
      return refuse('AGENT_UNKNOWN', `no runner is set up for agent ${who.agent}`);
    const taskId = idMaker(ids, boundary, key)('task');
    const answer = await parts.tasksClient.ask('create', {
      taskId,
      ...orderOf(request.get('defaults'), input),
      ...who,
      actor: actorOf(request),
    });
    if (answer.kind === 'refused') return { refused: answer.rejection };
    const links = taskLinks(answer.result.taskId);
    return request.json({ ...answer.result, links }, 202, { location: links.self });
  };

/** What a client repeats under one key is one request. */
export const requestIdOf = ({ ids }: GatewayParts, request: GatewayRequest): string => {
  const key = keyOf(request);
  return key === undefined ? ids.ulid() : createHash('sha256').update(key).digest('hex').slice(0, 32);
};

const cancelTask =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, TASK_API.cancelTask.body, parts.config.maxBodyBytes);
    const task = foreignBoundary(parts, input) ?? (await findTask(parts, request.req.param('id') ?? ''));
    if (isRefused(task)) return task;
    const { taskId } = task;
    const asked = {
      taskId,
      requestId: requestIdOf(parts, request),
      reason: input.reason,
      actor: actorOf(request),
    };
    const answer = await parts.tasksClient.ask('cancel', asked);
    if (answer.kind === 'refused') return { refused: answer.rejection };
    return request.json({ ...answer.result, links: taskLinks(taskId) }, 202);
  };

const retryTask =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, TASK_API.retryTask.body, parts.config.maxBodyBytes);
    const task = foreignBoundary(parts, input) ?? (await findTask(parts, request.req.param('id') ?? ''));
    if (isRefused(task)) return task;
    const { taskId } = task;
    const asked = { taskId, requestId: requestIdOf(parts, request), actor: actorOf(request) };
    const answer = await parts.tasksClient.ask('retry', asked);
    if (answer.kind === 'refused') return { refused: answer.rejection };
    return request.json({ ...answer.result, links: taskLinks(taskId) }, 202);
  };

export const taskRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...TASK_API.createTask, handle: createTask(parts) },
  { ...TASK_API.cancelTask, handle: cancelTask(parts) },
  { ...TASK_API.retryTask, handle: retryTask(parts) },
];
