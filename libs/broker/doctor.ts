// Collects, as data, what a machine has and lacks to run Fleetlog: Node, platform, broker, checksum, data directory, disk, ports.
// Changes nothing but a probe file in the data directory; starts no broker, and downloads one only if the options let it.
import { closeSync, existsSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { readServingRecord } from './data-dir.ts';
import { isPortFree } from './free-port.ts';
import { locateBroker, type LocateAttempt, type LocatedServer, type LocateOptions } from './locate.ts';
import { isAlive } from './process-identity.ts';
import { sha256OfFile } from './server-cache.ts';
import { archiveName } from './sources/release-archive.ts';
import { MINIMUM_VERSION, RELEASE_VERSION } from './version.ts';

/** `warn`: works, with a drawback that is stated. `fail`: Fleetlog cannot run like this. */
export type DoctorStatus = 'pass' | 'warn' | 'fail';

export interface DoctorCheck {
  readonly name:
    | 'node'
    | 'platform'
    | 'broker'
    | 'checksum'
    | 'data-dir'
    | 'disk-space'
    | 'disk-speed'
    | 'port';
  readonly status: DoctorStatus;
  readonly detail: string;
  /** What to do; absent where nothing needs doing. */
  readonly fix?: string;
}

export interface DoctorReport {
  /** No check failed. Warnings do not count. */
  readonly isHealthy: boolean;
  readonly checks: readonly DoctorCheck[];
  /** Every place that was looked at for a broker, in order. */
  readonly attempts: readonly LocateAttempt[];
}

export interface DoctorOptions {
  /** `isOffline` decides whether a missing broker is fetched (slow, changes the cache) or only reported. */
  readonly locate: LocateOptions;
  readonly dataDir: string;
  /** Ports that a start would take, with what for. */
  readonly ports: readonly { readonly port: number; readonly purpose: string }[];
  readonly clock: Clock;
  /** @default process.version */
  readonly nodeVersion?: string;
}

const NEEDED_NODE = 24;
const MEBIBYTE = 1024 * 1024;
const SCARCE_BYTES = 1024 * MEBIBYTE;
const FULL_BYTES = 100 * MEBIBYTE;
const FSYNC_SAMPLES = 15;
const SLOW_FSYNC_MS = 10;

const check = (
  name: DoctorCheck['name'],
  status: DoctorStatus,
  detail: string,
  fix?: string,
): DoctorCheck => ({
  name,
  status,
  detail,
  ...(fix === undefined ? {} : { fix }),
});

const checkNode = (version: string): DoctorCheck =>
  Number(/^v(\d+)/.exec(version)?.[1]) >= NEEDED_NODE
    ? check('node', 'pass', version)
    : check(
        'node',
        'fail',
        `${version}, and ${NEEDED_NODE} or newer is needed`,
        'run "node setup.mjs", or install Node 24',
      );

const checkPlatform = ({ platform, arch }: LocateOptions): DoctorCheck =>
  archiveName(platform, arch) === undefined
    ? check(
        'platform',
        'warn',
        `${platform} ${arch}: no broker can be fetched for it`,
        'install nats-server yourself and set FLEETLOG_NATS_SERVER to it',
      )
    : check('platform', 'pass', `${platform} ${arch}`);

interface Located {
  readonly check: DoctorCheck;
  readonly server: LocatedServer | undefined;
  readonly attempts: readonly LocateAttempt[];
}

const tellAttempts = (attempts: readonly LocateAttempt[]): string =>
  attempts.map(({ source, outcome, reason }) => `${source}: ${outcome}, ${reason}`).join('; ');

const checkBroker = async (options: LocateOptions): Promise<Located> => {
  try {
    const server = await locateBroker(options);
    const detail = `nats-server ${server.version} from ${server.source}: ${server.path}`;
    return { check: check('broker', 'pass', detail), server, attempts: server.attempts };
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'BROKER_UNAVAILABLE') throw error;
    const attempts = (error.detail['attempts'] ?? []) as readonly LocateAttempt[];
    const canStillFetch =
      options.isOffline === true && !attempts.some(({ outcome }) => outcome === 'refused');
    const found = canStillFetch
      ? check('broker', 'warn', `none here yet; ${RELEASE_VERSION} is fetched at the first start`)
      : check(
          'broker',
          'fail',
          `none of version ${MINIMUM_VERSION} or newer. ${tellAttempts(attempts)}`,
          attempts.flatMap(({ fix }) => fix ?? []).join('; ') || 'install nats-server and put it on PATH',
        );
    return { check: found, server: undefined, attempts };
  }
};

