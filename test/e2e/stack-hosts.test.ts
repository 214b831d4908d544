// A new agent on a running stack, with no hand work and no restart: added, started by the host of this machine as it is instructed, given
// work, stopped, and known again after the next start.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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

/** Each command is a process, and a runner takes seconds to start on a busy machine. */
const PATIENT = { timeout: 120_000 };

test(
  'LC-25 an agent is added while everything runs, started by the host, and announces which start it is',
  PATIENT,
  async () => {
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
  },
);

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

/** The runners that the host of this machine says it has. */
const hostRunners = async (): Promise<readonly { readonly agent: string; readonly pid: number }[]> =>
  ((await home.cli(['host', 'show', 'local', '--json'])).json()['presence'] as ShownPresence).runners;
interface ShownPresence {
  readonly runners: readonly { readonly agent: string; readonly pid: number }[];
}

test(
  'LC-T1 LC-T13 LC-T14 a file of policies is all that it takes: its agent is added, started, back after a kill and with the next start of the stack, and ended with its policy',
  PATIENT,
  async () => {
    const file = join(home.dataDir, 'policies.yaml');
    const policy = '{ mode: always-on, host: local, backoff: { scheduleSeconds: [1], jitter: 0 } }';
    await writeFile(file, `policies:\n  heron: ${policy}\n`);
    const applied = await home.cli(['policy', 'apply', '-f', file, '--yes']);
    expect(applied.code, applied.stderr).toBe(0);
    expect(applied.stderr).toContain('agent heron is added');
    const why = async (): Promise<string> => (await home.cli(['why', 'heron'])).stdout;
    await expect.poll(why, { timeout: 25_000 }).toContain('announced itself from local');
    await expect.poll(hostRunners, { timeout: 25_000 }).toHaveLength(1);
    const pid = (await hostRunners())[0]?.pid ?? 0;
    process.kill(pid, 'SIGKILL');
    await expect.poll(why, { timeout: 25_000 }).toMatch(/failure 1 in a row[^]*announced itself from local/);
    const [running] = await hostRunners();
    process.kill(-stack.pid, 'SIGINT');
    expect((await stack.exit).code).toBe(0);
    expect(running?.pid).toBeGreaterThan(0);
    expect([...home.processes().keys()]).toEqual([]);
    stack = await home.up();
    const shown = await home.cli(['host', 'show', 'local', '--json']);
    expect(shown.json(), shown.stderr).toMatchObject({ host: 'local', state: 'online' });
    expect((await home.cli(['runners', '--json'])).json()['agents']).toContain('second');
    // The end of the stack is no failure of its agents.
    await expect
      .poll(why, { timeout: 25_000 })
      .toMatch(/its host was stopped[^]*announced itself from local/);
    expect(await why()).not.toContain('failure 2');
    expect((await home.cli(['policy', 'remove', 'heron'])).code).toBe(0);
    await expect.poll(hostRunners, { timeout: 25_000 }).toEqual([]);
  },
);
