// What a run is told while it is under way, with a real runner and a real broker: from the command line through the gateway to the program
// and back into the log.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import { typedFilter } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { gatewayCli } from '#test/support/gateway-cli.ts';
import { LISTENER } from '#test/support/listening-program.ts';
import { createRun, typesOf } from '#test/support/run-facts.ts';
import { AGENT, ended, reported, runnerFolders, script, startRunner } from '#test/support/runner-rig.ts';
import { ask, history, transition } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let plane: ControlPlane;
let runner: ControlPlane;
let cli: ReturnType<typeof gatewayCli>;
const folders = runnerFolders();

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, [AGENT, 'absent']);
  plane = await startControlPlane({
    broker,
    services: [runs, sessions, gateway],
    config: { gateway: { port: 0, agents: [AGENT, 'absent'] } },
  });
  runner = await startRunner({ broker, folders, config: { concurrency: 4 } });
  cli = gatewayCli({ apiUrl: plane.url(), natsUrl: broker.url });
});
afterAll(async () => {
  expect([...plane.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

/** A turn that says a word and then works until it is ended. */
const working = script({ say: 'working' }, { sleepMs: 60_000 });
const isWorking = async (runId: string): Promise<void> => {
  await reported(plane.ports, runId, ({ name, data }) => name === 'text' && 'text' in data);
};
const commandsOf = async (runId: string, seq: number): Promise<readonly Record<string, unknown>[]> => {
  const { body } = await call(`/api/v1/runs/${runId}/commands?afterSeq=${seq}`);
  return body['commands'] as Record<string, unknown>[];
};
const call = async (path: string, body?: unknown, headers: Record<string, string> = {}) => {
  const init: RequestInit =
    body === undefined
      ? {}
      : {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json', ...headers },
        };
  const response = await fetch(`${plane.url()}${path}`, init);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

describe('a further turn', () => {
  test('is done in the same run, after the one before it and before the run completes', async () => {
    const slow = script({ say: 'working' }, { shell: 'until [ -e go ]; do sleep 0.05; done' });
    const runId = await createRun(plane.ports, { request: { ...slow, workspace: 'further' } });
    await isWorking(runId);
    const told = await cli(['run', 'turn', runId, JSON.stringify([{ say: 'two' }]), '--json']);
    expect(told.json()).toMatchObject({ type: 'turn', state: 'pending', commandSeq: 2 });
    writeFileSync(join(folders.workspaceRoot, 'further', 'go'), '');
    const end = await ended(plane.ports, runId);
    expect(end).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 2, result: { outcome: 'done' } });
    const turn = ['claimed', 'turn-started'];
    expect(await typesOf(plane.ports, runId)).toEqual([
      'created',
      ...turn,
      'command-created',
      'turn-finished',
      ...turn,
      'completed',
    ]);
    expect((await commandsOf(runId, end.seq)).map(({ type, state }) => [type, state])).toEqual([
      ['turn', 'completed'],
      ['turn', 'completed'],
    ]);
  });
});

describe('words to a turn', () => {
  test('that its program cannot take are the next turn, with the reason on record', async () => {
    const runId = await createRun(plane.ports, { request: working });
    await isWorking(runId);
    const told = await cli(['run', 'steer', runId, JSON.stringify([{ say: 'steered' }]), '--json']);
    expect(told.json()).toMatchObject({ type: 'steer', state: 'pending' });
    expect(await transition(plane.ports, runId, 'fleetlog.run.command-finished.v1')).toMatchObject({
      state: 'deferred',
      code: 'STEER_UNSUPPORTED',
    });
    await cli(['run', 'interrupt', runId]);
    const end = await ended(plane.ports, runId);
    expect(end).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 2 });
    const [, steer] = await commandsOf(runId, end.seq);
    expect(steer).toMatchObject({ type: 'steer', state: 'completed', code: 'STEER_UNSUPPORTED' });
  });

  test('are done when the program has taken them up; those that it had and did not take up are the next turn', async () => {
    const program = LISTENER;
    const runId = await createRun(plane.ports, {
      request: { prompt: 'listen', program, turnTimeoutMs: 60_000 },
    });
    await isWorking(runId);
    await cli(['run', 'steer', runId, 'this']);
    await cli(['run', 'steer', runId, 'that']);
    const end = await ended(plane.ports, runId);
    expect(end).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 2, result: { summary: 'that' } });
    const finished = (await history(plane.ports, runId)).filter(
      ({ type }) => type === 'fleetlog.run.command-finished.v1',
    );
    expect(finished).toMatchObject([{ state: 'completed' }, { state: 'deferred', code: 'TURN_OVER' }]);
    expect((await commandsOf(runId, end.seq)).map(({ type, state }) => [type, state])).toEqual([
      ['turn', 'completed'],
      ['steer', 'completed'],
      ['steer', 'completed'],
    ]);
  });

  test('that may not wait fail, and the turn goes on', async () => {
    const runId = await createRun(plane.ports, { request: working });
    await isWorking(runId);
    await cli(['run', 'steer', runId, 'now', '--or-fail']);
    const finished = await transition(plane.ports, runId, 'fleetlog.run.command-finished.v1');
    expect(finished).toMatchObject({ state: 'failed', code: 'STEER_UNSUPPORTED' });
    // What is listed is the summary.
    await commandsOf(runId, finished.seq);
    const commands = await cli(['run', 'commands', runId]);
    expect(commands.out).toMatch(/2 +cmd_\w+ +steer +failed .*STEER_UNSUPPORTED now/);
    await cli(['run', 'cancel', runId]);
    expect((await ended(plane.ports, runId)).type).toBe('fleetlog.run.cancelled.v1');
  });
});

