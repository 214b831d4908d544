// The error index (behaviours.md §9), row by row, over HTTP and over NATS: the same situation, the same code, and the kind and status that
// its row names. What only a runner asks has no HTTP route; there the other half is said in the row. Elsewhere: ER-02, since no request over NATS names
// both a run and a session (gateway-sessions.test.ts), and ER-14 to ER-18, which are no answers to a caller.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { createClient, problemIn, type Client } from '#services/client/client.ts';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { aggregateSubject, requestSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { overHttp, overNats, statusOf } from '#test/support/refusals.ts';
import { createRun, runRequest, typesOf } from '#test/support/run-facts.ts';
import { askForTask, askTasks, taskTypes } from '#test/support/task-facts.ts';
import { ask, claimTurn, done, transition, turnInstruction } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let plane: ControlPlane;
let client: Client;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  plane = await startControlPlane({
    broker,
    services: [runs, tasks, sessions, gateway],
    config: { gateway: { port: 0, requestTimeoutMs: 3000, agents: ['builder-1', 'builder-2'] } },
  });
  client = createClient({ url: plane.url(), patience: { attempts: 1 } });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

/** Of the usual control plane. */
const natsSays = (service: string, operation: string, request: Readonly<Record<string, unknown>>) =>
  overNats(plane.ports, [service, operation], request);

const actor = 'user:anna';
const newId = (kind: Parameters<typeof makeId>[0]): string => makeId(kind, systemIds.ulid());
const path = (id: string) => ({ path: { id } });

/** Waits until the opening of a session is on record. */
const recorded = async (sessionId: string): Promise<void> => {
  const subjects = [aggregateSubject(BOUNDARY, 'session', sessionId)];
  const found = new AbortController();
  const log = plane.ports.log('TRANSITIONS');
  for await (const _entry of log.replay({ subjects, follow: true, signal: found.signal })) found.abort();
};

/** A run that has been cancelled. */
const endedRun = async (): Promise<string> => {
  const runId = await createRun(plane.ports);
  await client.call('cancelRun', { ...path(runId), body: {} });
  await transition(plane.ports, runId, 'fleetlog.run.cancelled.v1');
  return runId;
};

