// The life of a stack: it starts once on a data directory, drains at Ctrl-C and leaves nothing running, goes on where it was, and gets
// over the death of its broker.
import { createServer, type AddressInfo } from 'node:net';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stackLog } from '#test/support/stack-log.ts';
import { api, stackHome, type StackHome, type UpStack } from '#test/support/stack.ts';
import { openStream, sseFrames, wholeStream } from '#test/support/sse-client.ts';

const newHome = async (): Promise<StackHome> => {
  const home = await stackHome('life');
  onTestFinished(() => home[Symbol.asyncDispose]());
  return home;
};

/** Programs get little time at the end: nothing here is to wait for. */
const HASTE = { FLEETLOG_RUNNER_FINISH_MS: '200', FLEETLOG_RUNNER_KILL_AFTER_MS: '200' };

const script = (...steps: readonly object[]): string => JSON.stringify(steps);

const startRun = async ({ apiUrl }: UpStack, json: object): Promise<{ runId: string; url: string }> => {
  const { status, body } = await api(apiUrl, '/api/v1/runs', { json });
  expect(status).toBe(202);
  const runId = String(body['runId']);
  return { runId, url: `${apiUrl}/api/v1/runs/${runId}/stream` };
};

/** Resolves when the run has said something. */
const hasSaid = async (url: string, text: string): Promise<void> => {
  for await (const { data } of sseFrames(await openStream(url)))
    if (JSON.stringify(data).includes(`"text":"${text}"`)) return;
};

test('Ctrl-C drains, ends with 0 and leaves no process, and the next start goes on with the same data', async () => {
  const home = await newHome();
  const first = await home.up([], HASTE);
  const done = await startRun(first, { prompt: script({ say: 'done before' }) });
  await wholeStream(done.url);
  // A program that would run on for ever, and does not end when it is asked to.
  const { runId, url } = await startRun(first, {
    prompt: script({ ignoreTerm: true }, { say: 'here' }, { shell: 'sleep 600' }, { sleepMs: 600_000 }),
  });
  await hasSaid(url, 'here');
  // As a terminal does: the whole process group hears it.
  process.kill(-first.pid, 'SIGINT');
  expect(await first.exit).toEqual({ code: 0, signal: null });
  expect([...home.processes().values()]).toEqual([]);
  expect(existsSync(join(home.dataDir, 'connection.json'))).toBe(false);

  const second = await home.up([], HASTE);
  const { body } = await api(second.apiUrl, '/api/v1/runs');
  expect((body['runs'] as { runId: string }[]).map((run) => run.runId).toSorted()).toEqual(
    [done.runId, runId].toSorted(),
  );
  // It was lost on the way out, and is tried again.
  const again = expect.objectContaining({ state: 'running', attempt: 2, fence: 2 }) as unknown;
  await expect
    .poll(async () => (await api(second.apiUrl, `/api/v1/runs/${runId}`)).body, { timeout: 10_000 })
    .toEqual(again);
  const cancelled = await api(second.apiUrl, `/api/v1/runs/${runId}/cancel`, { json: {} });
  expect(cancelled.body).toMatchObject({ state: 'cancelling' });
  await wholeStream(`${second.apiUrl}/api/v1/runs/${runId}/stream`);
  await wholeStream((await startRun(second, { prompt: script({ say: 'after' }) })).url);
  expect((await home.cli(['verify'])).code).toBe(0);
  const warnings = readFileSync(join(home.dataDir, 'fleetlog.log'), 'utf8')
    .split('\n')
    .filter((line) => /"level":"(?:error|fatal)"|unknown variable/.test(line));
  expect(warnings).toEqual([]);
  second.kill('SIGTERM');
  expect(await second.exit).toEqual({ code: 0, signal: null });
  expect([...home.processes().values()]).toEqual([]);
});

test('a second stack on the same data directory, or on a port that is in use, is refused and says so', async () => {
  const home = await newHome();
  const first = await home.up([], HASTE);
  const again = home.start('services/fleetlog.mjs', ['up', '--json', '--port', '0', '--data', home.dataDir]);
  expect(await again.exit).toMatchObject({ code: 1 });
  expect(again.stdout.all.map((line) => JSON.parse(line) as unknown)).toEqual([
    {
      error: expect.objectContaining({
        code: 'BROKER_DATA_DIR_IN_USE',
        message: expect.stringMatching(/is in use by process \d+/) as unknown,
      }) as unknown,
    },
  ]);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', () => resolve()));
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const elsewhere = join(home.dataDir, 'elsewhere');
  const other = home.start('services/fleetlog.mjs', ['up', '--port', String(port), '--data', elsewhere]);
  expect(await other.exit).toMatchObject({ code: 1 });
  expect(other.stderr.all.join('\n')).toContain(`error PORT_IN_USE: port ${port} is in use`);
  // The one that was first has felt nothing of it.
  await wholeStream((await startRun(first, { prompt: script({ say: 'still here' }) })).url);
  expect((await home.cli(['run', 'list'])).code).toBe(0);
});

test('a broker that is killed is started again, and a run in flight completes', async () => {
  const home = await newHome();
  const stack = await home.up([], HASTE);
  const go = join(home.dataDir, 'workspaces/waiting/go');
  const json = {
    workspace: 'waiting',
    prompt: script({ say: 'waiting' }, { shell: 'until [ -e go ]; do sleep 0.02; done' }, { say: 'went on' }),
  };
  const { runId, url } = await startRun(stack, json);
  await hasSaid(url, 'waiting');
  const broker = home.pidOf(/nats-server/);
  process.kill(broker, 'SIGKILL');
  await stack.stderr.until(/the broker is back/);
  expect(home.pidOf(/nats-server/)).not.toBe(broker);
  writeFileSync(go, '');
  const last = (await wholeStream(url)).findLast(({ event }) => event === 'transition');
  // The stream is ahead of the summary.
  const { body } = await api(stack.apiUrl, `/api/v1/runs/${runId}?afterSeq=${String(last?.data['seq'])}`);
  expect(body).toMatchObject({ state: 'completed', fence: 1, activity: { lastText: 'went on' } });
  await using streams = await stackLog(home);
  expect(await streams.entries('TRANSITIONS', { subjects: [`fleet.*.*.run.*.${runId}`] })).toHaveLength(4);
  expect((await home.cli(['verify'])).code).toBe(0);
});
