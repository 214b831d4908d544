// Brings what a checkout needs: the packages of package-lock.json and Node 24 as node_modules/.bin/node. Runs on Node 18 and newer
// before every npm script; does nothing, fast, when all is there. It fetches no broker (libs/broker does, when one is needed).
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED_NODE = 24;
const root = dirname(fileURLToPath(import.meta.url));
const stampPath = join(root, 'node_modules', '.fleetlog-setup.json');
const nodePath = join(root, 'node_modules', '.bin', 'node');
const lockDir = join(root, '.cache', 'setup.lock');
const LOCK_LOOK_MS = 200;
const FOREIGN_LOCK_STALE_MS = 15 * 60_000;
const WAIT_WITHIN_MS = 15 * 60_000;

const say = (line) => process.stderr.write(`fleetlog setup: ${line}\n`);

/** A problem that the person at the keyboard has to solve; its text says how. */
class SetupProblem extends Error {}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const readJson = (path) => {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
};

const lockFileDigest = () => {
  try {
    return createHash('sha256')
      .update(readFileSync(join(root, 'package-lock.json')))
      .digest('hex');
  } catch {
    throw new SetupProblem(
      `${join(root, 'package-lock.json')} cannot be read: this is no complete checkout. Get it again.`,
    );
  }
};

const canRun = (path) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

/** Whether the packages of this very lock file are installed, with a Node that was checked. */
const isDone = (digest) => readJson(stampPath)?.lockFile === digest && canRun(nodePath);

// ── One set-up at a time ─────────────────────────────────────────────────────────────────────────────────────────────
// The lock is a directory (making one is atomic) that names its owner. A lock whose owner is dead is moved away, which
// only one process can do; who moved a living one by mistake puts it back, and its owner looks twice before it begins.

const startOf = (pid) => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return '';
  }
};

const isRunning = (owner) => {
  if (owner.host !== hostname()) return Date.now() - owner.since < FOREIGN_LOCK_STALE_MS;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  return startOf(owner.pid) === owner.started;
};

const readOwner = (folder) => readJson(join(folder, 'owner.json'));

const tryLock = (me) => {
  // The lock appears together with its owner's name: made elsewhere, moved here. Moving onto a lock that exists fails.
  const draft = `${lockDir}.${me.token}`;
  mkdirSync(draft, { recursive: true });
  writeFileSync(join(draft, 'owner.json'), JSON.stringify(me));
  try {
    renameSync(draft, lockDir);
    return true;
  } catch {
    rmSync(draft, { recursive: true, force: true });
    return false;
  }
};

const moveStaleAway = (stale, me) => {
  const aside = `${lockDir}.stale.${me.token}`;
  try {
    renameSync(lockDir, aside);
  } catch {
    return;
  }
  if (readOwner(aside)?.token === stale?.token) {
    rmSync(aside, { recursive: true, force: true });
    return;
  }
  try {
    renameSync(aside, lockDir);
  } catch {
    rmSync(aside, { recursive: true, force: true });
  }
};

const takeLock = async (isDoneByOther) => {
  const me = {
    pid: process.pid,
    started: startOf(process.pid),
    host: hostname(),
    since: Date.now(),
    token: randomUUID(),
  };
  mkdirSync(dirname(lockDir), { recursive: true });
  let isAnnounced = false;
  while (Date.now() - me.since < WAIT_WITHIN_MS) {
    if (tryLock(me)) {
      await sleep(50);
      if (readOwner(lockDir)?.token === me.token)
        return () => rmSync(lockDir, { recursive: true, force: true });
      continue;
    }
    if (isDoneByOther()) return undefined;
    const owner = readOwner(lockDir);
    if (owner === undefined || !isRunning(owner)) {
      moveStaleAway(owner, me);
      continue;
    }
    if (!isAnnounced) say(`waiting for the set-up that process ${owner.pid} is doing`);
    isAnnounced = true;
    await sleep(LOCK_LOOK_MS);
  }
  throw new SetupProblem(
    `another set-up has not ended for a long time. If none runs, remove ${lockDir} and try again.`,
  );
};

// ── Packages ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The npm that runs us, else the one on PATH. */
const npmCommand = () => {
  const cli = process.env.npm_execpath;
  return cli !== undefined && /npm-cli\.c?js$/.test(cli) && existsSync(cli)
    ? [process.execPath, cli]
    : ['npm'];
};

const registryName = (file, args) => {
  const asked = spawnSync(file, [...args, 'config', 'get', 'registry', '--loglevel=error'], {
    cwd: root,
    encoding: 'utf8',
  });
  return asked.stdout?.trim().replace(/\/\/[^/@]*@/, '//') || 'the package registry';
};

