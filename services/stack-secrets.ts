// The secrets of one deployment: a directory of files, made once, each readable by its owner only.
// Also writes the passwords in the form that streams/nats.conf includes. Never prints one; never changes one that is there.
import { Fault } from '#libs/kernel/fault.ts';
import type { FleetSecrets } from '#streams/accounts.ts';
import { makeFolder } from '#libs/outbox/make-folder.ts';
import { newSecret } from '#libs/system/secrets.ts';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Name of the file that streams/nats.conf includes. */
const PASSWORDS_CONF = 'passwords.conf';

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
const runnerFile = (agent: string): string => `runner-${agent}-password`;

/** File name of a host's password. */
const hostFile = (host: string): string => `host-${host}-password`;

/** `runner-builder-1` → `FLEETLOG_RUNNER_BUILDER_1_PASSWORD`. */
const variableOf = (file: string): string => `FLEETLOG_${file.replaceAll('-', '_').toUpperCase()}`;

const makeSecretsFolder = (dir: string): void => {
  try {
    makeFolder(dir);
  } catch (error) {
    throw unreadable(dir, error);
  }
};

/** The secrets of a deployment with these agents and hosts, made where they are missing. Fault: `SECRET_UNREADABLE` (never). */
export const ensureSecrets = async (
  dir: string,
  agents: readonly string[],
  hosts: readonly string[] = [],
): Promise<StackSecrets> => {
  makeSecretsFolder(dir);
  const runners: Record<string, string> = {};
  for (const agent of agents) runners[agent] = await secretIn(dir, runnerFile(agent));
  const hostPasswords: Record<string, string> = {};
  for (const host of hosts) hostPasswords[host] = await secretIn(dir, hostFile(host));
  const secrets = {
    controlPassword: await secretIn(dir, 'control-password'),
    systemPassword: await secretIn(dir, 'system-password'),
    viewerPassword: await secretIn(dir, 'viewer-password'),
    apiToken: await secretIn(dir, 'api-token'),
    viewerToken: await secretIn(dir, 'viewer-token'),
    runnerPasswords: runners,
    hostPasswords,
  };
  await writePasswordsConf(dir, secrets);
  return secrets;
};

const writePasswordsConf = async (dir: string, secrets: StackSecrets): Promise<void> => {
  const files: Record<string, string> = {
    'control-password': secrets.controlPassword,
    'system-password': secrets.systemPassword,
    'viewer-password': secrets.viewerPassword,
    ...Object.fromEntries(
      Object.entries(secrets.runnerPasswords).map(([agent, value]) => [runnerFile(agent), value]),
    ),
    ...Object.fromEntries(
      Object.entries(secrets.hostPasswords ?? {}).map(([host, value]) => [hostFile(host), value]),
    ),
  };
  const lines = Object.entries(files).map(([file, value]) => `${variableOf(file)}: "${value}"`);
  const path = join(dir, PASSWORDS_CONF);
  await writeFile(`${path}.new`, `${lines.join('\n')}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
};
