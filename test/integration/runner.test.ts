// A real runner and the real control plane on a real broker: runs of real programs from request to result.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { presenceKey } from '#streams/buckets.ts';
import { INLINE_BODY_LIMIT_BYTES } from '#streams/envelope.ts';
import { parseJson } from '#streams/entry.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun, typesOf } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  reported,
  reportsOf,
  runnerFolders,
  script,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';
import { ask } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs, sessions] });
  folders = runnerFolders();
  runner = await startRunner({ broker, folders, config: { concurrency: 4 } });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

describe('a run', () => {
  test('is done by the sample agent in a git repository, and every step of it is reported in order', async () => {
    const request = script(
      { say: 'I begin.' },
      { write: 'src/hello.txt', content: 'hello\n' },
      { replace: 'src/hello.txt', from: 'hello', to: 'good morning' },
      { shell: 'cat src/hello.txt' },
      { commit: 'Greet' },
    );
    const runId = await createRun(control.ports, { request: { ...request, workspace: 'greeting' } });
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.completed.v1',
      fence: 1,
      result: { outcome: 'done', exitCode: 0, summary: /^4 steps done; .* Greet$/ },
    });
    const reports = await reportsOf(control.ports, runId);
    const change = 'tool-started file-changed tool-finished';
    const tool = 'tool-started tool-finished';
    expect(reports.map(({ name }) => name).join(' ')).toBe(
      `turn-started prompt-echoed text ${change} ${change} ${tool} ${tool} usage insight turn-finished`,
    );
    const workspace = join(folders.workspaceRoot, 'greeting');
    expect(readFileSync(join(workspace, 'src/hello.txt'), 'utf8')).toBe('good morning\n');
    expect(execFileSync('git', ['log', '--format=%s'], { cwd: workspace, encoding: 'utf8' })).toBe('Greet\n');
    expect(await typesOf(control.ports, runId)).toEqual(['created', 'claimed', 'turn-started', 'completed']);
  });

  test('ST-24 carries its fence, its correlation and a gapless number in every report', async () => {
    const runId = await createRun(control.ports, { request: script({ say: 'one' }, { think: 'two' }) });
    await ended(control.ports, runId);
    const everything = await reportsOf(control.ports);
    const numbers = everything.map(({ sourceSeq }) => sourceSeq).filter((seq) => seq !== undefined);
    expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((_, at) => at + 1));
    for (const { entry } of await reportsOf(control.ports, runId))
      expect(entry.headers).toMatchObject({
        'Fleet-Fence': '1',
        'Fleet-Correlation': runId,
        'Fleet-Actor': `agent:${AGENT}`,
        'ce-source': `/runner/${AGENT}`,
      });
  });

  test('ST-24 says nothing of a secret, on disk or in the log', async () => {
    const secret = `ghp_${'A1b2C3d4E5f6'.repeat(3)}`;
    const steps = script(
      { say: `token ${secret}` },
      { complain: `password=${secret}` },
      { fail: `no ${secret}` },
    );
    const runId = await createRun(control.ports, { request: steps });
    await ended(control.ports, runId);
    for (const { entry } of await reportsOf(control.ports, runId))
      expect(Buffer.from(entry.body).toString()).not.toContain(secret);
    const files = readdirSync(folders.dataDir, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => readFileSync(join(folders.dataDir, name), 'latin1'));
    expect(files.length).toBeGreaterThan(0);
    for (const content of files) expect(content).not.toContain(secret);
  });

  test('that fails says why', async () => {
    const runId = await createRun(control.ports, {
      request: script({ say: 'trying' }, { fail: 'cannot do it' }),
    });
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.failed.v1',
      failure: { kind: 'provider-failed', message: 'cannot do it' },
    });
  });

  test('WK-19 whose program cannot be started ends as failed, with no turn-started', async () => {
    const request = { ...script(), program: ['/nowhere/agent'] };
    const runId = await createRun(control.ports, { request });
    expect(await ended(control.ports, runId)).toMatchObject({ failure: { kind: 'infra-failed' } });
    expect((await reportsOf(control.ports, runId)).map(({ name }) => name)).toEqual(['turn-finished']);
  });

  test('whose body is too large is reported with an excerpt, and the whole is in the object store', async () => {
    const runId = await createRun(control.ports, {
      request: {
        ...script(),
        program: [
          'sh',
          '-c',
          `printf '{"type":"text","text":"'; yes 'long' | head -n 80000 | tr '\\n' ' '; printf '"}\\n{"type":"result","outcome":"done"}\\n'`,
        ],
      },
    });
    await ended(control.ports, runId);
    const big = (await reportsOf(control.ports, runId)).find(({ name }) => name === 'text');
    expect(big?.entry.body.byteLength).toBeLessThan(INLINE_BODY_LIMIT_BYTES);
    const digest = big?.entry.headers['ce-dataref']?.replace('blob:', '') ?? '';
    const whole = parseJson((await control.ports.blobs.get(digest)) ?? new Uint8Array());
    expect(whole).toMatchObject({ runId, text: expect.stringMatching(/^(long ){80000}$/) });
  });
});