describe('an interrupt', () => {
  test('ends the turn and with it the run, where nothing more is to be done', async () => {
    const runId = await createRun(plane.ports, { request: working });
    await isWorking(runId);
    const told = await cli(['run', 'interrupt', runId, '--reason', 'wrong branch']);
    expect(told.out).toMatch(/^cmd_\w+ interrupt is pending; run run_\w+ is running$/);
    expect(await ended(plane.ports, runId)).toMatchObject({
      type: 'fleetlog.run.cancelled.v1',
      reason: 'interrupted: wrong branch',
      result: { outcome: 'cancelled', signal: 'SIGTERM' },
      commandsClosed: [{ state: 'completed' }],
    });
    expect(await typesOf(plane.ports, runId)).toContain('command-acknowledged');
  });

  test('with words goes on with them at once', async () => {
    const runId = await createRun(plane.ports, { request: working });
    await isWorking(runId);
    await cli(['run', 'interrupt', runId, '--then', JSON.stringify([{ say: 'other work' }])]);
    const end = await ended(plane.ports, runId);
    expect(end).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 2, result: { outcome: 'done' } });
  });

  test('needs a turn that runs', async () => {
    const runId = await createRun(plane.ports, { agent: 'absent', request: working });
    expect(await call(`/api/v1/runs/${runId}/interrupt`, {})).toMatchObject({
      status: 409,
      body: { code: 'RUN_NOT_RUNNING' },
    });
  });
});

describe('over HTTP', () => {
  test('WK-53 the same key gives the first command, also after the end; other content is refused', async () => {
    const runId = await createRun(plane.ports, { agent: 'absent', request: working });
    const path = `/api/v1/runs/${runId}/commands`;
    const key = { 'idempotency-key': 'k-1' };
    const first = await call(path, { type: 'turn', text: 'more' }, key);
    expect(first).toMatchObject({
      status: 202,
      body: { commandSeq: 2, repeated: false, runState: 'queued' },
    });
    await call(`/api/v1/runs/${runId}/cancel`, {});
    const again = await call(path, { type: 'turn', text: 'more' }, key);
    expect(again).toMatchObject({ status: 202, body: { commandId: first.body['commandId'] } });
    expect(await call(path, { type: 'turn', text: 'less' }, key)).toMatchObject({ status: 409 });
    expect(await call(path, { type: 'turn', text: 'new' })).toMatchObject({
      status: 409,
      body: { code: 'RUN_CANCELLED' },
    });
  });

  test('what does not go together is refused with its place', async () => {
    const runId = await createRun(plane.ports, { agent: 'absent', request: working });
    const path = `/api/v1/runs/${runId}/commands`;
    for (const [body, at] of [
      [{ type: 'turn' }, 'text'],
      [{ type: 'steer', text: ' ' }, 'text'],
      [{ type: 'turn', text: 'x', reason: 'y' }, 'reason'],
      [{ type: 'turn', text: 'x', otherwise: 'fail' }, 'otherwise'],
      [{ type: 'rewind', text: 'x' }, 'type'],
      [{ type: 'turn', text: 'x', wrong: 1 }, 'wrong'],
    ] as const) {
      const answer = await call(path, body);
      expect([at, answer.status, JSON.stringify(answer.body)]).toEqual([
        at,
        400,
        expect.stringContaining(at),
      ]);
    }
    expect(await call(`${path}/cmd_nothing/cancel`, {})).toMatchObject({
      status: 404,
      body: { code: 'RUN_COMMAND_UNKNOWN' },
    });
    expect(await call('/api/v1/runs/run_nothing/commands', { type: 'turn', text: 'x' })).toMatchObject({
      status: 404,
    });
  });

  test('ST-20 the commands come in pages by number, and what nobody was told of is taken back', async () => {
    const runId = await createRun(plane.ports, { agent: 'absent', request: working });
    const path = `/api/v1/runs/${runId}/commands`;
    let seq = 0;
    let commandId = '';
    for (const text of ['a', 'b', 'c'])
      ({ seq, commandId } = (await call(path, { type: 'turn', text })).body as {
        seq: number;
        commandId: string;
      });
    const page = await call(`${path}?limit=2&afterSeq=${seq}`);
    expect(page.body).toMatchObject({ next: 2, commands: [{ seq: 1 }, { seq: 2, text: 'a' }] });
    expect((await call(`${path}?after=2`)).body).toMatchObject({
      next: null,
      commands: [{ seq: 3 }, { seq: 4 }],
    });
    expect((await call(`${path}?limit=some`)).status).toBe(400);
    const back = await cli(['run', 'take-back', runId, commandId]);
    expect(back.out).toContain('turn is cancelled');
    const first = (page.body['commands'] as { commandId: string }[])[0]?.commandId ?? '';
    expect(await call(`${path}/${first}/cancel`, {})).toMatchObject({
      status: 409,
      body: { code: 'RUN_COMMAND_UNDER_WAY' },
    });
  });
});

