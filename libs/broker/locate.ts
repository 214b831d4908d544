// Finds a nats-server that is new enough, or fetches one into the cache. The order is the list below; every place that was
// tried is on record. Starts nothing.
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { takeExclusive, type ExclusiveFile } from './exclusive-file.ts';
import { cached } from './sources/cached.ts';
import { distributionPackage } from './sources/distribution-package.ts';
import { explicitPath } from './sources/explicit-path.ts';
import { releaseArchive } from './sources/release-archive.ts';
import { searchPath } from './sources/search-path.ts';
import type { Finding, Source, SourceContext } from './sources/source.ts';
import { MINIMUM_VERSION } from './version.ts';

/** One place that was looked at. */
export interface LocateAttempt {
  readonly source: string;
  readonly outcome: Finding['outcome'] | 'skipped';
  /** Where it was found, or why it was not. */
  readonly reason: string;
  readonly fix?: string;
  readonly tookMs: number;
}

export interface LocatedServer {
  readonly path: string;
  readonly version: string;
  /** Hex; only for servers that were fetched by us. */
  readonly sha256: string | undefined;
  readonly source: string;
  readonly attempts: readonly LocateAttempt[];
}

export interface LocateOptions extends SourceContext {
  /** Nothing is downloaded. @default false */
  readonly isOffline?: boolean;
}

/** On this machine, in this order; then, if need be, out of the network. */
const LOCAL: readonly Source[] = [explicitPath, cached, searchPath];
const REMOTE: readonly Source[] = [releaseArchive, distributionPackage];

const INSTALL_LOOK_MS = 200;
const INSTALL_WITHIN_MS = 600_000;

const defaultCacheDir = (
  environment: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform,
): string => {
  const home = environment['HOME'] ?? homedir();
  const base =
    environment['XDG_CACHE_HOME'] ??
    (platform === 'darwin' ? join(home, 'Library/Caches') : join(home, '.cache'));
  return join(base, 'fleetlog');
};

/**
 * The usual options, out of an environment: FLEETLOG_NATS_SERVER, FLEETLOG_NATS_RELEASES (a mirror of the release downloads),
 * FLEETLOG_OFFLINE=1 (download nothing), XDG_CACHE_HOME, HOME, PATH.
 */
export const locateOptionsFrom = (
  environment: Readonly<Record<string, string | undefined>>,
  clock: Clock,
  progress: (line: string) => void = () => {},
): LocateOptions => ({
  explicitPath: environment['FLEETLOG_NATS_SERVER'],
  searchPath: environment['PATH'] ?? '',
  cacheDir: defaultCacheDir(environment, process.platform),
  platform: process.platform,
  arch: process.arch,
  releasesUrl:
    environment['FLEETLOG_NATS_RELEASES'] ?? 'https://github.com/nats-io/nats-server/releases/download',
  systemRoot: '/',
  isOffline: environment['FLEETLOG_OFFLINE'] === '1',
  clock,
  progress,
});

const tryTo = async (source: Source, options: LocateOptions, attempts: LocateAttempt[]): Promise<Finding> => {
  const began = options.clock.monotonicMs();
  const finding = await source.find(options);
  const reason = finding.outcome === 'found' ? `${finding.path} (${finding.version})` : finding.reason;
  const fix = finding.outcome === 'found' ? undefined : finding.fix;
  attempts.push({
    source: source.name,
    outcome: finding.outcome,
    reason,
    ...(fix === undefined ? {} : { fix }),
    tookMs: Math.round(options.clock.monotonicMs() - began),
  });
  return finding;
};

/** One process downloads at a time; the others wait and then find it in the cache. Throws where the cache cannot be written. */
const takeInstallLock = async (options: LocateOptions): Promise<ExclusiveFile | undefined> => {
  const deadline = options.clock.monotonicMs() + INSTALL_WITHIN_MS;
  mkdirSync(options.cacheDir, { recursive: true });
  for (;;) {
    const lock = takeExclusive(join(options.cacheDir, 'install.lock'));
    if (lock !== undefined || options.clock.monotonicMs() > deadline) return lock;
    await options.clock.sleep(INSTALL_LOOK_MS);
  }
};

const unavailable = (attempts: readonly LocateAttempt[]): Fault => {
  const fixes = attempts.flatMap(({ fix }) => (fix === undefined ? [] : [fix]));
  const advice = [
    ...fixes,
    `install nats-server ${MINIMUM_VERSION} or newer and put it on PATH, or set FLEETLOG_NATS_SERVER to it`,
  ];
  return new Fault({
    code: 'BROKER_UNAVAILABLE',
    retry: 'later',
    message: [
      'No nats-server could be found or fetched. Tried:',
      ...attempts.map(({ source, outcome, reason }) => `  ${source}: ${outcome}, ${reason}`),
      'What to do:',
      ...[...new Set(advice)].map((line) => `  - ${line}`),
    ].join('\n'),
    detail: { attempts },
  });
};

const searchThrough = async (
  sources: readonly Source[],
  options: LocateOptions,
  attempts: LocateAttempt[],
): Promise<LocatedServer | undefined> => {
  for (const source of sources) {
    const finding = await tryTo(source, options, attempts);
    if (finding.outcome === 'found') {
      return {
        path: finding.path,
        version: finding.version,
        sha256: finding.sha256,
        source: source.name,
        attempts,
      };
    }
    // An explicit choice that does not work is an error and not a wish.
    if (source === explicitPath && finding.outcome === 'refused') throw unavailable(attempts);
  }
  return undefined;
};

/** Downloads while holding the install lock, unless another process did it meanwhile. */
const fetchBroker = async (
  options: LocateOptions,
  attempts: LocateAttempt[],
): Promise<LocatedServer | undefined> => {
  let lock: ExclusiveFile | undefined;
  try {
    lock = await takeInstallLock(options);
  } catch (error) {
    const reason = `nothing can be stored in ${options.cacheDir}: ${error instanceof Error ? error.message : String(error)}`;
    const fix = 'set XDG_CACHE_HOME to a directory that can be written';
    attempts.push({ source: cached.name, outcome: 'failed', reason, fix, tookMs: 0 });
    return undefined;
  }
  try {
    const installed = await cached.find(options);
    if (installed.outcome !== 'found') return await searchThrough(REMOTE, options, attempts);
    const { path, version, sha256 } = installed;
    return { path, version, sha256, source: cached.name, attempts };
  } finally {
    lock?.release();
  }
};

/**
 * A nats-server that runs here and is new enough. Downloads at most once per machine and version, in bounded time, whatever
 * the number of processes asking. Fault `BROKER_UNAVAILABLE` names every place that was tried, why it failed, and what to do.
 */
export const locateBroker = async (options: LocateOptions): Promise<LocatedServer> => {
  const attempts: LocateAttempt[] = [];
  const local = await searchThrough(LOCAL, options, attempts);
  if (local !== undefined) return local;
  if (options.isOffline === true) {
    const reason = 'downloads are switched off';
    attempts.push(
      ...REMOTE.map(({ name }) => ({ source: name, outcome: 'skipped' as const, reason, tookMs: 0 })),
    );
    throw unavailable(attempts);
  }
  const fetched = await fetchBroker(options, attempts);
  if (fetched !== undefined) return fetched;
  throw unavailable(attempts);
};
