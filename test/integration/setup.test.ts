// setup.mjs and the launcher on a copy of their own, with an npm that only pretends: what they run, when they run nothing,
// and what they say when it goes wrong. The real npm is exercised by .ci/run on a fresh clone.
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { systemClock } from '#libs/system/clock.ts';
import { scratchDir } from '#test/support/broker.ts';

const ROOT = join(import.meta.dirname, '../..');

interface Checkout {
  readonly path: string;
  /** How often npm ci ran to its end. */
  installs(): number;
}

/** A checkout whose npm installs nothing but a Node, slowly, or fails with `failure`. */
const newCheckout = (failure?: string): Checkout => {
  const path = scratchDir('setup');
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  for (const name of ['setup.mjs', 'fleetlog']) copyFileSync(join(ROOT, name), join(path, name));
  writeFileSync(join(path, 'package-lock.json'), '{"packages":{"":{},"node_modules/a":{"version":"1.0.0"}}}');
  mkdirSync(join(path, 'bin'));
  const log = join(path, 'installs.log');
  writeFileSync(
    join(path, 'bin/npm'),
    failure === undefined
      ? `#!/bin/sh
rm -rf node_modules; sleep 0.3; mkdir -p node_modules/.bin
ln -s '${process.execPath}' node_modules/.bin/node
echo "$@" >> '${log}'
`
      : `#!/bin/sh\n[ "$1" = config ] && { echo https://user:pass@packages.example/; exit 0; }\necho '${failure}' >&2\nexit 1\n`,
  );
  chmodSync(join(path, 'bin/npm'), 0o755);
  return {
    path,
    installs: () => (existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n').length : 0),
  };
};

interface Outcome {
  readonly code: number;
  /** What it printed, then what it said on its error output. */
  readonly said: string;
}

const run = (checkout: Checkout, command: string, ...args: readonly string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    const child = execFile(
      command,
      args,
      {
        cwd: checkout.path,
        env: { PATH: `${join(checkout.path, 'bin')}:${join(process.execPath, '..')}:/usr/bin:/bin` },
      },
      (_, stdout, stderr) => resolve({ code: child.exitCode ?? -1, said: stdout + stderr }),
    );
  });

const setUp = (checkout: Checkout): Promise<Outcome> => run(checkout, process.execPath, 'setup.mjs');

test('the first run installs, the second does nothing and says nothing', async () => {
  const checkout = newCheckout();
  const first = await setUp(checkout);
  expect(first).toMatchObject({ code: 0 });
  expect(first.said).toMatch(/installing packages[\s\S]*ready after [\d.]+ s, with Node v2/);
  expect(await setUp(checkout)).toEqual({ code: 0, said: '' });
  expect(checkout.installs()).toBe(1);
});

test('a run with nothing to do is fast', async () => {
  const checkout = newCheckout();
  await setUp(checkout);
  const began = systemClock.monotonicMs();
  execFileSync(process.execPath, ['-e', '0']);
  const floorMs = systemClock.monotonicMs() - began;
  const times: number[] = [];
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const start = systemClock.monotonicMs();
    await setUp(checkout);
    times.push(systemClock.monotonicMs() - start);
  }
  // Against the start of Node itself, measured in the same run, because a busy machine is slow at both.
  expect(Math.min(...times)).toBeLessThan(Math.max(100, 4 * floorMs));
});

test('a changed lock file is installed, one with the same content is not', async () => {
  const checkout = newCheckout();
  await setUp(checkout);
  const lock = join(checkout.path, 'package-lock.json');
  writeFileSync(lock, readFileSync(lock));
  await setUp(checkout);
  expect(checkout.installs()).toBe(1);
  writeFileSync(lock, '{"packages":{"":{},"node_modules/a":{"version":"1.0.1"}}}');
  expect((await setUp(checkout)).said).toContain('package-lock.json has changed: updating packages');
  expect(checkout.installs()).toBe(2);
});

