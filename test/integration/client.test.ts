// The client against a real gateway: typed calls, pages, streams, problems; as a program of somebody else's; and what it tries again.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createClient, problemIn, type Client } from '#services/client/client.ts';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { API } from '#streams/http/api.ts';
import type { ApiRoute } from '#streams/http/route.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { transition } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let plane: ControlPlane;
let client: Client;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  plane = await startControlPlane({
    broker,
    services: [runs, tasks, sessions, gateway],
    config: { gateway: { port: 0, heartbeatMs: 200, agents: ['builder-1', 'builder-2'] } },
  });
  client = createClient({ url: plane.url() });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

describe('against a gateway', () => {
  test('asks with types and gets checked answers; a repeated key is one piece of work', async () => {
    const asked = { body: { prompt: 'x', title: 'Typed' }, idempotencyKey: 'typed-1' };
    const { runId, seq, repeated } = await client.call('createRun', asked);
    expect([repeated, (await client.call('createRun', asked)).repeated]).toEqual([false, true]);
    const run = await client.call('getRun', { path: { id: runId }, query: { afterSeq: seq } });
    expect(run).toMatchObject({ runId, state: 'queued', title: 'Typed', activity: null });
    const { state } = await client.call('cancelRun', { path: { id: runId }, body: { reason: 'enough' } });
    expect(state).toBe('cancelled');
  });

  test('every list and summary that needs no id answers as it is declared', async () => {
    const plain = Object.entries<ApiRoute>(API).filter(
      ([, { method, path, media }]) => method === 'GET' && media === undefined && !path.includes(':'),
    );
    expect(plain.length).toBeGreaterThan(10);
    for (const [name] of plain)
      expect([name, typeof (await client.call(name as 'listRuns', {}))]).toEqual([name, 'object']);
  });

  test('goes through the pages of lists, of changes and of a record, each item once', async () => {
    const made: string[] = [];
    for (let at = 0; at < 5; at += 1)
      made.push((await client.call('createTask', { body: { queue: 'paged', prompt: 'x' } })).taskId);
    const last = await client.call('createTask', { body: { queue: 'paged', prompt: 'x' } });
    await client.call('getTask', { path: { id: last.taskId }, query: { afterSeq: last.seq } });
    const all = [...made, last.taskId];
    const listed: string[] = [];
    for await (const { taskId } of client.items('listTasks', 'tasks', {
      query: { queue: 'paged', limit: 2 },
    }))
      listed.push(taskId);
    expect(listed).toEqual(all);
    const changed: string[] = [];
    for await (const { taskId } of client.items('listTaskChanges', 'tasks', {
      query: { queue: 'paged', limit: 4, afterSeq: last.seq },
    }))
      changed.push(taskId);
    expect(changed).toEqual(all);
    const { runId } = await client.call('createRun', { body: { prompt: 'x' } });
    await client.call('cancelRun', { path: { id: runId }, body: {} });
    const types: unknown[] = [];
    for await (const item of client.items('listRunEvents', 'events', {
      path: { id: runId },
      query: { limit: 1 },
    }))
      types.push(item['type']);
    expect(types).toEqual(expect.arrayContaining(['fleetlog.run.created.v1', 'fleetlog.run.cancelled.v1']));
    expect(new Set(types).size).toBe(types.length);
  });

  test('follows a run to its end, and goes on after an event it is given', async () => {
    const { runId } = await client.call('createRun', { body: { prompt: 'x' } });
    const seen: (readonly [string | undefined, unknown])[] = [];
    for await (const { id, event, data } of client.stream('streamRun', { path: { id: runId } })) {
      if (event !== 'transition') continue;
      seen.push([id, data['type']]);
      if (seen.length === 1) await client.call('cancelRun', { path: { id: runId }, body: {} });
    }
    expect(seen.map(([, type]) => type)).toEqual(['fleetlog.run.created.v1', 'fleetlog.run.cancelled.v1']);
    const rest: unknown[] = [];
    const lastEventId = seen[0]?.[0];
    for await (const { event, data } of client.stream('streamRun', { path: { id: runId }, lastEventId }))
      if (event === 'transition') rest.push(data['type']);
    expect(rest).toEqual(['fleetlog.run.cancelled.v1']);
  });

  test('a refusal is a problem with its code, place and request id, and is not tried again', async () => {
    // @ts-expect-error -- the types say so, too
    const wrong = client.call('createRun', { body: { prompt: '', agnt: 'x' } });
    const problem = await wrong.catch(problemIn);
    expect(problem).toMatchObject({
      status: 400,
      code: 'INPUT_INVALID',
      kind: 'schema-invalid',
      retry: 'never',
    });
    expect(problem).toMatchObject({
      errors: expect.arrayContaining([{ path: 'agnt', message: 'unknown field' }]),
    });
    expect(problem).toMatchObject({ requestId: expect.stringMatching(/^req_/) });
    expect(await client.call('getRun', { path: { id: 'run_none' } }).catch(problemIn)).toMatchObject({
      status: 404,
      code: 'RUN_UNKNOWN',
    });
    const stream = client.stream('streamRun', { path: { id: 'run_none' } });
    expect(await stream.next().catch(problemIn)).toMatchObject({ code: 'RUN_UNKNOWN' });
  });

  test('a program of somebody else imports it from the package', async () => {
    await using folder = await checkoutUser();
    const pending = promisify(execFile)(
      join(process.cwd(), 'node_modules/.bin/node'),
      [join(folder.path, 'ask.mjs'), 'from outside'],
      { env: { FLEETLOG_API_URL: plane.url(), NODE_NO_WARNINGS: '1' } },
    );
    // Nobody does the work here: it is cancelled as soon as it is seen.
    let runId: string | undefined;
    await expect
      .poll(
        async () => {
          for await (const run of client.items('listRuns', 'runs', {}))
            if (run.title === 'from outside') runId = run.runId;
          return runId;
        },
        { timeout: 20_000 },
      )
      .toBeDefined();
    await client.call('cancelRun', { path: { id: runId ?? '' }, body: { reason: 'seen' } });
    const { stdout } = await pending;
    expect(stdout).toContain('transition fleetlog.run.created.v1');
    expect(stdout).toContain(`${runId ?? ''} cancelled: seen`);
    expect(stdout).toContain('listed 1 time(s)');
  });
});

