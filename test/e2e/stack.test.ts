// The whole stack as `npm start` runs it, from the request to the replay: one stack of real processes for the file, used over the
// command line, HTTP and the streams themselves. How it starts, stops and survives is in stack-life.test.ts.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { projections } from '#services/projections.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { stackLog, type StackLog } from '#test/support/stack-log.ts';
import { api, stackHome, type StackHome, type UpStack } from '#test/support/stack.ts';
import { openStream, sseFrames, wholeStream, type SseFrame } from '#test/support/sse-client.ts';

let home: StackHome;
let stack: UpStack;
let streams: StackLog;

beforeAll(async () => {
  home = await stackHome('stack');
  stack = await home.up([], { FLEETLOG_RUNNER_PROGRAN: 'mistyped' });
  streams = await stackLog(home);
});
afterAll(async () => {
  await streams[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

const script = (...steps: readonly object[]): string => JSON.stringify(steps);

/** Asks for a run and waits for its end. */
const finished = async (json: object): Promise<string> => {
  const { status, body } = await api(stack.apiUrl, '/api/v1/runs', { json });
  expect(status).toBe(202);
  const runId = String(body['runId']);
  await wholeStream(`${stack.apiUrl}/api/v1/runs/${runId}/stream`);
  return runId;
};

test('says where everything is once everything answers', async () => {
  const { ready } = stack;
  expect(ready).toMatchObject({ ready: true, data: home.dataDir, apiUrl: home.connection().apiUrl });
  const mistyped = /FLEETLOG_RUNNER_PROGRAN is ignored; did you mean FLEETLOG_RUNNER_PROGRAM\?/;
  expect(stack.stderr.all.filter((line) => mistyped.test(line))).toHaveLength(1);
  for (const name of ['broker', 'health', 'metrics', 'log', 'workspaces'])
    expect(ready[name], name).toEqual(expect.stringMatching(/./));
  const [control = '', runner = ''] = String(ready['health']).match(/http:\/\/\S+\/readyz/g) ?? [];
  for (const url of [control, runner]) expect((await fetch(url)).status, url).toBe(200);
  expect(await (await fetch(String(ready['metrics']))).text()).toContain('fleetlog_');
  expect((await api(stack.apiUrl, '/api/v1/runs')).body).toMatchObject({ runs: [] });
});

test('a run asked for on the command line edits a repository, commits, and is shown as it goes', async () => {
  const steps = script(
    { write: 'heron.md', content: 'still\n' },
    { append: 'heron.md', content: 'waiting\n' },
    { commit: 'heron: note it' },
    { say: 'noted' },
  );
  const started = await home.cli(
    ['run', 'start', '--workspace', 'pond', '--title', 'Heron', '--watch'],
    steps,
  );
  expect(started.code, started.stderr).toBe(0);
  expect(started.stdout).toMatch(/run\.created[\s\S]*turn\.text\s+noted[\s\S]*run\.completed/);
  const repository = join(home.dataDir, 'workspaces/pond');
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: repository, encoding: 'utf8' }).trim();
  expect(git('log', '--format=%s')).toBe('heron: note it');
  expect(git('status', '--porcelain')).toBe('');
  expect(git('show', 'HEAD:heron.md')).toBe('still\nwaiting');
  const runId = /run_\w+/.exec(started.stdout)?.[0] ?? '';
  const { body } = await api(stack.apiUrl, `/api/v1/runs/${runId}`);
  expect(body).toMatchObject({
    state: 'completed',
    title: 'Heron',
    attempt: 1,
    fence: 1,
    result: { outcome: 'done', exitCode: 0 },
    activity: { tools: 3, filesChanged: 2, lastText: 'noted', refused: 0 },
  });
  const shown = await home.cli(['run', 'show', runId, '--json']);
  expect(shown.json()).toMatchObject({ runId, state: 'completed' });
});

test('ST-49 ST-53 a task added on the command line goes to the runner by itself; lists, queues, cancel and retry show it', async () => {
  const steps = script({ say: 'counted' });
  const added = await home.cli(
    ['task', 'add', '--queue', 'pond', '--title', 'Count', '--meta', 'area=pond', '--json'],
    steps,
  );
  expect(added.code, added.stderr).toBe(0);
  const taskId = String(added.json()['taskId']);
  const found = new AbortController();
  const replay = streams.log('TRANSITIONS').replay({ follow: true, signal: found.signal });
  let endSeq = 0;
  for await (const { seq, subject, headers } of replay) {
    if (!subject.endsWith(taskId) || headers['ce-type'] !== 'fleetlog.task.completed.v1') continue;
    endSeq = seq;
    break;
  }
  found.abort();
  const { body } = await api(stack.apiUrl, `/api/v1/tasks/${taskId}?afterSeq=${endSeq}`);
  expect(body).toMatchObject({
    state: 'completed',
    queue: 'pond',
    metadata: { area: 'pond' },
    attempts: [{ attempt: 1, agent: 'builder-1', outcome: 'completed' }],
  });
  expect((await home.cli(['task', 'show', taskId])).stdout).toMatch(
    /state +completed[\s\S]*ATTEMPT[\s\S]*run_/,
  );
  expect((await home.cli(['task', 'list', '--queue', 'pond'])).stdout).toContain(taskId);
  expect((await home.cli(['task', 'queues'])).stdout).toMatch(/pond +1 +completed 1/);
  const again = await home.cli(['task', 'retry', taskId, '--json']);
  expect([again.code, again.json()]).toMatchObject([1, { error: { code: 'TASK_COMPLETED' } }]);
  const cancelled = await home.cli(['task', 'cancel', taskId, '--json']);
  expect(cancelled.json()).toMatchObject({ taskId, state: 'completed' });
});

test('a task that waits says what it waits for, also where it is behind others', async () => {
  const waiting = ['task', 'add', '--queue', 'later', '--label', 'gpu', '--json'];
  const [first, second] = [await home.cli([...waiting, 'one']), await home.cli([...waiting, 'two'])];
  const [one = '', two = ''] = [first, second].map((made) => String(made.json()['taskId']));
  await api(stack.apiUrl, `/api/v1/tasks/${two}?afterSeq=${String(second.json()['seq'])}`);
  const why = 'no-runner: a runner with provider exec and labels gpu is not there';
  expect((await home.cli(['task', 'show', one])).stdout).toContain(`waits  ${why}`);
  expect((await home.cli(['task', 'show', two])).stdout).toContain(
    `waits  behind ${one}, which waits for ${why}`,
  );
});

test('nobody needs a token here, and the tokens that the stack has made are taken', async () => {
  const asked = async (name: string | undefined, json?: object) => {
    const token = name && readFileSync(join(home.dataDir, 'secrets', name), 'utf8').trim();
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const path = json === undefined ? '/api/v1/runs?limit=1' : '/api/v1/runs';
    return (await api(stack.apiUrl, path, { headers, json })).status;
  };
  expect(await asked(undefined)).toBe(200);
  expect(await asked('api-token')).toBe(200);
  expect(await asked('viewer-token')).toBe(200);
  expect(await asked('viewer-token', { prompt: 'x' })).toBe(403);
});

test('a live stream resumes by Last-Event-ID with nothing missed and nothing twice', async () => {
  const json = { prompt: script({ say: 'one' }, { say: 'two' }, { shell: 'sleep 0.3' }, { say: 'three' }) };
  const { body } = await api(stack.apiUrl, '/api/v1/runs', { json });
  const url = `${stack.apiUrl}/api/v1/runs/${String(body['runId'])}/stream`;
  const seen: SseFrame[] = [];
  const ofLog = (frames: readonly SseFrame[]): string[] =>
    frames.filter(({ event }) => event !== 'live' && event !== 'end').map(({ data }) => String(data['id']));
  let isOver = false;
  while (!isOver) {
    const lastId = seen.at(-1)?.id;
    const headers = lastId === undefined ? {} : { 'last-event-id': lastId };
    let taken = 0;
    for await (const frame of sseFrames(await openStream(url, headers))) {
      seen.push(frame);
      isOver = frame.event === 'end';
      // A reader that goes away after every second message.
      if (++taken === 2) break;
    }
  }
  const whole = ofLog(await wholeStream(url));
  const ids = ofLog(seen);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.toSorted()).toEqual(whole.toSorted());
  expect(whole.length).toBeGreaterThan(8);
});