describe('cancelling', () => {
  test('ends the program at once, and the run is cancelled', async () => {
    const runId = await createRun(control.ports, {
      request: script({ say: 'working' }, { sleepMs: 600_000 }),
    });
    await reported(control.ports, runId, ({ name }) => name === 'text');
    await ask(control.ports, 'cancel', { runId, reason: 'changed my mind', actor: 'user:test' });
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.cancelled.v1',
      reason: 'changed my mind',
      result: { outcome: 'cancelled', signal: 'SIGTERM' },
    });
  });

  test('also ends one that ignores SIGTERM', async () => {
    const steps = script({ ignoreTerm: true }, { say: 'deaf' }, { sleepMs: 600_000 });
    const runId = await createRun(control.ports, { request: steps });
    await reported(control.ports, runId, ({ name }) => name === 'text');
    await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await ended(control.ports, runId)).toMatchObject({
      result: { outcome: 'cancelled', signal: 'SIGKILL' },
    });
  });
});

describe('a workspace', () => {
  test('that is a symbolic link is refused, and the run says so', async () => {
    mkdirSync(folders.workspaceRoot, { recursive: true });
    symlinkSync(tmpdir(), join(folders.workspaceRoot, 'outside'));
    const runId = await createRun(control.ports, {
      request: { ...script({ say: 'no' }), workspace: 'outside' },
    });
    expect(await ended(control.ports, runId)).toMatchObject({
      failure: { kind: 'infra-failed', message: /outside is not a folder of its own/ },
    });
  });

  test('has one turn at a time; others go on beside it', async () => {
    const holder = {
      ...script({ say: 'mine' }, { shell: 'until [ -e go ]; do sleep 0.02; done' }),
      workspace: 'one',
    };
    const first = await createRun(control.ports, { request: holder });
    await reported(control.ports, first, ({ name }) => name === 'text');
    const second = await createRun(control.ports, {
      request: { ...script({ say: 'then me' }), workspace: 'one' },
    });
    const beside = await createRun(control.ports, {
      request: { ...script({ shell: 'touch ../one/go' }), workspace: 'two' },
    });
    await Promise.all([first, second, beside].map((runId) => ended(control.ports, runId)));
    const order = (await reportsOf(control.ports))
      .filter(({ name }) => name === 'turn-started' || name === 'turn-finished')
      .map(({ name, data }) => [name, 'runId' in data ? data.runId : ''])
      .filter(([, runId]) => runId === first || runId === second);
    expect(order).toEqual([
      ['turn-started', first],
      ['turn-finished', first],
      ['turn-started', second],
      ['turn-finished', second],
    ]);
  });
});

test('the runner says that it is alive', async () => {
  const entry = await control.ports.bucket('presence').get(presenceKey(BOUNDARY, AGENT));
  expect(parseJson(entry?.value ?? new Uint8Array())).toMatchObject({
    agent: AGENT,
    providers: expect.arrayContaining(['exec']),
    runnerId: expect.stringMatching(/^builder-1-/),
  });
});
