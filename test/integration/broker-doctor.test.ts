// What `fleetlog doctor` reports, on this machine and on machines with something wrong.
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { DoctorCheck, DoctorReport } from '#libs/broker/doctor-report.ts';
import { diagnose, type DoctorOptions } from '#libs/broker/doctor.ts';
import { findFreePort } from '#libs/broker/free-port.ts';
import { locateOptionsFrom } from '#libs/broker/locate.ts';
import { installIntoCache } from '#libs/broker/server-cache.ts';
import { systemClock } from '#libs/system/clock.ts';
import { freshBroker, scratchDir, testExecutable } from '#test/support/broker.ts';

const newDir = (): string => {
  const folder = scratchDir('doctor');
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

/** A machine with the real server in a cache of its own, and nothing wrong. */
const goodMachine = async (changes: Partial<DoctorOptions> = {}): Promise<DoctorOptions> => {
  const cacheDir = join(newDir(), 'cache');
  await installIntoCache(cacheDir, { executable: await testExecutable(), version: '2.15.1', source: 'test' });
  return {
    locate: { ...locateOptionsFrom({}, systemClock), cacheDir, isOffline: true },
    dataDir: join(newDir(), 'data'),
    ports: [],
    clock: systemClock,
    ...changes,
  };
};

const find = (report: DoctorReport, name: DoctorCheck['name']): DoctorCheck | undefined =>
  report.checks.find((check) => check.name === name);

test('a good machine passes every check, and nothing is left in its data directory', async () => {
  const options = await goodMachine();
  const report = await diagnose(options);
  expect(report.isHealthy).toBe(true);
  expect(report.checks.map(({ name }) => name)).toEqual([
    'node',
    'platform',
    'broker',
    'checksum',
    'data-dir',
    'disk-space',
    'disk-speed',
  ]);
  expect(report.checks.filter(({ status }) => status === 'fail')).toEqual([]);
  expect(report.attempts.map(({ source, outcome }) => `${source} ${outcome}`)).toEqual([
    'FLEETLOG_NATS_SERVER absent',
    'cache found',
  ]);
  expect(existsSync(options.dataDir)).toBe(false);
  expect(readdirSync(join(options.dataDir, '..'))).toEqual([]);
});

test('an old Node fails, with what to do', async () => {
  const report = await diagnose(await goodMachine({ nodeVersion: 'v20.19.0' }));
  expect(report.isHealthy).toBe(false);
  expect(find(report, 'node')).toEqual({
    name: 'node',
    status: 'fail',
    detail: 'v20.19.0, and 24 or newer is needed',
    fix: 'run "node setup.mjs", or install Node 24',
  });
});

test('a server whose bytes were changed behind an unchanged size and time fails by its checksum', async () => {
  const options = await goodMachine();
  const path = join(options.locate.cacheDir, 'nats-server/2.15.1/nats-server');
  const before = statSync(path);
  const other = join(newDir(), 'other');
  copyFileSync(path, other);
  writeFileSync(other, 'x', { flag: 'r+' });
  copyFileSync(other, path);
  chmodSync(path, 0o755);
  utimesSync(path, before.atimeMs / 1000, before.mtimeMs / 1000);
  const report = await diagnose(options);
  expect(find(report, 'checksum') ?? find(report, 'broker')).toMatchObject({ status: 'fail' });
  expect(report.isHealthy).toBe(false);
});

test('a missing server is a warning while it can still be fetched, and a failure when it cannot', async () => {
  const empty = { ...locateOptionsFrom({}, systemClock), cacheDir: newDir(), systemRoot: newDir() };
  const later = await diagnose(await goodMachine({ locate: { ...empty, isOffline: true } }));
  expect(find(later, 'broker')).toMatchObject({ status: 'warn' });
  expect(find(later, 'broker')?.detail).toMatch(/is fetched at the first start$/);
  const never = await diagnose(
    await goodMachine({ locate: { ...empty, releasesUrl: 'http://127.0.0.1:1/none' } }),
  );
  expect(find(never, 'broker')).toMatchObject({
    status: 'fail',
    fix: expect.stringContaining('FLEETLOG_NATS_SERVER'),
  });
  expect(never.attempts).toHaveLength(5);
});

test('a data directory that cannot be written fails', async () => {
  const folder = newDir();
  writeFileSync(join(folder, 'file'), '');
  const report = await diagnose(await goodMachine({ dataDir: join(folder, 'file', 'data') }));
  expect(find(report, 'data-dir')).toMatchObject({ status: 'fail' });
  expect(find(report, 'disk-speed')).toBeUndefined();
});

test('a data directory in use and its ports are recognised as ours', async () => {
  const dataDir = newDir();
  mkdirSync(dataDir, { recursive: true });
  await using running = await freshBroker({ dataDir });
  const port = running.broker.clientPort;
  const report = await diagnose(await goodMachine({ dataDir, ports: [{ port, purpose: 'broker' }] }));
  expect(find(report, 'data-dir')?.detail).toContain(
    `in use by process ${process.pid} (broker on port ${port})`,
  );
  expect(find(report, 'port')).toMatchObject({
    status: 'warn',
    fix: 'Fleetlog runs on this data directory already',
  });
});

test('a port that somebody else has is a warning', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  const taken = typeof address === 'object' && address !== null ? address.port : 0;
  const free = await findFreePort('127.0.0.1');
  const ports = [
    { port: taken, purpose: 'HTTP' },
    { port: free, purpose: 'broker' },
  ];
  const report = await diagnose(await goodMachine({ ports }));
  expect(report.checks.filter(({ name }) => name === 'port')).toEqual([
    {
      name: 'port',
      status: 'warn',
      detail: `${taken} is in use (HTTP)`,
      fix: 'stop what listens there, or choose another port',
    },
    { name: 'port', status: 'pass', detail: `${free} is free (broker)` },
  ]);
});
