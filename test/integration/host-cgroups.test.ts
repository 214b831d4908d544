// Control groups of runners, in a scratch group of this machine where it has any, and what a host does without them, as on macOS: its
// runners have their process group and their mark.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { openCgroups } from '#services/host/cgroups.ts';
import { createHostsService } from '#services/hosts/service.ts';
import { parseJson } from '#streams/entry.ts';
import { hostPresenceKey, hostPresenceSchema } from '#streams/host-views.ts';
import { freshBroker, scratchDir } from '#test/support/broker.ts';
import { BOUNDARY, startControlPlane } from '#test/support/control-plane.ts';
import {
  HOST,
  hostFolders,
  hostReported,
  provisionHosts,
  shutDown,
  spawnAgent,
  startHost,
} from '#test/support/host-rig.ts';

/** A group that this test may make groups in; undefined: the machine does not let it. */
const scratchGroup = (): string | undefined => {
  for (const mount of ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']) {
    const path = join(mount, `fleetlog-test-${process.pid}`);
    try {
      if (!existsSync(join(mount, 'cgroup.controllers'))) continue;
      mkdirSync(path);
      return path;
    } catch {
      // Not ours to make.
    }
  }
  return undefined;
};

const scratch = scratchGroup();

test.skipIf(scratch === undefined)(
  'what a runner has started is in its group, and ends with it even when it has fled from its mark and its process group',
  async () => {
    const root = scratch ?? '';
    onTestFinished(() => {
      rmdirSync(join(root, 'fleetlog-host'));
      rmdirSync(root);
    });
    const cgroups = openCgroups(root, 0);
    expect(cgroups.problem).toBeUndefined();
    // Starts a process in a session of its own with an empty environment, once it is told that it was admitted.
    const program = 'read go; env -i setsid sh -c "echo \\$\\$; exec sleep 600" & wait';
    const runner = spawn('/bin/sh', ['-c', program], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
    expect(cgroups.admit('spw_1', runner.pid ?? 0)).toBe(true);
    runner.stdin.write('go\n');
    const [told] = (await once(runner.stdout, 'data')) as [Buffer];
    const fled = Number(told.toString());
    expect(readFileSync(`/proc/${fled}/cgroup`, 'utf8')).toContain('/fleetlog-host/spw_1');
    runner.kill('SIGKILL');
    await once(runner, 'exit');
    cgroups.remove('spw_1');
    await expect
      .poll(() => existsSync(join(root, 'fleetlog-host/spw_1/cgroup.procs')) && isAlive(fled))
      .toBe(false);
    cgroups.remove('spw_1');
  },
);

/** Not a zombie that nobody has waited for. */
const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

test('a folder that is no control group is not taken for one', () => {
  const folder = scratchDir('no-cgroup');
  const cgroups = openCgroups(folder, 0);
  expect(cgroups.problem).toContain('is no control group');
  expect(cgroups.admit('spw_1', process.pid)).toBe(false);
  expect(existsSync(join(folder, 'fleetlog-host'))).toBe(false);
});

test('what the system killed for memory is told apart from what was killed otherwise', () => {
  // The files of a group as the system writes them: this machine may have none with a ceiling of memory.
  const root = scratchDir('memory-events');
  for (const file of ['cgroup.procs', 'cgroup.controllers']) writeFileSync(join(root, file), '');
  const cgroups = openCgroups(root, 64 * 1024 * 1024);
  expect(cgroups.problem).toBeUndefined();
  const events = (name: string, kills: number): void => {
    mkdirSync(join(root, 'fleetlog-host', name), { recursive: true });
    const text = `low 0\nhigh 0\nmax 12\noom 1\noom_kill ${kills}\noom_group_kill 0\n`;
    writeFileSync(join(root, 'fleetlog-host', name, 'memory.events'), text);
  };
  events('spw_1', 1);
  events('spw_2', 0);
  expect(['spw_1', 'spw_2', 'spw_3'].map((name) => cgroups.wasOverMemory(name))).toEqual([
    true,
    false,
    false,
  ]);
});

test('a host without control groups says so, and ends its runners with all that they have started', async () => {
  await using broker = await freshBroker();
  await provisionHosts(broker);
  await using control = await startControlPlane({ broker, services: [createHostsService({ version: 't' })] });
  const folders = hostFolders(['parent']);
  // As where the system has none: the setting names something that is no group.
  const config = { cgroupRoot: folders.credentialsDir, runnerMemoryBytes: 256 * 1024 * 1024, onStop: 'end' };
  await using host = await startHost({ broker, folders, config });
  const parent = await spawnAgent(control.ports, 'parent');
  await hostReported(control.ports, 'spawn-started', parent.spawnId);
  const mark = `FLEETLOG_SPAWN=${parent.spawnId}`;
  // The runner and the process that it has left in a session of its own.
  await expect.poll(async () => (await findMarked(mark)).length, { timeout: 20_000 }).toBeGreaterThan(1);
  await shutDown(control.ports, parent);
  await hostReported(control.ports, 'agent-exited', parent.spawnId);
  expect(await findMarked(mark)).toEqual([]);
  const said = await control.ports.bucket('presence').get(hostPresenceKey(BOUNDARY, HOST));
  expect(hostPresenceSchema.parse(parseJson(said?.value ?? new Uint8Array())).hasCgroups).toBe(false);
  expect(host.lines).toContainEqual(
    expect.objectContaining({ message: 'runners have no control groups' }) as unknown,
  );
});
