// The whole stack in containers: it comes up from nothing, does work, loses its broker, a service and a runner in mid-work,
// goes on, and its log tells the story. The tests are one story and run in order.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { composeStack, type ComposeStack } from '#test/support/compose.ts';

let stack: ComposeStack;
let token: string;

beforeAll(async () => {
  stack = await composeStack('fleetlog-test');
  await stack.compose('down', '--volumes', '--remove-orphans');
  await stack.compose('up', '--detach', '--build', '--wait', '--wait-timeout', '300');
  token = (await stack.cli('secrets', 'show', 'api-token')).trim();
});
afterAll(async () => {
  await stack.compose('down', '--volumes', '--remove-orphans');
});

const api = (path: string, init: RequestInit = {}) =>
  fetch(`${stack.apiUrl}${path}`, {
    ...init,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
  });

const startedSchema = z.object({ runId: z.string() });
const runSchema = z.object({ state: z.string(), attempt: z.number() });

/** A run that writes its first step, takes `sleepMs`, and then writes its second. */
const start = async (name: string, sleepMs: number): Promise<string> => {
  const script = [
    { append: 'steps.txt', content: `${name} first\n` },
    { sleepMs },
    { append: 'steps.txt', content: `${name} second\n` },
    { commit: name },
  ];
  const body = JSON.stringify({
    prompt: JSON.stringify(script),
    workspace: name,
    title: name,
    leaseMs: 5000,
  });
  const response = await api('/api/v1/runs', { method: 'POST', body });
  expect(response.status).toBe(202);
  return startedSchema.parse(await response.json()).runId;
};

const read = async (runId: string) => runSchema.parse(await (await api(`/api/v1/runs/${runId}`)).json());

/** Waits until the run is in this state; the services may be away meanwhile. */
const reaches = (runId: string, state: string) =>
  vi.waitFor(async () => expect((await read(runId)).state).toBe(state), { timeout: 120_000, interval: 250 });

const filesOf = (name: string) =>
  stack.compose('exec', '-T', 'runner', 'cat', `/workspaces/${name}/steps.txt`);

test('a run asked for by the command line is done and shown', async () => {
  const lines = (await stack.cli('run', 'start', 'say hello in NOTES.md', '--watch', '--json'))
    .trim()
    .split('\n');
  const types = lines.map((line) => (JSON.parse(line) as { type?: string }).type);
  expect(types).toContain('fleetlog.run.created.v1');
  expect(types.at(-1)).toBe('fleetlog.run.completed.v1');
});

test('the API wants its token, and every port is on loopback', async () => {
  const response = await fetch(`${stack.apiUrl}/api/v1/runs`);
  expect(response.status).toBe(401);
  expect(response.headers.get('content-type')).toContain('application/problem+json');
  const published = await stack.compose('ps', '--format', '{{.Ports}}');
  expect(published).toContain('127.0.0.1:');
  expect(published).not.toMatch(/0\.0\.0\.0:\d+->|\[::\]:\d+->/);
});

test.each(['nats', 'runs', 'identity', 'gateway', 'runner', 'host'])(
  '%s does not run as root',
  async (service) => {
    const uid = await stack.compose(
      'exec',
      '-T',
      service,
      'sh',
      '-c',
      'grep ^Uid: /proc/$(cat /proc/1/task/1/children | cut -d" " -f1)/status',
    );
    expect(uid).toMatch(/^Uid:\s+1000\s/);
  },
);

test('a runner has no access to what is not its own', async () => {
  const attempt = stack.compose(
    'exec',
    '-T',
    '--env',
    'FLEETLOG_API_URL=http://gateway:7710',
    'runner',
    'node',
    'services/fleetlog.mjs',
    'replay',
    '--stream',
    'TRANSITIONS',
    '--json',
  );
  await expect(attempt).rejects.toThrow();
});

test('work goes on when the broker is killed', async () => {
  const runId = await start('broker-crash', 3000);
  await reaches(runId, 'running');
  await stack.crash('nats');
  await vi.waitFor(async () => expect(await stack.restarts('nats')).toBe(1), {
    timeout: 60_000,
    interval: 250,
  });
  await reaches(runId, 'completed');
});

