// Finding and fetching nats-server, against real files, a real download server, and the machine's real mirror.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Fault } from '#libs/kernel/fault.ts';
import { locateBroker, locateOptionsFrom, type LocateOptions } from '#libs/broker/locate.ts';
import { sha256OfFile } from '#libs/broker/server-cache.ts';
import { cached } from '#libs/broker/sources/cached.ts';
import { distributionPackage } from '#libs/broker/sources/distribution-package.ts';
import { archiveName } from '#libs/broker/sources/release-archive.ts';
import { RELEASE_VERSION } from '#libs/broker/version.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { scratchDir } from '#test/support/broker.ts';

const newDir = (): string => {
  const folder = scratchDir('locate');
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

/** An executable that answers as a nats-server of that version would. */
const writeServer = (path: string, version: string): string => {
  writeFileSync(path, `#!/bin/sh\necho 'nats-server: v${version}'\n`);
  chmodSync(path, 0o755);
  return path;
};

/** A machine with nothing: no variable, an empty cache, an empty PATH, no network, no distribution. */
const bareMachine = (changes: Partial<LocateOptions> = {}): LocateOptions => ({
  ...locateOptionsFrom({}, systemClock),
  cacheDir: join(newDir(), 'cache'),
  systemRoot: newDir(),
  releasesUrl: 'http://127.0.0.1:1/none',
  ...changes,
});

const failureOf = async (options: LocateOptions): Promise<Fault> => {
  const failure = await locateBroker(options).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({ name: 'Fault', code: 'BROKER_UNAVAILABLE' });
  return failure as Fault;
};

const NAME = archiveName(process.platform, process.arch) ?? 'unsupported';

interface Releases {
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly asked: string[];
}

/** A mirror of the release downloads that offers one archive; `sums` replaces the list of checksums. */
const serveReleases = async (sums?: string): Promise<Releases> => {
  const folder = newDir();
  mkdirSync(join(folder, NAME));
  writeServer(join(folder, NAME, 'nats-server'), RELEASE_VERSION);
  execFileSync('tar', ['-czf', 'a.tar.gz', NAME], { cwd: folder });
  const archive = readFileSync(join(folder, 'a.tar.gz'));
  const sum = createHash('sha256').update(archive).digest('hex');
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const body = request.url?.endsWith('SHA256SUMS') ? (sums ?? `${sum}  ${NAME}.tar.gz\n`) : archive;
    response.end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`, asked };
};

test('a machine that has nothing is told every place, why not, and what to do', async () => {
  const fault = await failureOf(bareMachine());
  expect(fault.retry).toBe('later');
  expect(fault.message).toMatch(/^No nats-server could be found or fetched\. Tried:\n/);
  for (const line of [
    'FLEETLOG_NATS_SERVER: absent, not set',
    'cache: absent, nothing in',
    'PATH: absent, no nats-server there',
    'release archive: failed, http://127.0.0.1:1/none cannot be used',
    'distribution package: absent, this system is neither Debian nor Ubuntu',
    'What to do:',
    `download ${NAME}.tar.gz by hand, unpack it and set FLEETLOG_NATS_SERVER to its nats-server`,
    'install nats-server 2.14.0 or newer and put it on PATH, or set FLEETLOG_NATS_SERVER to it',
  ]) {
    expect(fault.message).toContain(line);
  }
  expect(fault.detail['attempts']).toHaveLength(5);
});

describe('the server that the environment names', () => {
  test('is used before any other', async () => {
    const folder = newDir();
    const explicitPath = writeServer(join(folder, 'mine'), '2.14.0');
    writeServer(join(folder, 'nats-server'), '2.15.1');
    const found = await locateBroker(bareMachine({ explicitPath, searchPath: folder }));
    expect(found).toMatchObject({ path: explicitPath, version: '2.14.0', source: 'FLEETLOG_NATS_SERVER' });
  });

  test.each([
    ['is too old', '2.13.9', 'is version 2.13.9, and 2.14.0 is needed'],
    ['is something else', 'x', 'is not a nats-server'],
  ])('is an error and not passed over when it %s', async (_, version, reason) => {
    const folder = newDir();
    const explicitPath = writeServer(join(folder, 'mine'), version);
    writeServer(join(folder, 'nats-server'), '2.15.1');
    const fault = await failureOf(bareMachine({ explicitPath, searchPath: folder }));
    expect(fault.message).toContain(reason);
    expect(fault.message).toContain('correct FLEETLOG_NATS_SERVER, or unset it');
    expect(fault.detail['attempts']).toHaveLength(1);
  });

  test('is an error when it does not exist', async () => {
    const fault = await failureOf(bareMachine({ explicitPath: '/nowhere/nats-server' }));
    expect(fault.message).toContain('/nowhere/nats-server does not run (ENOENT');
  });
});

test('PATH is searched to its end for one that is new enough', async () => {
  const [old, good] = [newDir(), newDir()];
  writeServer(join(old, 'nats-server'), '2.9.10');
  const path = writeServer(join(good, 'nats-server'), '2.15.0');
  const found = await locateBroker(bareMachine({ searchPath: `${old}:/nowhere::${good}` }));
  expect(found).toMatchObject({ path, version: '2.15.0', source: 'PATH' });
  const fault = await failureOf(bareMachine({ searchPath: old, isOffline: true }));
  expect(fault.message).toContain('PATH: refused');
  expect(fault.message).toContain('release archive: skipped, downloads are switched off');
});

describe('the release archive', () => {
  test('is fetched once, checked, and then found in the cache, by however many ask at the same time', async () => {
    const releases = await serveReleases();
    const options = bareMachine({ releasesUrl: releases.url });
    const found = await Promise.all([locateBroker(options), locateBroker(options), locateBroker(options)]);
    expect(found.map(({ source }) => source).sort()).toEqual(['cache', 'cache', 'release archive']);
    expect(new Set(found.map(({ path }) => path)).size).toBe(1);
    expect(releases.asked).toEqual([
      `/v${RELEASE_VERSION}/SHA256SUMS`,
      `/v${RELEASE_VERSION}/${NAME}.tar.gz`,
    ]);
    expect(await sha256OfFile(found[0]?.path ?? '')).toBe(found[0]?.sha256);
  });

  test('with another checksum than the published one is refused, and leaves nothing in the cache', async () => {
    const releases = await serveReleases(`${'0'.repeat(64)}  ${NAME}.tar.gz\n`);
    const options = bareMachine({ releasesUrl: releases.url });
    const fault = await failureOf(options);
    expect(fault.message).toMatch(/has checksum [0-9a-f]{64}, and not 0{64} as published/);
    expect((await cached.find(options)).outcome).toBe('absent');
  });

  test('without a published checksum is not even downloaded', async () => {
    const releases = await serveReleases('<html>\n');
    expect((await failureOf(bareMachine({ releasesUrl: releases.url }))).message).toContain(
      `no checksum of ${NAME}.tar.gz is published`,
    );
    expect(releases.asked).toHaveLength(1);
  });
});

test('a cached server that was changed is not used, and fetched anew where that is possible', async () => {
  const releases = await serveReleases();
  const options = bareMachine({ releasesUrl: releases.url });
  const { path } = await locateBroker(options);
  writeFileSync(path, '#!/bin/sh\necho nats-server: v9.9.9; echo evil\n');
  expect(await failureOf({ ...options, isOffline: true })).toMatchObject({
    message: expect.stringContaining('cache: refused, the server in'),
  });
  const again = await locateBroker(options);
  expect(again.source).toBe('release archive');
  expect(readFileSync(again.path, 'utf8')).not.toContain('evil');
});

test('a cache that cannot be written is named, with what to do', async () => {
  const folder = newDir();
  writeFileSync(join(folder, 'file'), '');
  const fault = await failureOf(bareMachine({ cacheDir: join(folder, 'file', 'cache') }));
  expect(fault.message).toContain(`nothing can be stored in ${join(folder, 'file', 'cache')}: ENOTDIR`);
  expect(fault.message).toContain('set XDG_CACHE_HOME to a directory that can be written');
});

test('without downloads nothing is written', async () => {
  const options = bareMachine({ isOffline: true });
  await failureOf(options);
  expect(existsSync(options.cacheDir)).toBe(false);
});

test('what a broken-off installation left behind is no server', async () => {
  const options = bareMachine({ isOffline: true });
  mkdirSync(join(options.cacheDir, 'nats-server/2.15.1'), { recursive: true });
  writeServer(join(options.cacheDir, 'nats-server/2.15.1/nats-server'), '2.15.1');
  expect((await cached.find(options)).outcome).toBe('absent');
  writeFileSync(join(options.cacheDir, 'nats-server/2.15.1/installed.json'), '{"version":"2.15.1"');
  expect((await cached.find(options)).outcome).toBe('absent');
});

test('options come from the environment, with the cache outside of every checkout', () => {
  const of = (environment: Record<string, string>): LocateOptions =>
    locateOptionsFrom(environment, systemClock);
  expect(of({ HOME: '/h' }).cacheDir).toBe(
    process.platform === 'darwin' ? '/h/Library/Caches/fleetlog' : '/h/.cache/fleetlog',
  );
  expect(
    of({ XDG_CACHE_HOME: '/c', FLEETLOG_NATS_SERVER: '/n', FLEETLOG_OFFLINE: '1', PATH: '/p' }),
  ).toMatchObject({
    cacheDir: '/c/fleetlog',
    explicitPath: '/n',
    isOffline: true,
    searchPath: '/p',
  });
});

const hasApt = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get');

describe.skipIf(!hasApt)('the distribution’s package (only where apt is)', () => {
  test('is fetched from the machine’s own mirror into an empty cache, and runs', async ({ skip }) => {
    const options = {
      ...locateOptionsFrom(readEnvironment(), systemClock),
      cacheDir: join(newDir(), 'cache'),
    };
    const finding = await distributionPackage.find(options);
    const isCutOff = finding.outcome === 'failed' && /cannot be read|not listed/.test(finding.reason);
    if (isCutOff) skip(`the mirror cannot be reached: ${finding.reason}`);
    expect(finding).toMatchObject({ outcome: 'found' });
    if (finding.outcome !== 'found') return;
    expect(execFileSync(finding.path, ['--version'], { encoding: 'utf8' })).toContain(finding.version);
    expect(await locateBroker({ ...options, explicitPath: undefined, isOffline: true })).toMatchObject({
      source: 'cache',
      sha256: finding.sha256,
    });
  }, 240_000);

  test('is refused when the mirror is not signed by the distribution', async () => {
    const systemRoot = newDir();
    mkdirSync(join(systemRoot, 'etc/apt'), { recursive: true });
    writeFileSync(join(systemRoot, 'etc/os-release'), 'ID=debian\nVERSION_CODENAME=bookworm\n');
    const mirror = createServer((_, response) => void response.end('Suite: sid\n')).listen(0, '127.0.0.1');
    await once(mirror, 'listening');
    onTestFinished(() => {
      mirror.closeAllConnections();
      mirror.close();
    });
    const address = mirror.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
    writeFileSync(
      join(systemRoot, 'etc/apt/sources.list'),
      `deb [signed-by=${keyring}] http://127.0.0.1:${port}/debian bookworm main\n`,
    );
    const finding = await distributionPackage.find(bareMachine({ systemRoot }));
    expect(finding).toMatchObject({ outcome: 'failed' });
    expect(finding.outcome !== 'found' && finding.reason).toContain('cannot be read');
  }, 60_000);
});