const describeNpmFailure = (output, file, args) => {
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|CERT|SSL/.test(output)) {
    return `${registryName(file, args)} cannot be reached. Check the network, the proxy and "npm config get registry", then run the command again.`;
  }
  if (/\bE40[13]\b/.test(output)) {
    return `${registryName(file, args)} refuses access. Log in with "npm login" or correct the registry in .npmrc, then run the command again.`;
  }
  if (/ENOSPC/.test(output)) return 'the disk is full. Free about 600 MB and run the command again.';
  if (/EACCES|EPERM|EROFS/.test(output))
    return `${root} is not writable for this user. Correct its owner, then run the command again.`;
  if (/ERESOLVE|EUSAGE|in sync/.test(output))
    return 'package.json and package-lock.json do not fit together. Run "npm install" once and look at the difference.';
  return 'its own words are above. Run "npm ci" by hand for more.';
};

/** Whether npm itself says that exactly the packages of the lock file are here (somebody ran npm install or npm ci by hand). */
const isInstalledByHand = () => {
  const wanted = readJson(join(root, 'package-lock.json'))?.packages;
  const present = readJson(join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (wanted === undefined || present === undefined) return false;
  const isSame = ([path, found]) =>
    found.version === wanted[path]?.version && found.integrity === wanted[path]?.integrity;
  const isHere = ([path, { optional }]) => path === '' || optional === true || present[path] !== undefined;
  return Object.entries(present).every(isSame) && Object.entries(wanted).every(isHere);
};

const installPackages = () =>
  new Promise((resolve, reject) => {
    const [file, ...args] = npmCommand();
    const isUpdate = existsSync(join(root, 'node_modules'));
    say(
      `${isUpdate ? 'package-lock.json has changed: updating' : 'installing'} packages (about a minute, the first time)`,
    );
    const child = spawn(
      file,
      [...args, 'ci', '--loglevel=error', '--no-audit', '--no-fund', '--include=dev', '--include=optional'],
      {
        cwd: root,
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output = (output + chunk).slice(-20_000);
        process.stderr.write(chunk);
      });
    }
    child.once('error', (error) =>
      reject(
        new SetupProblem(
          `"${file}" could not be started (${error.message}). Install npm (it comes with Node) and put it on PATH.`,
        ),
      ),
    );
    child.once('close', (code, signal) =>
      code === 0
        ? resolve()
        : reject(
            new SetupProblem(
              `"npm ci" failed (${signal ?? `code ${code}`}): ${describeNpmFailure(output, file, args)}`,
            ),
          ),
    );
  });

// ── Node 24 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const versionOf = (path) => {
  const asked = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  return asked.status === 0 ? asked.stdout.trim() : undefined;
};

const isEnough = (version) => version !== undefined && Number(/^v(\d+)/.exec(version)?.[1]) >= NEEDED_NODE;

/** The Node of the platform's package; where there is none (or it does not run, as on musl) this machine's own, if new enough. */
const provideNode = () => {
  const packaged = existsSync(nodePath) ? versionOf(nodePath) : undefined;
  if (isEnough(packaged)) return packaged;
  if (isEnough(process.version)) {
    rmSync(nodePath, { force: true });
    mkdirSync(dirname(nodePath), { recursive: true });
    symlinkSync(process.execPath, nodePath);
    return process.version;
  }
  throw new SetupProblem(
    `Node ${NEEDED_NODE} or newer is needed. ${packaged === undefined ? `There is no package of it that runs on ${process.platform} ${process.arch}` : `The package brought ${packaged}`}, ` +
      `and this machine's own is ${process.version}. Install Node ${NEEDED_NODE} and run the command again.`,
  );
};

const setUp = async () => {
  const digest = lockFileDigest();
  if (isDone(digest)) {
    // The launcher compares times only; a checkout that touched the lock file without changing it stays fast.
    const now = new Date();
    utimesSync(stampPath, now, now);
    return;
  }
  const release = await takeLock(() => isDone(digest));
  if (release === undefined) return;
  process.once('exit', release);
  if (isDone(digest)) return;
  const began = Date.now();
  const mustInstall = !isInstalledByHand();
  if (mustInstall) await installPackages();
  const node = provideNode();
  writeFileSync(stampPath, `${JSON.stringify({ lockFile: digest, node })}\n`);
  if (mustInstall) say(`ready after ${((Date.now() - began) / 1000).toFixed(1)} s, with Node ${node}`);
};

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

try {
  await setUp();
} catch (error) {
  if (!(error instanceof SetupProblem)) throw error;
  say(error.message);
  process.exitCode = 1;
}
