// How everybody in a simulated world asks the services: again and again, until there is a result or a refusal.
import type { RunAnswerOf, RunOperation, RunRequestOf } from '#streams/run-requests.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { SESSION_REQUESTS, type SessionOperation, type SessionRequestOf } from '#streams/session-requests.ts';
import { requestSubject } from '#streams/subjects.ts';
import type { TaskAnswerOf, TaskOperation, TaskRequestOf } from '#streams/task-requests.ts';
import { BOUNDARY } from './control-plane.ts';
import { ask } from './scripted-runner.ts';
import { answered, persist, type World } from './simulated-world.ts';
import { askTasks } from './task-facts.ts';

/** Asks the owner of runs; a runner says its agent. */
export const askRuns = <Op extends RunOperation>(
  world: World,
  operation: Op,
  request: RunRequestOf<Op>,
  agent = '',
): Promise<RunAnswerOf<Op>> =>
  persist(world, async () => answered(await ask(world.ports, operation, request, agent)));

/** Asks the owner of tasks. */
export const askTasksUntilAnswered = <Op extends TaskOperation>(
  world: World,
  operation: Op,
  request: TaskRequestOf<Op>,
): Promise<TaskAnswerOf<Op>> =>
  persist(world, async () => answered(await askTasks(world.ports, operation, request)));

/** Asks the owner of sessions; gives `ok` or the code of the refusal. */
export const askSessions = <Op extends SessionOperation>(
  world: World,
  operation: Op,
  request: SessionRequestOf<Op>,
): Promise<void> =>
  persist(world, async () => {
    const subject = requestSubject(BOUNDARY, 'sessions', operation);
    const { client } = world.ports.requests;
    const { body } = await client.request(subject, jsonBytes(request), { timeoutMs: 5000 });
    answered(SESSION_REQUESTS[operation].answer.parse(parseJson(body)));
  });
