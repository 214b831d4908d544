// What tests of tasks ask for and wait for: orders with every field set, requests, and the facts of a task's record. Nothing here waits
// for time: a fact that does not come runs into the limit of the test.
import type { Ports } from '#libs/service/context.ts';
import { systemIds } from '#libs/system/ids.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { aggregateSubject, requestSubject } from '#streams/subjects.ts';
import { decodeTaskEvent } from '#streams/task-codec.ts';
import {
  TASK_REQUESTS,
  type TaskAnswerOf,
  type TaskOperation,
  type TaskRequestOf,
} from '#streams/task-requests.ts';
import type { TaskEvent } from '#streams/task.ts';
import { BOUNDARY } from './control-plane.ts';

/** An order for a new task. */
const taskOrder = (changes: Partial<TaskRequestOf<'create'>> = {}): TaskRequestOf<'create'> => ({
  taskId: makeId('task', systemIds.ulid()),
  queue: 'fix',
  lane: 'main',
  priority: 0,
  title: 'Test',
  provider: 'exec',
  agent: null,
  labels: [],
  sessionId: null,
  request: { prompt: 'say hello', turnTimeoutMs: 60_000 },
  replay: 'requeue',
  maxAttempts: 3,
  leaseMs: 30_000,
  references: [],
  metadata: {},
  actor: 'user:test',
  ...changes,
});

/** Asks the tasks service; any answer is a value. */
export const askTasks = async <Op extends TaskOperation>(
  ports: Ports,
  operation: Op,
  request: TaskRequestOf<Op>,
): Promise<TaskAnswerOf<Op>> => {
  const subject = requestSubject(BOUNDARY, 'tasks', operation);
  const { body } = await ports.requests.client.request(subject, jsonBytes(request), { timeoutMs: 5000 });
  return TASK_REQUESTS[operation].answer.parse(parseJson(body)) as TaskAnswerOf<Op>;
};

/** Asks for a task; takes what differs from the usual order. */
export const askForTask = (
  ports: Ports,
  changes: Partial<TaskRequestOf<'create'>>,
): Promise<TaskAnswerOf<'create'>> => askTasks(ports, 'create', taskOrder(changes));

/** Creates a task; gives its id. */
export const createTask = async (
  ports: Ports,
  changes: Partial<TaskRequestOf<'create'>> = {},
): Promise<string> => {
  const answer = await askForTask(ports, changes);
  if (answer.outcome !== 'ok') throw new Error(`create: ${JSON.stringify(answer)}`);
  return answer.result.taskId;
};

type EventOf<Type extends TaskEvent['type']> = Extract<TaskEvent, { readonly type: Type }>;

/** The first (or nth) transition of a task that is of this type, once it is there. */
export const taskEvent = async <Type extends TaskEvent['type']>(
  ports: Ports,
  taskId: string,
  type: Type,
  nth = 1,
): Promise<EventOf<Type> & { readonly seq: number }> => {
  const found = new AbortController();
  const subjects = [aggregateSubject(BOUNDARY, 'task', taskId)];
  let count = 0;
  try {
    for await (const entry of ports
      .log('TRANSITIONS')
      .replay({ subjects, follow: true, signal: found.signal })) {
      const reading = decodeTaskEvent(entry);
      if (reading.kind !== 'known' || reading.event.type !== type) continue;
      count += 1;
      if (count === nth) return { ...(reading.event as EventOf<Type>), seq: entry.seq };
    }
  } finally {
    found.abort();
  }
  throw new Error('the replay ended');
};

/** The types of a task's transitions, short: `created`, `assigned`, … */
export const taskTypes = async (ports: Ports, taskId: string): Promise<string[]> => {
  const types: string[] = [];
  for await (const entry of ports.log('TRANSITIONS').read(aggregateSubject(BOUNDARY, 'task', taskId)))
    types.push((entry.headers['ce-type'] ?? '').replace(/^fleetlog\.task\.|\.v1$/g, ''));
  return types;
};
