// Collects, as data, what a machine has and lacks to run Fleetlog: Node, platform, broker, checksum, data directory, disk, ports.
// Changes nothing but a probe file in the data directory; starts no broker, and downloads one only if the options let it.
import { dirname } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { readServingRecord } from './data-dir.ts';
import { checkDisk } from './doctor-disk.ts';
import { check, type DoctorCheck, type DoctorReport } from './doctor-report.ts';
import { isPortFree } from './free-port.ts';
import { locateBroker, type LocateAttempt, type LocatedServer, type LocateOptions } from './locate.ts';
import { isAlive } from '#libs/processes/process-identity.ts';
import { sha256OfFile } from './server-cache.ts';
import { archiveName } from './sources/release-archive.ts';
import { MINIMUM_VERSION, RELEASE_VERSION } from './version.ts';

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
    checkDisk(options.dataDir, options.clock),
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
