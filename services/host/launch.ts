// Starts the process of a runner: in a process group (and session) of its own, with its output in a file, so that it outlives the host;
// with marks in its environment, so that the host finds it, and what it has started, after a crash. Starts it once; decides nothing.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync } from 'node:fs';
import { namesOf } from '#libs/config/schema.ts';
import { identifyProcess, type ProcessIdentity } from '#libs/processes/process-identity.ts';
import type { RunnerFolder } from './runner-folder.ts';
import { prepareFolder } from './runner-folder.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** The variable by which a host finds its runners: the value is its own mark. Programs do not get it. */
export const HOST_MARK = 'FLEETLOG_HOSTED';
/** The variable whose value is the spawn id: what bears it belongs to that spawn, programs of turns included. */
export const SPAWN_MARK = 'FLEETLOG_SPAWN';

export interface LaunchOrder {
  readonly spawnId: string;
  readonly hostMark: string;
  readonly program: readonly string[];
  readonly folder: RunnerFolder;
  /** The whole configuration of the process. */
  readonly config: { readonly runner: Readonly<Record<string, unknown>> };
  readonly passwordFile: string;
  /** Of the host's own process. */
  readonly environment: Environment;
}

export interface Launched {
  readonly identity: ProcessIdentity;
  /** Resolves when it has ended. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
}

/** Settings of runners and of logs are handed on, but for what the configuration says; nothing else of ours is: a host's password is not a runner's. */
const handedOn = (environment: Environment, runner: Readonly<Record<string, unknown>>): Environment => {
  const settled = new Set(Object.keys(runner).map((field) => namesOf('runner', field).variable));
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) =>
        !name.startsWith('FLEETLOG_') ||
        name.startsWith('FLEETLOG_LOG_') ||
        (name.startsWith('FLEETLOG_RUNNER_') && !settled.has(name)),
    ),
  );
};

const environmentOf = (order: LaunchOrder): Environment => ({
  ...handedOn(order.environment, order.config.runner),
  FLEETLOG_CONFIG: order.folder.configFile,
  FLEETLOG_NATS_PASSWORD_FILE: order.passwordFile,
  [HOST_MARK]: order.hostMark,
  [SPAWN_MARK]: order.spawnId,
});

const spawned = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    // Stays for good: later errors are not ours to act on.
    child.on('error', reject);
  });

/** Resolves when the process is there. Rejects with why it is not. */
export const launchRunner = async (order: LaunchOrder): Promise<Launched> => {
  const { folder, config, program } = order;
  const log = prepareFolder(folder, config);
  try {
    const [command = '', ...parameters] = program;
    const child = spawn(command, parameters, {
      cwd: folder.dataDir,
      env: environmentOf(order),
      detached: true,
      stdio: ['ignore', log, log],
    });
    const exited = new Promise<{ readonly code: number | null; readonly signal: string | null }>(
      (resolve) => {
        child.once('exit', (code, signal) => resolve({ code, signal }));
      },
    );
    await spawned(child);
    const pid = child.pid ?? 0;
    // It must not keep the host from ending.
    child.unref();
    return { identity: identifyProcess(pid) ?? { pid, started: 'gone' }, exited };
  } finally {
    closeSync(log);
  }
};