test('HR-03 HR-04 the agent that nobody names is the configured first, and the first event says what was asked for', async () => {
  const { runId } = await client.call('createRun', { body: { prompt: 'say hello' } });
  expect(await transition(plane.ports, runId, 'fleetlog.run.created.v1')).toMatchObject({
    agent: 'builder-1',
    provider: 'exec',
    request: { prompt: 'say hello' },
    startedBy: 'user:api',
  });
});

test('HR-03 a conversation that is gone on with keeps its agent and provider where none is named', async () => {
  const asked = { prompt: 'x', agent: 'builder-2', provider: 'claude' } as const;
  const { sessionId } = await client.call('createRun', { body: asked });
  const { runId } = await client.call('createRun', { body: { prompt: 'y', session: sessionId } });
  expect(await transition(plane.ports, runId, 'fleetlog.run.created.v1')).toMatchObject({
    sessionId,
    agent: 'builder-2',
    provider: 'claude',
  });
});

test('ST-04 ids say by their prefix what they are of, in every answer', async () => {
  const run = await client.call('createRun', { body: { prompt: 'x' } });
  const { taskId } = await client.call('createTask', { body: { queue: 'q', prompt: 'x' } });
  const ulid = '[0-7][0-9A-HJKMNP-TV-Z]{25}';
  expect([run.runId, run.sessionId, taskId].join(' ')).toMatch(
    new RegExp(`^run_${ulid} ses_${ulid} tsk_${ulid}$`),
  );
  const { turnCommandId } = await client.call('listCommands', { path: { id: run.runId } });
  expect(turnCommandId).toMatch(new RegExp(`^cmd_${ulid}$`));
});

