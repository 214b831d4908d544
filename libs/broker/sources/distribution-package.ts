// On Debian and Ubuntu: the distribution's own package from the newest suite of the machine's own mirror, unpacked without
// root into the cache. apt checks the mirror's signature and the package's checksum; nothing of the system is changed.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  distributionOf,
  mainArchive,
  parseListFile,
  parseSourcesFile,
  renderSource,
  type AptSource,
  type Distribution,
} from '#libs/broker/apt-sources.ts';
import { probeExecutable } from '#libs/broker/probe-executable.ts';
import { runCommand } from '#libs/broker/run-command.ts';
import { installIntoCache, sha256OfFile } from '#libs/broker/server-cache.ts';
import { isNewEnough, MINIMUM_VERSION, parseVersion } from '#libs/broker/version.ts';
import type { Finding, MissedServer, Source, SourceContext } from './source.ts';

const UPDATE_WITHIN_MS = 180_000;
const DOWNLOAD_WITHIN_MS = 180_000;
const LOCAL_WITHIN_MS = 30_000;

const failed = (reason: string, fix?: string): MissedServer => ({
  outcome: 'failed',
  reason,
  ...(fix === undefined ? {} : { fix }),
});

const readText = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);

/** Every enabled source of the machine, in apt's own order: sources.list, then the files of sources.list.d. */
const readAptSources = async (systemRoot: string): Promise<readonly AptSource[]> => {
  const folder = join(systemRoot, 'etc/apt/sources.list.d');
  const sources = [...parseListFile((await readText(join(systemRoot, 'etc/apt/sources.list'))) ?? '')];
  const names = await readdir(folder).catch((): string[] => []);
  for (const name of names.toSorted()) {
    const text = (await readText(join(folder, name))) ?? '';
    if (name.endsWith('.list')) sources.push(...parseListFile(text));
    if (name.endsWith('.sources')) sources.push(...parseSourcesFile(text));
  }
  return sources;
};

/** apt under a state of its own in `work`, so that neither root nor the system's lists are needed. */
const aptOptions = (work: string): readonly string[] =>
  [
    `Dir::Etc::SourceList=${work}/fleetlog.sources`,
    'Dir::Etc::SourceParts=/dev/null',
    'Dir::Etc::Preferences=/dev/null',
    'Dir::Etc::PreferencesParts=/dev/null',
    `Dir::State=${work}/state`,
    `Dir::State::Lists=${work}/state/lists`,
    `Dir::State::status=${work}/state/status`,
    `Dir::Cache=${work}/cache`,
    'APT::Sandbox::User=root',
    'Acquire::Languages=none',
    'Acquire::Retries=2',
    'Acquire::http::Timeout=20',
    'Acquire::https::Timeout=20',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
    'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false',
  ].flatMap((option) => ['-o', option]);

const prepare = async (
  work: string,
  source: AptSource,
  distribution: Distribution,
  systemRoot: string,
): Promise<void> => {
  await Promise.all(
    ['state/lists/partial', 'cache/archives/partial', 'package'].map((folder) =>
      mkdir(join(work, folder), { recursive: true }),
    ),
  );
  await writeFile(join(work, 'state/status'), '');
  const signedBy = source.signedBy ?? join(systemRoot, distribution.keyring);
  const newest = {
    ...source,
    signedBy,
    suites: [distribution.newestSuite],
    components: [distribution.component],
  };
  await writeFile(join(work, 'fleetlog.sources'), renderSource(newest));
};

interface Offer {
  readonly fileName: string;
  readonly sha256: string;
}

/** `'uri' file size SHA256:…`, what apt would fetch, by its verified index. */
const parseOffer = (text: string): Offer | undefined => {
  const [, fileName, sha256] = /^'[^']+'\s+(\S+\.deb)\s+\d+\s+SHA256:([0-9a-f]{64})/m.exec(text) ?? [];
  return fileName === undefined || sha256 === undefined ? undefined : { fileName, sha256 };
};

const download = async (work: string, options: readonly string[]): Promise<MissedServer | string> => {
  const asked = await runCommand('apt-get', [...options, '-qq', '--print-uris', 'download', 'nats-server'], {
    timeoutMs: LOCAL_WITHIN_MS,
    cwd: work,
  });
  const offer = parseOffer(asked.stdout);
  if (offer === undefined) return failed(`the mirror has no nats-server (${asked.failure ?? 'not listed'})`);
  const version = parseVersion(offer.fileName);
  if (version === undefined || !isNewEnough(version)) {
    return failed(`the mirror's newest is ${version ?? offer.fileName}, and ${MINIMUM_VERSION} is needed`);
  }
  const fetched = await runCommand('apt-get', [...options, '-qq', 'download', 'nats-server'], {
    timeoutMs: DOWNLOAD_WITHIN_MS,
    cwd: work,
  });
  if (fetched.failure !== undefined) return failed(`the package could not be downloaded: ${fetched.failure}`);
  const path = join(work, offer.fileName);
  const sha256 = await sha256OfFile(path).catch(() => 'nothing');
  if (sha256 !== offer.sha256) return failed(`the package has checksum ${sha256}, and not ${offer.sha256}`);
  return path;
};

const fetchPackage = async (
  work: string,
  source: AptSource,
  distribution: Distribution,
  context: SourceContext,
): Promise<Finding> => {
  await prepare(work, source, distribution, context.systemRoot);
  const options = aptOptions(work);
  context.progress(`reading ${distribution.newestSuite} of ${source.uri}`);
  const update = await runCommand('apt-get', [...options, '-q', 'update'], { timeoutMs: UPDATE_WITHIN_MS });
  // apt-get update succeeds with a warning when an index could not be had; then there is no offer below.
  if (update.failure !== undefined) return failed(`${source.uri} cannot be read: ${update.failure}`);
  context.progress('downloading its package nats-server');
  const deb = await download(work, options);
  if (typeof deb !== 'string') return deb;
  const unpacked = await runCommand('dpkg-deb', ['-x', deb, join(work, 'package')], {
    timeoutMs: LOCAL_WITHIN_MS,
  });
  if (unpacked.failure !== undefined) return failed(`the package cannot be unpacked: ${unpacked.failure}`);
  const executable = join(work, 'package/usr/sbin/nats-server');
  const probe = await probeExecutable(executable);
  if (!probe.usable) return failed(probe.reason);
  const server = await installIntoCache(context.cacheDir, {
    executable,
    version: probe.version,
    source: `${distribution.newestSuite} of ${source.uri}`,
  });
  return { outcome: 'found', path: server.path, version: server.version, sha256: server.sha256 };
};

export const distributionPackage: Source = {
  name: 'distribution package',
  find: async (context) => {
    const distribution = distributionOf((await readText(join(context.systemRoot, 'etc/os-release'))) ?? '');
    if (context.platform !== 'linux' || distribution === undefined) {
      return { outcome: 'absent', reason: 'this system is neither Debian nor Ubuntu' };
    }
    const source = mainArchive(await readAptSources(context.systemRoot), distribution);
    if (source === undefined)
      return failed(`no mirror of the distribution in ${join(context.systemRoot, 'etc/apt')}`);
    const work = await mkdtemp(join(tmpdir(), 'fleetlog-package-'));
    try {
      return await fetchPackage(work, source, distribution, context);
    } catch (error) {
      return failed(error instanceof Error ? error.message : String(error));
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  },
};
