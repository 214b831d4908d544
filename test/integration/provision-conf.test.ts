// streams/nats.conf, which containers run, says the same as streams/accounts.ts, which `npm start` runs; a server accepts it, and takes up
// the users of new agents while it runs.
import { renderAccounts } from '#libs/broker/broker-config.ts';
import { writeBrokerUsers } from '#services/broker-users.ts';
import { secretsOf } from '#services/stack-identity.ts';
import { accountsOf } from '#streams/accounts.ts';
import { scratchDir, testExecutable } from '#test/support/broker.ts';
import { execFile } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const CONF = join(import.meta.dirname, '../../streams/nats.conf');
const text = readFileSync(CONF, 'utf8');

const PASSWORDS = {
  FLEETLOG_CONTROL_PASSWORD: 'control-secret',
  FLEETLOG_SYSTEM_PASSWORD: 'system-secret',
  FLEETLOG_VIEWER_PASSWORD: 'viewer-secret',
};
const SHAPE = {
  agents: [{ tenant: 'local', project: 'main', agent: 'builder-1' }],
  hosts: [{ tenant: 'local', project: 'main', host: 'local' }],
};
const SECRETS = {
  controlPassword: PASSWORDS.FLEETLOG_CONTROL_PASSWORD,
  systemPassword: PASSWORDS.FLEETLOG_SYSTEM_PASSWORD,
  viewerPassword: PASSWORDS.FLEETLOG_VIEWER_PASSWORD,
  apiToken: 'api-token',
  viewerToken: 'viewer-token',
  runnerPasswords: { 'builder-1': 'runner-secret' },
  hostPasswords: { local: 'host-secret' },
};

/** As much of the configuration language as the files use: maps, lists, words, strings, variables, comments, inclusion. */
class ConfReader {
  readonly #tokens: string[];
  readonly #included: (name: string) => string | undefined;
  constructor(source: string, included: (name: string) => string | undefined = () => undefined) {
    this.#included = included;
    const withoutComments = source.replaceAll(/("[^"]*")|#.*$/gm, '$1');
    this.#tokens = withoutComments.match(/"[^"]*"|'[^']*'|[{}[\]]|[^\s{}[\]:,="']+/g) ?? [];
  }
  map(): Record<string, unknown> {
    const entries: [string, unknown][] = [];
    for (let key = this.#tokens.shift(); key !== undefined && key !== '}'; key = this.#tokens.shift()) {
      const value = this.#value();
      const text = key === 'include' ? this.#included(String(value)) : undefined;
      if (text === undefined) entries.push([key.replaceAll('"', ''), value]);
      else entries.push(...Object.entries(new ConfReader(text.replace(/^\{/, '')).map()));
    }
    return Object.fromEntries(entries);
  }
  #value(): unknown {
    const token = this.#tokens.shift() ?? '';
    if (token === '{') return this.map();
    if (token === '[') return this.#list();
    if (token.startsWith('$')) return PASSWORDS[token.slice(1) as keyof typeof PASSWORDS];
    return token.replaceAll(/^["']|["']$/g, '');
  }
  #list(): unknown[] {
    const items: unknown[] = [];
    while (this.#tokens[0] !== ']') items.push(this.#value());
    this.#tokens.shift();
    return items;
  }
}

const accounts = accountsOf(SHAPE, SECRETS);
const written = scratchDir('conf-files');
await writeBrokerUsers(written, accounts, SECRETS);
const conf = new ConfReader(text, (name) =>
  name === 'secrets/runners.conf' ? readFileSync(join(written, 'runners.conf'), 'utf8') : undefined,
).map();

test('the accounts, users, permissions, exports and imports are those of accounts.ts', () => {
  expect({ accounts: conf['accounts'], system_account: conf['system_account'] }).toEqual(
    renderAccounts(accounts),
  );
});

test('an acknowledged append is on disk', () => {
  expect(conf['jetstream']).toMatchObject({ sync_interval: 'always', store_dir: '/data/jetstream' });
});

test('no password stands in the file', () => {
  const values = [...text.matchAll(/password:\s*(\S+)/g)].map(([, value]) => value);
  expect(values).toHaveLength(3);
  for (const value of values) expect(value).toMatch(/^\$FLEETLOG_[A-Z0-9_]+_PASSWORD$/);
});

test('every setting has a reason above it', () => {
  const lines = text.split('\n');
  const settings = lines.flatMap((line, index) => (/^[a-z_]+( \{|:)/.test(line) ? [index] : []));
  expect(settings.length).toBeGreaterThan(10);
  /** A block, or a setting that follows one that is explained in the same paragraph. */
  const isExplained = (index: number): boolean => {
    const before = lines[index - 1] ?? '';
    const inside = lines[index + 1] ?? '';
    if (before.startsWith('#')) return true;
    if (/^ +#|^ +[a-z_A-Z]/.test(inside)) return true;
    return before !== '' && isExplained(index - 1);
  };
  const bare = settings.filter((index) => !isExplained(index)).map((index) => lines[index]);
  expect(bare).toEqual(['server_name: fleetlog']);
});

test('nats-server accepts it, with the passwords that the deployment makes', async () => {
  const dir = scratchDir('conf');
  cpSync(CONF, join(dir, 'fleetlog.conf'));
  const secrets = join(dir, 'secrets');
  await secretsOf({ dir: secrets, credentialsDir: secrets }, SHAPE);
  const { stdout, stderr } = await promisify(execFile)(await testExecutable(), [
    '-t',
    '-c',
    join(dir, 'fleetlog.conf'),
  ]);
  expect(stdout + stderr).toContain('is valid');
});
