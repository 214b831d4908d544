// Fetched servers on disk, outside every checkout: `<cacheDir>/nats-server/<version>/nats-server` and what is known about each.
// An entry appears whole or not at all (rename), and is used only while it is the file that was installed.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { compareVersions, isNewEnough } from './version.ts';

/** What was known of a server when it was installed. */
interface CacheEntry {
  readonly version: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly modifiedAt: number;
  /** Which source it came from. */
  readonly source: string;
}

export interface CachedServer extends CacheEntry {
  readonly path: string;
}

const serversDir = (cacheDir: string): string => join(cacheDir, 'nats-server');

/** SHA-256 of a file, hex. */
export const sha256OfFile = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
};

const parseEntry = (text: string): CacheEntry | undefined => {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) return undefined;
  const { version, sha256, sizeBytes, modifiedAt, source } = { ...value } as Record<string, unknown>;
  const isEntry =
    typeof version === 'string' &&
    typeof sha256 === 'string' &&
    typeof sizeBytes === 'number' &&
    typeof modifiedAt === 'number' &&
    typeof source === 'string';
  return isEntry ? { version, sha256, sizeBytes, modifiedAt, source } : undefined;
};

const readEntry = async (folder: string): Promise<CacheEntry | undefined> => {
  try {
    return parseEntry(await readFile(join(folder, 'installed.json'), 'utf8'));
  } catch {
    return undefined;
  }
};

/**
 * Whether the executable is still the one that was installed: size and time of change are enough when they match,
 * the checksum decides when they do not (`full` always asks the checksum).
 */
export const isIntact = async (server: CachedServer, full: boolean): Promise<boolean> => {
  try {
    const facts = await stat(server.path);
    const looksSame = facts.size === server.sizeBytes && Math.trunc(facts.mtimeMs) === server.modifiedAt;
    if (looksSame && !full) return true;
    return facts.size === server.sizeBytes && (await sha256OfFile(server.path)) === server.sha256;
  } catch {
    return false;
  }
};

/** Every installed server that is new enough, newest first. Not yet checked, see {@link isIntact}. */
export const listCached = async (cacheDir: string): Promise<readonly CachedServer[]> => {
  const names = await readdir(serversDir(cacheDir)).catch((): string[] => []);
  const servers: CachedServer[] = [];
  for (const name of names) {
    const folder = join(serversDir(cacheDir), name);
    const entry = await readEntry(folder);
    if (entry !== undefined && isNewEnough(entry.version))
      servers.push({ ...entry, path: join(folder, 'nats-server') });
  }
  return servers.sort((a, b) => compareVersions(b.version, a.version));
};

/**
 * Copies `executable` into the cache. Two processes may do this at the same time: the last one wins and both results work,
 * also for a broker that runs from the replaced file.
 */
export const installIntoCache = async (
  cacheDir: string,
  server: { readonly executable: string; readonly version: string; readonly source: string },
): Promise<CachedServer> => {
  const target = join(serversDir(cacheDir), server.version);
  await mkdir(dirname(target), { recursive: true });
  const draft = await mkdtemp(join(serversDir(cacheDir), '.draft-'));
  try {
    const path = join(draft, 'nats-server');
    await copyFile(server.executable, path);
    await chmod(path, 0o755);
    const facts = await stat(path);
    const entry: CacheEntry = {
      version: server.version,
      sha256: await sha256OfFile(path),
      sizeBytes: facts.size,
      modifiedAt: Math.trunc(facts.mtimeMs),
      source: server.source,
    };
    await writeFile(join(draft, 'installed.json'), `${JSON.stringify(entry, undefined, 2)}\n`);
    await moveInto(draft, target);
    return { ...entry, path: join(target, 'nats-server') };
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
};

/** Puts the finished folder in its place; an entry that is there already (damaged, or of another process) makes room. */
const moveInto = async (draft: string, target: string): Promise<void> => {
  try {
    await rename(draft, target);
  } catch {
    const old = `${draft}-replaced`;
    await rename(target, old).catch(() => {});
    await rename(draft, target);
    await rm(old, { recursive: true, force: true });
  }
};