test('an idempotency key gives one run, however often it is sent', async () => {
  const json = { prompt: script({ say: 'once' }) };
  const headers = { 'idempotency-key': 'monday-1' };
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => api(stack.apiUrl, '/api/v1/runs', { json, headers })),
  );
  expect(new Set(answers.map(({ body }) => body['runId'])).size).toBe(1);
  expect(answers.filter(({ body }) => body['repeated'] === false)).toHaveLength(1);
  await wholeStream(`${stack.apiUrl}/api/v1/runs/${String(answers[0]?.body['runId'])}/stream`);
  const changed = await api(stack.apiUrl, '/api/v1/runs', { json: { prompt: 'other' }, headers });
  expect(changed).toMatchObject({ status: 409, body: { code: 'KEY_CONFLICTING_REQUEST' } });
});

test('tail shows entries as they are appended, and replay gives exactly what the streams hold', async () => {
  const [, lastReport = 0] = await streams.lastSeqs();
  const from = String(lastReport + 1);
  const tail = home.start('services/fleetlog.mjs', ['tail', '--stream', 'EVENTS', '--from', from, '--json']);
  const shown = async (runId: string): Promise<{ readonly data: object }> =>
    JSON.parse(await tail.stdout.until(new RegExp(`turn\\.finished.*${runId}`))) as { data: object };
  await shown(await finished({ prompt: script({ say: 'already there' }) }));
  // It follows by now: what comes next it can only have seen live.
  const runId = await finished({ prompt: script({ say: 'live' }), title: 'Tail' });
  expect((await shown(runId)).data).toMatchObject({ runId, result: { outcome: 'done' } });
  tail.kill('SIGINT');
  expect(await tail.exit).toMatchObject({ code: 0 });

  const reports = await streams.entries('EVENTS');
  const middle = reports[Math.floor(reports.length / 2)]?.seq ?? 0;
  const part = await home.cli([
    'replay',
    '--stream',
    'EVENTS',
    '--from',
    '3',
    '--to',
    String(middle),
    '--json',
  ]);
  const asShown = (entries: typeof reports) =>
    entries.map(({ seq, subject, storedAt, headers, body }) => ({
      stream: 'EVENTS',
      seq,
      subject,
      storedAt,
      headers,
      data: parseJson(body),
    }));
  expect(part.code, part.stderr).toBe(0);
  expect(part.lines()).toEqual(asShown(reports.filter(({ seq }) => seq >= 3 && seq <= middle)));

  const subject = `fleet.*.*.run.*.${runId}`;
  const ofRun = await home.cli(['replay', '--subject', subject, '--from', '1h', '--json']);
  const stored = await streams.entries('TRANSITIONS', { subjects: [subject] });
  expect(ofRun.lines().map(({ seq }) => seq)).toEqual(stored.map(({ seq }) => seq));
  expect(stored).toHaveLength(4);
  const all = await home.cli(['replay', '--json']);
  const counts = await Promise.all(
    ['TRANSITIONS', 'EVENTS', 'COMMANDS'].map(async (name) => (await streams.log(name).bounds()).entries),
  );
  const total = counts.reduce((sum, count) => sum + count, 0);
  expect(all.lines()).toHaveLength(total);

  // A tail that begins earlier shows the past of all streams in that same order before it follows.
  const caughtUp = await home.cli(['tail', '--from', '1h', '--limit', String(total), '--json']);
  expect(caughtUp.code, caughtUp.stderr).toBe(0);
  expect(caughtUp.lines()).toEqual(all.lines());
});

