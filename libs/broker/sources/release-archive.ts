// The official release archive for the platform, checked against the checksums published beside it.
// The checksum guards against a damaged or swapped file; the origin is vouched for by HTTPS alone.
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { probeExecutable } from '#libs/broker/probe-executable.ts';
import { runCommand } from '#libs/broker/run-command.ts';
import { installIntoCache } from '#libs/broker/server-cache.ts';
import { RELEASE_VERSION } from '#libs/broker/version.ts';
import type { Finding, MissedServer, Source, SourceContext } from './source.ts';

const SUMS_WITHIN_MS = 20_000;
const ARCHIVE_WITHIN_MS = 240_000;
const UNPACK_WITHIN_MS = 30_000;

const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ['x64', 'amd64'],
  ['arm64', 'arm64'],
]);

const failed = (reason: string, fix?: string): MissedServer => ({
  outcome: 'failed',
  reason,
  ...(fix === undefined ? {} : { fix }),
});

/** Name of the archive without `.tar.gz`; undefined where no release is made for the platform. */
export const archiveName = (platform: string, arch: string): string | undefined => {
  const cpu = ARCHITECTURES.get(arch);
  const isReleased = platform === 'linux' || platform === 'darwin';
  return isReleased && cpu !== undefined ? `nats-server-v${RELEASE_VERSION}-${platform}-${cpu}` : undefined;
};

/** The checksum of `fileName` in the text of a SHA256SUMS file. */
export const findChecksum = (sums: string, fileName: string): string | undefined =>
  sums
    .split('\n')
    .map((line) => /^([0-9a-f]{64})\s+\*?(?:\.\/)?(\S+)$/.exec(line.trim()))
    .find((match) => match?.[2] === fileName)?.[1];

/** The innermost cause, which names what really happened (ENOTFOUND, ECONNREFUSED, a certificate). */
const rootCause = (error: unknown): string => {
  let cause = error;
  while (cause instanceof Error && cause.cause instanceof Error) cause = cause.cause;
  return cause instanceof Error ? cause.message : String(cause);
};

const get = async (url: string, withinMs: number): Promise<Buffer> => {
  const answer = await fetch(url, { signal: AbortSignal.timeout(withinMs) });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
};

const unpack = async (work: string, name: string, archive: Buffer): Promise<MissedServer | string> => {
  const path = join(work, 'archive.tar.gz');
  const target = join(work, 'unpacked');
  await Promise.all([writeFile(path, archive), mkdir(target)]);
  const done = await runCommand('tar', ['-xzf', path, '-C', target], { timeoutMs: UNPACK_WITHIN_MS });
  if (done.failure !== undefined) return failed(`the archive cannot be unpacked: ${done.failure}`);
  return join(target, name, 'nats-server');
};

const fetchRelease = async (work: string, name: string, context: SourceContext): Promise<Finding> => {
  const release = `${context.releasesUrl}/v${RELEASE_VERSION}`;
  context.progress(`downloading ${name} from ${context.releasesUrl}`);
  const sums = await get(`${release}/SHA256SUMS`, SUMS_WITHIN_MS);
  const expected = findChecksum(sums.toString('utf8'), `${name}.tar.gz`);
  if (expected === undefined) return failed(`no checksum of ${name}.tar.gz is published`);
  const archive = await get(`${release}/${name}.tar.gz`, ARCHIVE_WITHIN_MS);
  const actual = createHash('sha256').update(archive).digest('hex');
  if (actual !== expected)
    return failed(`${name}.tar.gz has checksum ${actual}, and not ${expected} as published`);
  const executable = await unpack(work, name, archive);
  if (typeof executable !== 'string') return executable;
  const probe = await probeExecutable(executable);
  if (!probe.usable) return failed(probe.reason);
  const server = await installIntoCache(context.cacheDir, {
    executable,
    version: probe.version,
    source: `${release}/${name}.tar.gz`,
  });
  return { outcome: 'found', path: server.path, version: server.version, sha256: server.sha256 };
};

export const releaseArchive: Source = {
  name: 'release archive',
  find: async (context) => {
    const name = archiveName(context.platform, context.arch);
    if (name === undefined) {
      return { outcome: 'absent', reason: `no release is made for ${context.platform} on ${context.arch}` };
    }
    const work = await mkdtemp(join(tmpdir(), 'fleetlog-release-'));
    try {
      return await fetchRelease(work, name, context);
    } catch (error) {
      return failed(
        `${context.releasesUrl} cannot be used: ${rootCause(error)}`,
        `download ${name}.tar.gz by hand, unpack it and set FLEETLOG_NATS_SERVER to its nats-server`,
      );
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  },
};