test('work goes on when the owner of the runs is killed', async () => {
  const runId = await start('runs-crash', 2000);
  await reaches(runId, 'running');
  await stack.crash('runs');
  await reaches(runId, 'completed');
  expect(await stack.restarts('runs')).toBe(1);
  expect(await filesOf('runs-crash')).toBe('runs-crash first\nruns-crash second\n');
});

test('a run whose runner is killed is done again', async () => {
  const runId = await start('runner-crash', 3000);
  await reaches(runId, 'running');
  await stack.crash('runner');
  await reaches(runId, 'completed');
  expect((await read(runId)).attempt).toBe(2);
  expect(await filesOf('runner-crash')).toMatch(/runner-crash second\n$/);
});

test('a file of policies is all that it takes: new agents get their passwords and run in the container of the host', async () => {
  const policies = {
    heron: { mode: 'always-on', workspace: 'nest', backoff: { scheduleSeconds: [1], jitter: 0 } },
    gull: { mode: 'on-demand', host: 'local' },
  };
  const applied = await stack.cliWith(JSON.stringify({ policies }), 'policy', 'apply', '-f', '-', '--yes');
  expect(applied).toContain('heron: applied, version 1');
  await vi.waitFor(
    async () => expect(await stack.cli('why', 'heron')).toContain('announced itself from local'),
    {
      timeout: 120_000,
    },
  );
  const run = await stack.cli(
    'run',
    'start',
    'say hello in NOTES.md',
    '--agent',
    'heron',
    '--watch',
    '--json',
  );
  expect(run).toContain('fleetlog.run.completed.v1');
  expect(await stack.cli('why', 'gull')).toContain('stopped');
});

test('the container of a host that is killed starts its agents anew, and a drained one starts none', async () => {
  await stack.crash('host');
  await vi.waitFor(
    async () => expect(await stack.cli('why', 'heron')).toMatch(/failure 1[^]*announced itself from local/),
    { timeout: 120_000 },
  );
  await stack.cli('host', 'drain', 'local');
  await stack.cli('start', 'gull');
  await vi.waitFor(async () => expect(await stack.cli('why', 'gull')).toContain('drain'), {
    timeout: 60_000,
  });
  await stack.cli('policy', 'remove', 'gull');
  await stack.cli('host', 'undrain', 'local');
});

test('programs of agents see no secret of the control plane', async () => {
  for (const service of ['host', 'runner']) {
    const seen = await stack.compose('exec', '-T', service, 'sh', '-c', 'ls /secrets /credentials');
    expect(seen).toContain('runner-heron-password');
    expect(seen).not.toMatch(/control-password|api-token|system-password/);
  }
});

test('the log tells of each run once, and the buckets agree with it', async () => {
  const entries = (await stack.cli('replay', '--stream', 'TRANSITIONS', '--json'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { subject: string; headers: Record<string, string> });
  const ends = entries.filter(({ headers }) =>
    /\.(completed|failed|cancelled)\.v1$/.test(headers['ce-type'] ?? ''),
  );
  expect(ends).toHaveLength(5);
  expect(new Set(ends.map(({ subject }) => subject)).size).toBe(5);
  const verified = z
    .object({ verified: z.array(z.object({ projection: z.string(), equal: z.boolean() })) })
    .parse(JSON.parse(await stack.cli('verify', '--json')));
  expect(verified.verified.length).toBeGreaterThanOrEqual(3);
  expect(verified.verified.filter(({ equal }) => !equal)).toEqual([]);
});

test('what was done is still there after down and up', async () => {
  const before = await stack.cli('run', 'list', '--json');
  await stack.compose('down');
  await stack.compose('up', '--detach', '--wait', '--wait-timeout', '300');
  const ids = (text: string) => z.object({ runs: z.array(startedSchema) }).parse(JSON.parse(text)).runs;
  expect(ids(await stack.cli('run', 'list', '--json'))).toEqual(ids(before));
  // The agent that was added keeps its user at the broker, and runs again.
  await vi.waitFor(async () => expect(await stack.cli('host', 'show', 'local')).toContain('heron'), {
    timeout: 120_000,
  });
});
