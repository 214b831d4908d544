// The secrets of one deployment: a directory of files, made once, each readable by its owner only.
// Those of runners and hosts may lie in a directory of their own, which is all that a host needs to see. Never prints one; never changes
// one that is there.
import { Fault } from '#libs/kernel/fault.ts';
import type { FleetSecrets } from '#streams/accounts.ts';
import { makeFolder } from '#libs/outbox/make-folder.ts';
import { newSecret } from '#libs/system/secrets.ts';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface StackSecrets extends FleetSecrets {
  readonly apiToken: string;
  /** Of the HTTP API, for those who may only read. */
  readonly viewerToken: string;
}

/** Reads a secret, or makes it: created exclusively, so that two starts at once agree on one. */
const secretIn = async (dir: string, name: string): Promise<string> => {
  const path = join(dir, name);
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const text = (await readFile(path, 'utf8')).trim();
      if (text.length >= 32) return text;
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw unreadable(path, error);
      await createExclusively(path);
    }
  }
  throw unreadable(
    path,
    new Error('it is shorter than a secret made here; remove it to have a new one made'),
  );
};

/** Made beside its place and linked into it: it is there whole or not at all, and the first of two makers wins. */
const createExclusively = async (path: string): Promise<void> => {
  const draft = `${path}.${process.pid}.new`;
  try {
    await writeFile(draft, `${newSecret()}\n`, { mode: 0o600, flush: true });
    await link(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw unreadable(path, error);
  } finally {
    await rm(draft, { force: true });
  }
};

const unreadable = (path: string, cause: unknown): Fault =>
  new Fault({
    code: 'SECRET_UNREADABLE',
    retry: 'never',
    message: `the secret ${path} cannot be read or made: ${cause instanceof Error ? cause.message : String(cause)}`,
    cause,
  });

/** File name of a runner's password. */
export const runnerFile = (agent: string): string => `runner-${agent}-password`;

/** File name of a host's password. */
const hostFile = (host: string): string => `host-${host}-password`;

const makeSecretsFolder = (dir: string): void => {
  try {
    makeFolder(dir);
  } catch (error) {
    throw unreadable(dir, error);
  }
};

/** Where the secrets of a deployment lie. */
export interface SecretPlaces {
  readonly dir: string;
  /** Of the passwords of runners and hosts. */
  readonly credentialsDir: string;
}

/** Who has a password. */
export interface SecretHolders {
  readonly agents: readonly string[];
  readonly hosts: readonly string[];
}

/** Those that `known` has not are read, or made. */
const secretsFor = async (
  names: readonly string[],
  pathOf: (name: string) => readonly [dir: string, file: string],
  known: Readonly<Record<string, string>> = {},
): Promise<Record<string, string>> => {
  const found: Record<string, string> = {};
  for (const name of names) found[name] = known[name] ?? (await secretIn(...pathOf(name)));
  return found;
};

/** The secrets of a deployment, made where they are missing; what `known` has is not read again. Fault: `SECRET_UNREADABLE` (never). */
export const ensureSecrets = async (
  { dir, credentialsDir }: SecretPlaces,
  { agents, hosts }: SecretHolders,
  known?: StackSecrets,
): Promise<StackSecrets> => {
  makeSecretsFolder(dir);
  makeSecretsFolder(credentialsDir);
  return {
    controlPassword: await secretIn(dir, 'control-password'),
    systemPassword: await secretIn(dir, 'system-password'),
    viewerPassword: await secretIn(dir, 'viewer-password'),
    apiToken: await secretIn(dir, 'api-token'),
    viewerToken: await secretIn(dir, 'viewer-token'),
    runnerPasswords: await secretsFor(
      agents,
      (agent) => [credentialsDir, runnerFile(agent)],
      known?.runnerPasswords,
    ),
    hostPasswords: await secretsFor(hosts, (host) => [credentialsDir, hostFile(host)], known?.hostPasswords),
  };
};
