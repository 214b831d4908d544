// A new agent on a running stack, with no hand work and no restart: added, started by the host of this machine as it is instructed, given
// work, stopped, and known again after the next start.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hostReported, shutDown, spawnAgent } from '#test/support/host-rig.ts';
import { stackLog, type StackLog } from '#test/support/stack-log.ts';
import { stackHome, type StackHome, type UpStack } from '#test/support/stack.ts';

let home: StackHome;
let stack: UpStack;
let streams: StackLog;

beforeAll(async () => {
  home = await stackHome('stack-hosts');
  stack = await home.up();
  streams = await stackLog(home);
});
afterAll(async () => {
  await streams[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

const shownRunners = async (): Promise<unknown> => (await home.cli(['runners', '--json'])).json()['runners'];

test('LC-25 an agent is added while everything runs, started by the host, and announces which start it is', async () => {
  const added = await home.cli(['agent', 'add', 'second', '--json']);
  expect(added.json(), added.stderr).toMatchObject({ user: 'runner-second', repeated: false });
  expect((await home.cli(['agent', 'add', 'second', '--json'])).json()).toMatchObject({ repeated: true });
  const spawn = await spawnAgent(streams, 'second', { host: 'local' });
  await hostReported(streams, 'spawn-started', spawn.spawnId);
  await expect
    .poll(shownRunners, { timeout: 25_000 })
    .toContainEqual(expect.objectContaining({ agent: 'second', spawnId: spawn.spawnId, host: 'local' }));
  const run = await home.cli([
    'run',
    'start',
    'say hello in NOTES.md',
    '--agent',
    'second',
    '--watch',
    '--json',
  ]);
  expect(run.code, run.stderr).toBe(0);
  const versions = (await home.cli(['versions', '--json'])).json();
  expect(versions['runners']).toContainEqual(
    expect.objectContaining({ name: 'second', skew: 'same', host: 'local' }),
  );
  await shutDown(streams, spawn, { timeoutMs: 20_000 });
  await expect(hostReported(streams, 'agent-exited', spawn.spawnId)).resolves.toMatchObject({
    exitCode: 0,
    wasAsked: true,
    wasForced: false,
  });
});

test('an agent that was never added is refused with the remedy, and so is the one that has a runner of its own', async () => {
  const third = await spawnAgent(streams, 'third', { host: 'local' });
  await expect(hostReported(streams, 'spawn-refused', third.spawnId)).resolves.toMatchObject({
    code: 'CREDENTIAL_MISSING',
    message: expect.stringContaining('fleetlog agent add third') as string,
  });
  const own = await spawnAgent(streams, 'builder-1', { host: 'local' });
  await expect(hostReported(streams, 'spawn-refused', own.spawnId)).resolves.toMatchObject({
    code: 'AGENT_RUNNING',
  });
});

test('what a host has started ends with the stack, and the agent is known after the next start', async () => {
  const spawn = await spawnAgent(streams, 'second', { host: 'local' });
  const { pid } = await hostReported(streams, 'spawn-started', spawn.spawnId);
  expect([...home.processes().keys()]).toContain(pid);
  process.kill(-stack.pid, 'SIGINT');
  expect((await stack.exit).code).toBe(0);
  expect([...home.processes().keys()]).toEqual([]);
  stack = await home.up();
  const shown = await home.cli(['host', 'show', 'local', '--json']);
  expect(shown.json(), shown.stderr).toMatchObject({ host: 'local', state: 'online' });
  expect((await home.cli(['runners', '--json'])).json()['agents']).toContain('second');
});
