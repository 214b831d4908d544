// A stack of real processes for one test file, on a data directory of its own: `fleetlog up` or single services, and the command
// line. Every process of it, down to the programs of agents, has the directory in its environment: by it what is left is found and killed.
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#libs/system/clock.ts';
import { testExecutable } from './broker.ts';
import { startFile, type StartedFile } from './spawned-process.ts';

/** What `fleetlog up --json` prints when everything answers. */
export interface UpStack extends StartedFile {
  readonly apiUrl: string;
  readonly ready: Readonly<Record<string, unknown>>;
}

interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as one JSON document. */
  json(): Record<string, unknown>;
  /** Standard output as one JSON document a line. */
  lines(): Record<string, unknown>[];
}

export interface StackHome extends AsyncDisposable {
  readonly dataDir: string;
  /** Starts a file of the repository as a part of this stack. */
  start(path: string, args: readonly string[], environment?: Readonly<Record<string, string>>): StartedFile;
  /** `fleetlog up --json --no-sample`; resolves when it says that it is ready. */
  up(args?: readonly string[], environment?: Readonly<Record<string, string>>): Promise<UpStack>;
  /** Runs a command of the command line to its end. */
  cli(args: readonly string[], input?: string): Promise<CliResult>;
  /** What JSON the running stack left for tools. */
  connection(): {
    readonly natsUrl: string;
    readonly natsUser: string;
    readonly natsPassword: string;
    readonly apiUrl: string;
  };
  /** Living processes of this stack, by command line; without zombies. */
  processes(): ReadonlyMap<number, string>;
  /** The process whose command line fits. */
  pidOf(command: RegExp): number;
}

const readProc = (pid: string, file: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // It has gone, or is somebody else's.
    return '';
  }
};

const processesWith = (text: string): ReadonlyMap<number, string> => {
  const found = new Map<number, string>();
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue;
    // A process between fork and exec still has the environment of its parent: what counts is where it is looked for.
    if (!readProc(pid, 'environ').includes(text)) continue;
    if (/^State:\s+[ZX]/m.test(readProc(pid, 'status'))) continue;
    found.set(Number(pid), readProc(pid, 'cmdline').replaceAll('\0', ' ').trim());
  }
  return found;
};

const resultOf = async (child: StartedFile): Promise<CliResult> => {
  const { code } = await child.exit;
  const stdout = child.stdout.all.join('\n');
  return {
    code,
    stdout,
    stderr: child.stderr.all.join('\n'),
    json: () => JSON.parse(stdout) as Record<string, unknown>,
    lines: () => child.stdout.all.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
};

const kill = (pid: number): void => {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was faster.
  }
};

/** Kills what is left, also what a dying guard or service still starts. */
const killAll = async (mark: string): Promise<void> => {
  for (let found = processesWith(mark); found.size > 0; found = processesWith(mark)) {
    for (const pid of found.keys()) kill(pid);
    await systemClock.sleep(10);
  }
};

const removeAll = async (dataDir: string): Promise<void> => {
  await killAll(dataDir);
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 3 });
};

/** A data directory of its own (below `parent`) with nothing running on it. Needs `/proc`. */
export const stackHome = async (purpose: string, parent = tmpdir()): Promise<StackHome> => {
  const dataDir = realpathSync(mkdtempSync(join(parent, `fleetlog-${purpose}-`)));
  const shared = { FLEETLOG_DATA: dataDir, FLEETLOG_NATS_SERVER: await testExecutable() };
  const start: StackHome['start'] = (path, args, environment = {}) =>
    startFile(path, { ...shared, ...environment }, args);
  const processes = (): ReadonlyMap<number, string> => processesWith(dataDir);
  return {
    dataDir,
    start,
    processes,
    up: async (args = [], environment = {}) => {
      const asked = ['up', '--json', '--no-sample', '--data', dataDir, '--port', '0', ...args];
      const child = start('services/fleetlog.mjs', asked, environment);
      const line = await child.stdout.until(/"ready":true/).catch(async () => {
        const { code } = await child.exit;
        throw new Error(`up ended with ${code}: ${[...child.stdout.all, ...child.stderr.all].join('\n')}`);
      });
      const ready = JSON.parse(line) as Record<string, unknown>;
      return { ...child, ready, apiUrl: String(ready['apiUrl']) };
    },
    cli: (args, input) => {
      const child = start('services/fleetlog.mjs', args);
      if (input !== undefined) child.say(input);
      child.endInput();
      return resultOf(child);
    },
    connection: () => JSON.parse(readFileSync(join(dataDir, 'connection.json'), 'utf8')),
    pidOf: (command) => {
      const found = [...processes()].find(([, line]) => command.test(line));
      if (found === undefined) throw new Error(`no process ${String(command)}`);
      return found[0];
    },
    [Symbol.asyncDispose]: () => removeAll(dataDir),
  };
};

/** Asks the gateway of a stack; the body is parsed. */
export const api = async (
  apiUrl: string,
  path: string,
  init: RequestInit & { readonly json?: unknown } = {},
): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> => {
  const { json, ...rest } = init;
  const asJson = json === undefined ? {} : { body: JSON.stringify(json), method: 'POST' };
  const headers = json === undefined ? {} : { 'content-type': 'application/json' };
  const response = await fetch(new URL(path, apiUrl), {
    ...asJson,
    ...rest,
    headers: { ...headers, ...(rest.headers as Record<string, string> | undefined) },
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>) };
};