const checkChecksum = async (server: LocatedServer | undefined): Promise<readonly DoctorCheck[]> => {
  if (server === undefined) return [];
  const actual = await sha256OfFile(server.path);
  if (server.sha256 === undefined)
    return [check('checksum', 'pass', `${actual} (not fetched by us, nothing to compare)`)];
  return actual === server.sha256
    ? [check('checksum', 'pass', actual)]
    : [
        check(
          'checksum',
          'fail',
          `${server.path} has ${actual}, and had ${server.sha256} when it was installed`,
          `remove ${dirname(server.path)}; it is fetched anew`,
        ),
      ];
};

/** The nearest folder above (or at) `path` that exists. */
const existingAncestor = (path: string): string => {
  let folder = path;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
};

const checkSpace = async (folder: string): Promise<DoctorCheck> => {
  const facts = await statfs(folder);
  const freeBytes = facts.bavail * facts.bsize;
  const detail = `${Math.floor(freeBytes / MEBIBYTE)} MiB free at ${folder}`;
  if (freeBytes < FULL_BYTES)
    return check('disk-space', 'fail', detail, 'free some space or choose another data directory');
  return freeBytes < SCARCE_BYTES
    ? check('disk-space', 'warn', detail, 'a log grows: plan for more than 1 GiB')
    : check('disk-space', 'pass', detail);
};

/** Median time of a write that is forced to the disk: what every acknowledged append costs. */
const measureFsync = (path: string, clock: Clock): number => {
  const descriptor = openSync(path, 'w', 0o600);
  const block = Buffer.alloc(4096);
  const times: number[] = [];
  try {
    for (let sample = 0; sample < FSYNC_SAMPLES; sample += 1) {
      const began = clock.monotonicMs();
      writeSync(descriptor, block);
      fsyncSync(descriptor);
      times.push(clock.monotonicMs() - began);
    }
  } finally {
    closeSync(descriptor);
    rmSync(path, { force: true });
  }
  return times.sort((a, b) => a - b)[Math.floor(FSYNC_SAMPLES / 2)] ?? 0;
};

const checkSpeed = (folder: string, clock: Clock): DoctorCheck => {
  const medianMs = measureFsync(join(folder, 'fsync-probe'), clock);
  const detail = `an append reaches the disk in ${medianMs.toFixed(2)} ms`;
  return medianMs > SLOW_FSYNC_MS
    ? check(
        'disk-speed',
        'warn',
        detail,
        'use a local disk, or the relaxed profile if losing 100 ms in a power cut is acceptable',
      )
    : check('disk-speed', 'pass', detail);
};

const checkDisk = async ({ dataDir, clock }: DoctorOptions): Promise<readonly DoctorCheck[]> => {
  const folder = existingAncestor(dataDir);
  let probe: string;
  try {
    probe = await mkdtemp(join(folder, '.fleetlog-doctor-'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [
      check(
        'data-dir',
        'fail',
        `${dataDir} is not writable: ${reason}`,
        'correct its owner or choose another one',
      ),
    ];
  }
  try {
    const serving = readServingRecord(dataDir);
    const isServed = serving !== undefined && isAlive(serving.broker);
    const where = isServed
      ? `${dataDir}, in use by process ${serving.owner.pid} (broker on port ${serving.clientPort})`
      : `${dataDir}, ${existsSync(dataDir) ? 'writable' : 'can be created'}`;
    return [check('data-dir', 'pass', where), await checkSpace(folder), checkSpeed(probe, clock)];
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
};

const checkPorts = (options: DoctorOptions): Promise<readonly DoctorCheck[]> =>
  Promise.all(
    options.ports.map(async ({ port, purpose }) => {
      if (await isPortFree(port, '127.0.0.1')) return check('port', 'pass', `${port} is free (${purpose})`);
      const serving = readServingRecord(options.dataDir);
      const isOurs = serving !== undefined && isAlive(serving.broker);
      return check(
        'port',
        'warn',
        `${port} is in use (${purpose})`,
        isOurs
          ? 'Fleetlog runs on this data directory already'
          : 'stop what listens there, or choose another port',
      );
    }),
  );

/** Every check, in a fixed order. Takes under a second unless a broker is fetched. Never throws for what it finds. */
export const diagnose = async (options: DoctorOptions): Promise<DoctorReport> => {
  const [broker, disk, ports] = await Promise.all([
    checkBroker(options.locate),
    checkDisk(options),
    checkPorts(options),
  ]);
  const checks = [
    checkNode(options.nodeVersion ?? process.version),
    checkPlatform(options.locate),
    broker.check,
    ...(await checkChecksum(broker.server)),
    ...disk,
    ...ports,
  ];
  return { isHealthy: checks.every(({ status }) => status !== 'fail'), checks, attempts: broker.attempts };
};