describe('projections', () => {
  test('are equal to the log, also when one is rebuilt while runs go on', async () => {
    const runs = Array.from({ length: 6 }, (_, n) => finished({ prompt: script({ say: `run ${n}` }) }));
    const rebuilt = await home.cli(['projections', 'rebuild', 'runs', '--json']);
    expect(rebuilt.code, rebuilt.stderr).toBe(0);
    expect(rebuilt.json()).toMatchObject({ projection: 'runs' });
    await Promise.all(runs);
    const verified = await home.cli(['verify', '--json']);
    expect(verified.code, verified.stdout).toBe(0);
    expect(verified.json()['verified']).toMatchObject(
      projections.map(({ name }) => ({ projection: name, equal: true })),
    );
  });

  test('a corrupted value is named by verify and mended by a rebuild', async () => {
    const runId = await finished({ prompt: script({ say: 'to be corrupted' }) });
    const bucket = streams.bucket('runs');
    const key = `local.main.${runId}`;
    // The stream of the run ends with the log; its summary follows.
    const value = await vi.waitFor(async () => {
      const found = parseJson((await bucket.get(key))?.value ?? jsonBytes(null)) as object;
      expect(found).toMatchObject({ state: 'completed' });
      return found;
    });
    await bucket.put(key, jsonBytes({ ...value, state: 'failed' }));
    const verified = await home.cli(['verify', 'runs', '--json']);
    expect(verified.code).toBe(1);
    expect(verified.json()['verified']).toMatchObject([
      {
        projection: 'runs',
        equal: false,
        key,
        expected: { state: { state: 'completed' } },
        actual: { state: { state: 'failed' } },
      },
    ]);
    expect((await home.cli(['projections', 'rebuild', 'runs'])).code).toBe(0);
    expect((await home.cli(['verify', 'runs'])).code).toBe(0);
    const { body } = await api(stack.apiUrl, `/api/v1/runs/${runId}`);
    expect(body['state']).toBe('completed');
  });
});

