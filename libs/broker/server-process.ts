// One life of a nats-server process, from spawn to exit. Ready means: JetStream recovered its data and answers.
// Restarting, ports and the data directory are the business of start-broker.ts.
import { spawn, type ChildProcess } from 'node:child_process';
import { get } from '#libs/local-http/node-http.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { LogTail } from './log-tail.ts';
import { identifyProcess, type ProcessIdentity } from '#libs/processes/process-identity.ts';
import { startFailure, type ProcessExit } from './start-failure.ts';

export interface ServerProcess {
  readonly identity: ProcessIdentity;
  /** Settles once, when the process has ended; never rejects. */
  readonly exit: Promise<ProcessExit>;
  /** The exit, once it has happened. */
  ended(): ProcessExit | undefined;
  /** False when it has ended already. */
  signal(signal: NodeJS.Signals): boolean;
}

export interface LaunchOptions {
  readonly executable: string;
  readonly configPath: string;
  readonly monitorUrl: string;
  readonly log: LogTail;
  readonly clock: Clock;
  /** Recovery of much data takes long: this bounds a hang, it is not an expectation. */
  readonly readyWithinMs: number;
  /** False: this process may end although the server runs (the guard then ends the server). */
  readonly keepsParentAlive: boolean;
}

const READY_LINE = 'Server is ready';
const HEALTH_PATH = '/healthz?js-enabled-only=true';
const HEALTH_LOOK_MS = 10;
const HEALTH_WITHIN_MS = 2000;

const spawnServer = (options: LaunchOptions): ChildProcess =>
  spawn(options.executable, ['-c', options.configPath], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    cwd: '/',
  });

const watchExit = (child: ChildProcess, log: LogTail): Promise<ProcessExit> =>
  new Promise((resolve) => {
    child.once('error', (error) => {
      log.write(`nats-server: ${error.message}\n`);
      if (child.pid === undefined) resolve({ code: null, signal: null });
    });
    // 'close' and not 'exit': the last words are still in the pipe when the process has ended.
    child.once('close', (code, signal) => resolve({ code, signal }));
  });

const watchOutput = (child: ChildProcess, log: LogTail): Promise<'listening'> =>
  new Promise((resolve) => {
    let unread: string | undefined = '';
    const take = (chunk: string): void => {
      log.write(chunk);
      if (unread === undefined) return;
      unread += chunk;
      if (!unread.includes(READY_LINE)) return;
      unread = undefined;
      resolve('listening');
    };
    child.stdout?.setEncoding('utf8').on('data', take);
    child.stderr?.setEncoding('utf8').on('data', take);
  });

/** Lets the event loop of this process end while the server runs. */
const letGo = (child: ChildProcess): void => {
  child.unref();
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null && 'unref' in stream && typeof stream.unref === 'function') stream.unref();
  }
};

/** Asks the monitoring endpoint; false also when nobody answers. (Not fetch: loading it costs more than the start of the server.) */
const askHealth = (monitorUrl: string): Promise<boolean> =>
  new Promise((resolve) => {
    const request = get(`${monitorUrl}${HEALTH_PATH}`, { agent: false, timeout: 1000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    request.once('timeout', () => request.destroy());
    request.once('error', () => resolve(false));
  });

const waitHealthy = async (
  options: LaunchOptions,
  isOver: () => boolean,
): Promise<'healthy' | 'unhealthy'> => {
  const deadline = options.clock.monotonicMs() + HEALTH_WITHIN_MS;
  while (!isOver()) {
    if (await askHealth(options.monitorUrl)) return 'healthy';
    if (options.clock.monotonicMs() > deadline) break;
    await options.clock.sleep(HEALTH_LOOK_MS);
  }
  return 'unhealthy';
};

const waitReady = async (
  options: LaunchOptions,
  listening: Promise<'listening'>,
  exit: Promise<ProcessExit>,
  isOver: () => boolean,
): Promise<void> => {
  const patience = new AbortController();
  const timeout = options.clock.sleep(options.readyWithinMs, patience.signal).then(() => 'timeout' as const);
  const first = await Promise.race([listening, exit, timeout]);
  patience.abort();
  const outcome = first === 'listening' ? await Promise.race([waitHealthy(options, isOver), exit]) : first;
  if (outcome !== 'healthy') {
    throw startFailure(outcome, options.log.lines(), {
      executable: options.executable,
      configPath: options.configPath,
    });
  }
};

/**
 * Starts the server and resolves when it is ready; `onSpawn` is told of the process before that, at once after the spawn.
 * Faults as in start-failure.ts; then the process has been killed and has ended.
 */
export const launchServer = async (
  options: LaunchOptions,
  onSpawn: (identity: ProcessIdentity) => void,
): Promise<ServerProcess> => {
  const child = spawnServer(options);
  const exit = watchExit(child, options.log);
  let ended: ProcessExit | undefined;
  void exit.then((how) => (ended = how));
  const listening = watchOutput(child, options.log);
  const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
  try {
    if (identity !== undefined) onSpawn(identity);
    await waitReady(options, listening, exit, () => ended !== undefined);
  } catch (error) {
    child.kill('SIGKILL');
    await exit;
    throw error;
  }
  if (!options.keepsParentAlive) letGo(child);
  return {
    identity: identity ?? { pid: child.pid ?? 0, started: '' },
    exit,
    ended: () => ended,
    signal: (signal) => child.kill(signal),
  };
};