test('what somebody installed by hand is accepted as it is', async () => {
  const checkout = newCheckout();
  mkdirSync(join(checkout.path, 'node_modules/.bin'), { recursive: true });
  symlinkSync(process.execPath, join(checkout.path, 'node_modules/.bin/node'));
  writeFileSync(
    join(checkout.path, 'node_modules/.package-lock.json'),
    '{"packages":{"node_modules/a":{"version":"1.0.0"}}}',
  );
  expect(await setUp(checkout)).toEqual({ code: 0, said: '' });
  expect(checkout.installs()).toBe(0);
});

test('of several at the same time one installs and the others wait for it', async () => {
  const checkout = newCheckout();
  const outcomes = await Promise.all([setUp(checkout), setUp(checkout), setUp(checkout)]);
  expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0]);
  expect(checkout.installs()).toBe(1);
  expect(existsSync(join(checkout.path, '.cache/setup.lock'))).toBe(false);
});

test('the lock of a dead set-up is taken over', async () => {
  const checkout = newCheckout();
  const lock = join(checkout.path, '.cache/setup.lock');
  mkdirSync(lock, { recursive: true });
  const dead = { pid: process.pid, started: '1', host: hostname(), since: systemClock.now(), token: 'dead' };
  writeFileSync(join(lock, 'owner.json'), JSON.stringify(dead));
  const outcomes = await Promise.all([setUp(checkout), setUp(checkout)]);
  expect(outcomes.map(({ code }) => code)).toEqual([0, 0]);
  expect(checkout.installs()).toBe(1);
});

test.each([
  [
    'an unreachable registry',
    'npm error code ENOTFOUND',
    /https:\/\/packages\.example\/ cannot be reached\. Check the network/,
  ],
  ['a registry that refuses', 'npm error code E401', /packages\.example\/ refuses access\. Log in/],
  ['a full disk', 'npm error code ENOSPC', /the disk is full\. Free about/],
  [
    'files that do not fit together',
    'npm error code EUSAGE',
    /package\.json and package-lock\.json do not fit together/,
  ],
])('%s is named, with what to do and without a password', async (_, failure, expected) => {
  const outcome = await setUp(newCheckout(failure));
  expect(outcome.code).toBe(1);
  expect(outcome.said).toMatch(expected);
  expect(outcome.said).not.toContain('pass@');
});

test('without npm the message says what is missing', async () => {
  const checkout = newCheckout();
  rmSync(join(checkout.path, 'bin/npm'));
  const outcome = await new Promise<Outcome>((resolve) => {
    const child = execFile(
      process.execPath,
      ['setup.mjs'],
      { cwd: checkout.path, env: { PATH: '/nowhere' } },
      (_, out, err) => resolve({ code: child.exitCode ?? -1, said: out + err }),
    );
  });
  expect(outcome.code).toBe(1);
  expect(outcome.said).toContain('"npm" could not be started');
});

test('the launcher sets up, runs through a symbolic link from anywhere, keeps the directory and passes the arguments', async () => {
  const checkout = newCheckout();
  mkdirSync(join(checkout.path, 'services'));
  writeFileSync(
    join(checkout.path, 'services/fleetlog.mjs'),
    'console.log(JSON.stringify([process.cwd(), ...process.argv.slice(2)]));\n',
  );
  writeFileSync(join(checkout.path, 'package.json'), '{"type":"module"}');
  const elsewhere = scratchDir('elsewhere');
  onTestFinished(() => rmSync(elsewhere, { recursive: true, force: true }));
  symlinkSync(join(checkout.path, 'fleetlog'), join(elsewhere, 'hop'));
  symlinkSync('hop', join(elsewhere, 'fl'));
  const launch = (): Promise<Outcome> => run(checkout, 'sh', '-c', `cd '${elsewhere}' && ./fl a 'b c' ''`);
  const first = await launch();
  expect(first.said).toContain('ready after');
  expect(first.said.split('\n')[0]).toBe(JSON.stringify([elsewhere, 'a', 'b c', '']));
  const second = await launch();
  expect(second).toEqual({ code: 0, said: `${JSON.stringify([elsewhere, 'a', 'b c', ''])}\n` });
  expect(checkout.installs()).toBe(1);
});