test('provision finds nothing to do, and doctor finds the stack', async () => {
  const [plan, doctor] = await Promise.all([
    home.cli(['provision', '--dry-run', '--json']),
    home.cli(['doctor', '--json']),
  ]);
  expect(plan.code, plan.stderr).toBe(0);
  expect(plan.json()).toMatchObject({ differences: [], steps: [], refused: 0 });
  expect(doctor.code, doctor.stderr).toBe(0);
  expect(doctor.json()).toMatchObject({ isHealthy: true });
  expect(doctor.json()['checks']).toContainEqual(expect.objectContaining({ name: 'stack', status: 'pass' }));
});

test('no secret is in the log file, and the files with secrets are for their owner only', async () => {
  const written = readFileSync(join(home.dataDir, 'fleetlog.log'), 'utf8');
  expect(written).not.toContain(home.connection().natsPassword);
  const modes = execFileSync(
    'find',
    [join(home.dataDir, 'secrets'), join(home.dataDir, 'connection.json'), '-type', 'f', '-perm', '/077'],
    { encoding: 'utf8' },
  );
  expect(modes).toBe('');
});

test('an agent that is added runs beside the stack with its own program, until Ctrl-C', async () => {
  const missing = await home.cli(['runner', 'reviewer-1']);
  expect(missing).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('fleetlog agent add reviewer-1'),
  });
  expect((await home.cli(['agent', 'add', 'reviewer-1'])).code).toBe(0);
  const program = join(home.dataDir, 'reviewer.sh');
  const said = '{"type":"result","outcome":"done","summary":"reviewed"}';
  writeFileSync(program, `#!/bin/sh\ncat >/dev/null\necho '${said}'\n`, { mode: 0o700 });
  const environment = { FLEETLOG_RUNNER_PROGRAM: program };
  const runner = home.start('services/fleetlog.mjs', ['runner', 'reviewer-1', '--json'], environment);
  await runner.stdout.until(/"ready":true/);
  const { code, stderr } = await home.cli(['run', 'start', '--agent', 'reviewer-1', '--watch', 'look at it']);
  expect(stderr).toContain('completed: reviewed');
  expect(code).toBe(0);
  process.kill(-runner.pid, 'SIGINT');
  expect(await runner.exit).toEqual({ code: 0, signal: null });
});