describe('once more', () => {
  test('an ended run is done again as a new run of its session, which names it', async () => {
    const waiting = await createRun(plane.ports, { agent: 'absent', request: working });
    expect((await cli(['run', 'retry', waiting, '--json'])).code).not.toBe(0);
    const runId = await createRun(plane.ports, { request: script({ say: 'hello' }) });
    await ended(plane.ports, runId);
    const key = ['--idempotency-key', `again-${runId}`];
    const again = (await cli(['run', 'retry', runId, '--fresh', ...key, '--json'])).json();
    expect(again).toMatchObject({ retryOf: runId, repeated: false });
    expect((await cli(['run', 'retry', runId, '--fresh', ...key, '--json'])).json()['runId']).toBe(
      again['runId'],
    );
    const [created] = await history(plane.ports, String(again['runId']));
    const [first] = await history(plane.ports, runId);
    expect(created).toMatchObject({
      retryOf: runId,
      sessionId: first?.sessionId,
      request: { ...script({ say: 'hello' }), conversation: 'new' },
    });
    expect((await ended(plane.ports, String(again['runId']))).type).toBe('fleetlog.run.completed.v1');
  });
});

describe('unstick', () => {
  const instructions = async (runId: string): Promise<number> => {
    let count = 0;
    const subjects = [typedFilter('cmd', { ...BOUNDARY, type: 'turn' })];
    for await (const entry of plane.ports.log('COMMANDS').replay({ subjects })) {
      const reading = decodeInstruction(entry);
      if (reading.kind === 'known' && 'runId' in reading.data && reading.data.runId === runId) count += 1;
    }
    return count;
  };

  test('says that no runner is there, and that there is nothing safe to do', async () => {
    const runId = await createRun(plane.ports, { agent: 'absent', request: working });
    await expect.poll(() => instructions(runId)).toBe(1);
    const said = await cli(['unstick', runId]);
    expect(said.out).toContain(`${runId} is queued, waits for: no-runner`);
    expect(said.out).toContain('No runner of absent is heard of: start one');
    const tried = await cli(['unstick', runId, '--fix', '--json']);
    expect([tried.code, tried.json()['fixed']]).toEqual([1, false]);
  });

  test('tells an agent again whose runner is there and has not begun', async () => {
    const runId = await createRun(plane.ports, { agent: 'absent', request: working });
    await expect.poll(() => instructions(runId)).toBe(1);
    const facts = {
      runnerId: 'r1',
      providers: ['exec' as const],
      version: '1',
      startedAt: 0,
      buffered: 0,
      ttlMs: 60_000,
    };
    await ask(plane.ports, 'announce', facts, 'absent');
    const fixed = await cli(['unstick', runId, '--fix', '--json']);
    expect(fixed.json()).toMatchObject({ waitsFor: 'runner', fixed: true });
    expect(await instructions(runId)).toBe(2);
  });

  test('says what a run that works waits for, and that an ended one waits for nothing', async () => {
    const runId = await createRun(plane.ports, { request: working });
    await isWorking(runId);
    expect((await cli(['unstick', runId, '--json'])).json()).toMatchObject({
      state: 'running',
      waitsFor: 'program',
    });
    await cli(['run', 'cancel', runId]);
    await ended(plane.ports, runId);
    expect((await cli(['unstick', runId, '--json'])).json()).toMatchObject({ waitsFor: 'nothing' });
  });
});