/** A folder with the package as `npm install <checkout>` leaves it, and the example. */
const checkoutUser = async () => {
  const path = await mkdtemp(join(tmpdir(), 'fleetlog-client-'));
  await mkdir(join(path, 'node_modules'));
  await symlink(process.cwd(), join(path, 'node_modules/fleetlog'));
  await writeFile(join(path, 'ask.mjs'), await readFile('services/client/example/ask.mjs', 'utf8'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
};

/** A gateway that answers as the test says, one answer after another. */
const scripted = async (...answers: ((response: ServerResponse) => void)[]) => {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    const answer = answers[Math.min(seen.length, answers.length) - 1];
    request.resume();
    request.on('end', () => answer?.(response));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
};
const busy =
  (status: number, retryAfter?: string) =>
  (response: ServerResponse): void => {
    response.writeHead(status, retryAfter === undefined ? {} : { 'retry-after': retryAfter });
    response.end(JSON.stringify({ code: 'REQUESTS_TOO_MANY', kind: 'rate-limited' }));
  };
const well = (response: ServerResponse): void => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ ok: true }));
};
const dead = (response: ServerResponse): void => void response.destroy();

describe('what is tried again', () => {
  /** Its time passes at once; what it paused is counted. */
  const hurried = () => {
    const pauses: number[] = [];
    const clock = createManualClock();
    return { pauses, clock: { ...clock, sleep: async (ms: number) => void pauses.push(ms) } };
  };

  test('429, 503 and a broken connection are, after the pause that was named, and a POST keeps its key', async () => {
    await using server = await scripted(busy(429, '7'), busy(503, '1'), dead, well);
    const { pauses, clock } = hurried();
    const one = createClient({ url: server.url, clock });
    expect(await one.request({ method: 'POST', path: '/x', body: {}, idempotencyKey: 'k' })).toEqual({
      ok: true,
    });
    expect(pauses).toEqual([7000, 1000, expect.any(Number)]);
    expect(server.seen.map(({ headers }) => headers['idempotency-key'])).toEqual(['k', 'k', 'k', 'k']);
  });

  test('a POST without a key is not, nor what asks for too long a pause, nor for ever', async () => {
    await using server = await scripted(busy(503, '1'));
    const { pauses, clock } = hurried();
    const one = createClient({ url: server.url, clock, patience: { attempts: 3, maxPauseMs: 5000 } });
    await expect(one.request({ method: 'POST', path: '/x', body: {} })).rejects.toMatchObject({
      status: 503,
    });
    expect(server.seen.length).toBe(1);
    await expect(one.request({ method: 'GET', path: '/x' })).rejects.toMatchObject({
      status: 503,
      retry: 'later',
    });
    expect([server.seen.length, pauses.length]).toEqual([4, 2]);
    await using slow = await scripted(busy(429, '3600'));
    const two = createClient({ url: slow.url, clock });
    await expect(two.request({ method: 'GET', path: '/x' })).rejects.toMatchObject({
      code: 'REQUESTS_TOO_MANY',
    });
    expect(slow.seen.length).toBe(1);
  });

  test('nobody there, and an answer of something else, are told apart', async () => {
    await using server = await scripted((response) => void response.end('<html>'));
    const { clock } = hurried();
    const gone = createClient({ url: 'http://127.0.0.1:1', clock, patience: { attempts: 2 } });
    await expect(gone.call('health', {})).rejects.toMatchObject({ code: 'API_UNREACHABLE', retry: 'later' });
    const odd = createClient({ url: server.url, clock });
    await expect(odd.call('health', {})).rejects.toMatchObject({ code: 'API_ANSWER_INVALID' });
  });
});