describe('the error index', () => {
  test('ER-01 ST-05 what is not there is schema-invalid, 404, and names the id', async () => {
    const [runId, taskId, sessionId] = [newId('run'), newId('task'), newId('session')];
    const none = (code: string) => ({ status: 404, kind: 'schema-invalid', code });
    expect(await overHttp(client.call('getRun', path(runId)))).toEqual(none('RUN_UNKNOWN'));
    expect(await natsSays('runs', 'cancel', { runId, reason: 'x', actor })).toEqual(none('RUN_UNKNOWN'));
    expect(await overHttp(client.call('getTask', path(taskId)))).toEqual(none('TASK_UNKNOWN'));
    const retry = { taskId, requestId: 'r', actor };
    expect(await natsSays('tasks', 'retry', retry)).toEqual(none('TASK_UNKNOWN'));
    expect(await overHttp(client.call('getSession', path(sessionId)))).toEqual(none('SESSION_UNKNOWN'));
    const storage = { sessionId, name: 'v', reason: 'x', requestId: 'r', actor };
    expect(await natsSays('sessions', 'evict', storage)).toEqual(none('SESSION_UNKNOWN'));
    // One rule for both ways: a run begins a session that it does not name (HTTP), or that it says it may open (NATS).
    const { mayOpenSession: _may, ...inSession } = runRequest({ sessionId });
    expect(await natsSays('runs', 'create', inSession)).toEqual(none('SESSION_UNKNOWN'));
    const named = client.call('createRun', { body: { prompt: 'x', session: sessionId } });
    expect(await overHttp(named)).toEqual(none('SESSION_UNKNOWN'));
    const waiting = await askForTask(plane.ports, { sessionId: sessionId });
    expect(statusOf(waiting)).toEqual(none('SESSION_UNKNOWN'));
    const opened = await client.call('createRun', { body: { prompt: 'x' } });
    // Shown: it is known to everybody.
    await client.call('getSession', path(opened.sessionId));
    const second = runRequest({ sessionId: opened.sessionId, mayOpenSession: false });
    expect(await ask(plane.ports, 'create', second)).toMatchObject({ outcome: 'ok' });
    const asked = [
      client.call('getRun', path(runId)),
      client.call('getTask', path(taskId)),
      client.call('getSession', path(sessionId)),
    ];
    const errors = await Promise.all(asked.map((one) => one.catch((error: unknown) => error)));
    for (const error of errors) {
      const message = problemIn(error)?.message ?? '';
      expect([runId, taskId, sessionId].some((id) => message.includes(id))).toBe(true);
    }
  });

  test('ER-03 a claim or a command of an ended run is refused with what ended it', async () => {
    const runId = await endedRun();
    const cancelled = { status: 409, kind: 'cancelled', code: 'RUN_CANCELLED' };
    const claim = { runId, runnerId: 'r1', claimId: 'c1' };
    expect(statusOf(await ask(plane.ports, 'claim', claim))).toEqual(cancelled);
    const order = { type: 'turn', text: 'more' } as const;
    expect(await overHttp(client.call('createCommand', { ...path(runId), body: order }))).toEqual(cancelled);
    const command = { runId, commandId: newId('command'), ...order, actor };
    expect(await natsSays('runs', 'create-command', command)).toEqual(cancelled);
  });

  test('ER-03 of a run that failed the refusal is of the kind that it failed with', async () => {
    const runId = await createRun(plane.ports);
    const turn = await claimTurn(plane.ports, await turnInstruction(plane.ports, runId));
    const failure = { kind: 'provider-failed', message: 'no' } as const;
    await turn.finished({ ...done, outcome: 'failed', failure });
    await transition(plane.ports, runId, 'fleetlog.run.failed.v1');
    const failed = { status: 409, kind: 'provider-failed', code: 'RUN_ENDED' };
    const claim = { runId, runnerId: 'r1', claimId: 'c1' };
    expect(statusOf(await ask(plane.ports, 'claim', claim))).toEqual(failed);
    const order = { type: 'turn', text: 'more' } as const;
    expect(await overHttp(client.call('createCommand', { ...path(runId), body: order }))).toEqual(failed);
    const command = { runId, commandId: newId('command'), ...order, actor };
    expect(await natsSays('runs', 'create-command', command)).toEqual(failed);
  });

  test('ER-04 another payload under a key, or under the id that follows from it, is schema-invalid, 409', async () => {
    const body = { prompt: 'x' };
    const { runId } = await client.call('createRun', { body, idempotencyKey: 'er-04' });
    const other = client.call('createRun', { body: { prompt: 'y' }, idempotencyKey: 'er-04' });
    const refused = { status: 409, kind: 'schema-invalid' };
    expect(await overHttp(other)).toMatchObject(refused);
    expect(await natsSays('runs', 'create', runRequest({ runId }))).toMatchObject(refused);
  });

  test('ER-05 a claim against a live lease, and a heartbeat of somebody else, are runner-lease-conflict, 409', async () => {
    const runId = await createRun(plane.ports);
    await claimTurn(plane.ports, await turnInstruction(plane.ports, runId));
    const conflict = { status: 409, kind: 'runner-lease-conflict' };
    const claim = { runId, runnerId: 'r2', claimId: 'c2' };
    expect(statusOf(await ask(plane.ports, 'claim', claim))).toMatchObject(conflict);
    const renew = { runId, runnerId: 'r2', fence: 1 };
    expect(statusOf(await ask(plane.ports, 'renew', renew))).toMatchObject(conflict);
  });

  test('ER-06 nothing moves an attempt of an ended task: it is cancelled or schema-invalid, 409', async () => {
    const { taskId } = await client.call('createTask', { body: { queue: 'q', prompt: 'x' } });
    expect(await overHttp(client.call('retryTask', { ...path(taskId), body: {} }))).toEqual({
      status: 409,
      kind: 'schema-invalid',
      code: 'TASK_NOT_ENDED',
    });
    await client.call('cancelTask', { ...path(taskId), body: {} });
    // What moves attempts is asked by the dispatcher, which has no route.
    const grants = [{ taskId, attempt: 1, agent: 'builder-1' }];
    const grant = { grantId: 'er-06', expectedSeq: 0, dispatcher: 'test', grants };
    // Tasks that do not wait any more are left out of a grant.
    expect(await askTasks(plane.ports, 'assign', grant)).toMatchObject({ result: { granted: [] } });
    const unknown = { status: 409, kind: 'schema-invalid', code: 'TASK_ATTEMPT_UNKNOWN' };
    const recall = { taskId, attempt: 1, reason: 'x', actor };
    expect(await natsSays('tasks', 'recall', recall)).toEqual(unknown);
    expect(await taskTypes(plane.ports, taskId)).toEqual(['created', 'cancelled']);
  });

  test('ER-07 another tenant or project is tenant-policy-denied, 403, whether the thing exists there or not', async () => {
    const { runId, sessionId } = await client.call('createRun', { body: { prompt: 'x' } });
    const denied = { status: 403, kind: 'tenant-policy-denied', code: 'BOUNDARY_DENIED' };
    for (const boundary of [{ tenant: 'other' }, { project: 'other' }]) {
      for (const id of [sessionId, newId('session'), 'nonsense'])
        expect(await overHttp(client.call('getSession', { ...path(id), query: boundary }))).toEqual(denied);
      for (const id of [runId, newId('run')])
        expect(await overHttp(client.call('cancelRun', { ...path(id), body: boundary }))).toEqual(denied);
      expect(await overHttp(client.call('createRun', { body: { prompt: 'x', ...boundary } }))).toEqual(
        denied,
      );
      expect(await overHttp(client.call('listSessions', { query: boundary }))).toEqual(denied);
    }
    // Over NATS the boundary stands in the subject: there the session of another tenant is not there.
    const subject = requestSubject({ tenant: 'other', project: 'main' }, 'runs', 'cancel');
    const request = jsonBytes({ runId, reason: 'x', actor });
    const { body } = await plane.ports.requests.client.request(subject, request, { timeoutMs: 5000 });
    expect(parseJson(body)).toMatchObject({ outcome: 'refused', code: 'RUN_UNKNOWN' });
    expect(await typesOf(plane.ports, runId)).toEqual(['created']);
  });

  test('ER-08 HR-03 a session keeps its agent and provider: another one is schema-invalid, 400', async () => {
    const { sessionId } = await client.call('createRun', { body: { prompt: 'x', provider: 'exec' } });
    const body = { prompt: 'x', session: sessionId, provider: 'claude' } as const;
    const other = { status: 400, kind: 'schema-invalid', code: 'SESSION_OTHER_PROVIDER' };
    expect(await overHttp(client.call('createRun', { body }))).toEqual(other);
    expect(await overHttp(client.call('createTask', { body: { ...body, queue: 'q' } }))).toEqual(other);
    // Its opening is on record: from then on its owner's word is asked.
    await recorded(sessionId);
    const inIt = { sessionId, agent: 'builder-1' };
    const asTask = { ...inIt, provider: 'claude' } as const;
    expect(statusOf(await askForTask(plane.ports, asTask))).toEqual(other);
    expect(await natsSays('runs', 'create', runRequest(asTask))).toEqual(other);
    expect(await askForTask(plane.ports, inIt)).toMatchObject({ outcome: 'ok' });
  });

  test('ER-13 an agent is denied the conversation of another by every way: tenant-policy-denied, 403, and told why', async () => {
    const { sessionId } = await client.call('createRun', { body: { prompt: 'x' } });
    const denied = { status: 403, kind: 'tenant-policy-denied', code: 'SESSION_FOREIGN' };
    const body = { prompt: 'x', session: sessionId, agent: 'builder-2' };
    const refused = client.call('createRun', { body });
    expect(await overHttp(refused)).toEqual(denied);
    await expect(refused).rejects.toThrow(`session ${sessionId} is a conversation of another agent`);
    expect(await overHttp(client.call('createTask', { body: { ...body, queue: 'q' } }))).toEqual(denied);
    await recorded(sessionId);
    const asked = { sessionId, agent: 'builder-2' };
    expect(await natsSays('runs', 'create', runRequest(asked))).toEqual(denied);
    expect(statusOf(await askForTask(plane.ports, asked))).toEqual(denied);
    const run = await createRun(plane.ports);
    const claim = { runId: run, runnerId: 'r1', claimId: 'c1' };
    expect(statusOf(await ask(plane.ports, 'claim', claim, 'builder-2'))).toEqual({
      ...denied,
      code: 'RUN_FOREIGN',
    });
  });

  test('ER-09 an event of no known type is not taken: what a request cannot name is schema-invalid, 400', async () => {
    const runId = await createRun(plane.ports);
    const order = { type: 'dance' } as unknown as { type: 'interrupt' };
    expect(await overHttp(client.call('createCommand', { ...path(runId), body: order }))).toMatchObject({
      status: 400,
      kind: 'schema-invalid',
    });
    expect(await natsSays('runs', 'create-command', { runId, type: 'dance' })).toMatchObject({
      status: 400,
      code: 'REQUEST_INVALID',
    });
  });

  test('ER-11 the repeat of an end gives the record as it is', async () => {
    const runId = await endedRun();
    for (let at = 0; at < 2; at += 1)
      expect(await client.call('cancelRun', { ...path(runId), body: {} })).toMatchObject({
        state: 'cancelled',
      });
    expect(await natsSays('runs', 'cancel', { runId, reason: 'again', actor })).toBeUndefined();
    expect(await typesOf(plane.ports, runId)).toEqual(['created', 'cancelled']);
  });

  test('ER-12 HR-02 HR-05 an unknown agent is 404, also before its stream, and nothing is on record of it', async () => {
    const before = await plane.ports.log('TRANSITIONS').bounds();
    const body = { prompt: 'x', agent: 'nobody' };
    const none = { status: 404, kind: 'schema-invalid', code: 'AGENT_UNKNOWN' };
    expect(await overHttp(client.call('createRun', { body }))).toEqual(none);
    expect(await overHttp(client.call('createTask', { body: { ...body, queue: 'q' } }))).toEqual(none);
    expect(await overHttp(client.stream('streamRun', path('run_none')).next())).toMatchObject({
      status: 404,
    });
    expect(await plane.ports.log('TRANSITIONS').bounds()).toEqual(before);
    // Owners know no roster: what is asked of them over NATS waits until such an agent is set up, and can be cancelled.
    const runId = await createRun(plane.ports, { agent: 'nobody' });
    expect(await natsSays('runs', 'cancel', { runId, reason: 'x', actor })).toBeUndefined();
    expect(await typesOf(plane.ports, runId)).toEqual(['created', 'cancelled']);
    expect(await natsSays('runs', 'cancel', { runId: newId('run'), reason: 'x', actor })).toMatchObject({
      status: 404,
    });
  });

  test('ER-12 HR-42 an answer without a target is 400, and to no approval 404', async () => {
    const runId = await createRun(plane.ports);
    const approvalId = newId('approval');
    const answer = { ...path(approvalId), body: { decision: 'approve' } } as const;
    expect(await overHttp(client.call('answerApproval', answer))).toMatchObject({
      status: 404,
      code: 'APPROVAL_UNKNOWN',
    });
    const asked = { runId, approvalId, answerId: 'a', decision: 'approve', actor };
    expect(await natsSays('runs', 'answer-approval', asked)).toMatchObject({
      status: 404,
      code: 'APPROVAL_UNKNOWN',
    });
    const { approvalId: _approval, ...aimless } = asked;
    expect(await natsSays('runs', 'answer-approval', aimless)).toMatchObject({
      status: 400,
      code: 'REQUEST_INVALID',
    });
  });
});

test('ST-01 ER-10 without its store nothing is taken on and nothing is kept in memory: infra-failed, 503', async () => {
  await using lonely = await freshBroker();
  await provision(lonely);
  await using alone = await startControlPlane({
    broker: lonely,
    services: [gateway],
    config: { gateway: { port: 0, requestTimeoutMs: 200 } },
  });
  const cut = createClient({ url: alone.url(), patience: { attempts: 1 } });
  expect(await overHttp(cut.call('createRun', { body: { prompt: 'x' } }))).toEqual({
    status: 503,
    kind: 'infra-failed',
    code: 'REQUEST_UNANSWERED',
  });
  const asked = await overNats(alone.ports, ['runs', 'create'], runRequest());
  expect(asked).toEqual({ status: 503, kind: 'infra-failed', code: 'REQUEST_UNANSWERED' });
  expect((await cut.call('listRuns', {})).runs).toEqual([]);
});
