// Starts and keeps one private nats-server: ports, data directory, configuration, log, and its end together with ours.
// It finds no executable (locate.ts) and knows no account by name; a broker that dies by itself is reported, not restarted.
import { rmSync, writeFileSync } from 'node:fs';
import { Fault } from '#libs/kernel/fault.ts';
import { renderBrokerConfig, type AccountConfig } from './broker-config.ts';
import { brokerSettings, choosePorts, type Ports } from './broker-settings.ts';
import type { Broker, BrokerExit, StartBrokerOptions } from './broker.ts';
import { readConfigLoadTime } from './config-load-time.ts';
import { claimDataDir, type DataDir } from './data-dir.ts';
import { createLogTail, type LogTail } from './log-tail.ts';
import { guardAgainstOrphan, type ParentGuard } from './parent-guard.ts';
import { isFrozen } from '#libs/processes/process-identity.ts';
import { launchServer, type ServerProcess } from './server-process.ts';
import { storeFailure, type ProcessExit } from './start-failure.ts';

const DEFAULT_READY_WITHIN_MS = 120_000;
const DEFAULT_STOP_GRACE_MS = 30_000;
const PORT_ATTEMPTS = 8;
const FREEZE_WITHIN_MS = 100;
const RESTART_PORT_ATTEMPTS = 20;
const PORT_RETRY_MS = 100;
const RELOAD_WITHIN_MS = 10_000;
const RELOAD_LOOK_MS = 10;

const isPortTaken = (error: unknown): boolean =>
  error instanceof Fault && error.code === 'BROKER_PORT_IN_USE';

class PrivateBroker implements Broker {
  readonly #options: StartBrokerOptions;
  readonly #host: string;
  readonly #dir: DataDir;
  readonly #log: LogTail;
  readonly #listeners = new Set<(exit: BrokerExit) => void>();
  #accounts: readonly AccountConfig[];
  #ports: Ports = { clientPort: 0, monitorPort: 0 };
  #server: ServerProcess | undefined;
  #guard: ParentGuard | undefined;
  #isEndExpected = false;
  #isStopped = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: StartBrokerOptions, dir: DataDir) {
    this.#options = options;
    this.#accounts = options.accounts;
    this.#host = options.host ?? '127.0.0.1';
    this.#dir = dir;
    this.#log = createLogTail(dir.logPath);
  }

  get url(): string {
    return `nats://${this.#host}:${this.#ports.clientPort}`;
  }

  get monitorUrl(): string {
    return `http://${this.#host}:${this.#ports.monitorPort}`;
  }

  get clientPort(): number {
    return this.#ports.clientPort;
  }

  get dataDir(): string {
    return this.#dir.path;
  }

  pid(): number | undefined {
    return this.#server?.ended() === undefined ? this.#server?.identity.pid : undefined;
  }

  log(): readonly string[] {
    return this.#log.lines();
  }

  onExit(listener: (exit: BrokerExit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The first start: chooses ports, and others when somebody else was faster. */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      this.#ports = await choosePorts(this.#options, this.#host);
      try {
        return await this.#launch();
      } catch (error) {
        const mayChooseAgain =
          this.#options.clientPort === undefined && this.#options.monitorPort === undefined;
        if (!mayChooseAgain || !isPortTaken(error) || attempt === PORT_ATTEMPTS) throw error;
      }
    }
  }

  restart(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isStopped) {
        throw new Fault({
          code: 'BROKER_STOPPED',
          retry: 'never',
          message: 'The broker was stopped for good.',
        });
      }
      await this.#end('SIGTERM');
      await this.#relaunch();
    });
  }

  reload(accounts: readonly AccountConfig[]): Promise<void> {
    return this.#inTurn(() => this.#reload(accounts));
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    return this.#inTurn(() => this.#end(signal));
  }

  pause(): void {
    const server = this.#server;
    if (server === undefined || !server.signal('SIGSTOP')) return;
    const giveUpAt = this.#options.clock.monotonicMs() + FREEZE_WITHIN_MS;
    // Microseconds: a caller that goes on must not be answered by a thread that has not heard yet.
    while (!isFrozen(server.identity.pid) && this.#options.clock.monotonicMs() < giveUpAt);
  }

  resume(): void {
    this.#server?.signal('SIGCONT');
  }

  stop(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isStopped) return;
      this.#isStopped = true;
      const isEphemeral = this.#options.isEphemeral === true;
      await this.#end(isEphemeral ? 'SIGKILL' : 'SIGTERM');
      this.release();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Closes the log and gives the directory back; the server must have ended. */
  release(): void {
    this.#log.close();
    this.#dir.release();
    if (this.#options.isEphemeral === true) rmSync(this.#dir.path, { recursive: true, force: true });
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(action, action);
    this.#queue = turn.catch(() => {});
    return turn;
  }

  /** A start on the ports that clients already know: waits a moment for a port that somebody holds for a moment. */
  async #relaunch(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#launch();
      } catch (error) {
        if (!isPortTaken(error) || attempt === RESTART_PORT_ATTEMPTS) throw error;
        await this.#options.clock.sleep(PORT_RETRY_MS);
      }
    }
  }

  async #launch(): Promise<void> {
    const isEphemeral = this.#options.isEphemeral === true;
    this.#writeConfig(this.#renderConfig());
    const graceMs = isEphemeral ? 0 : (this.#options.stopGraceMs ?? DEFAULT_STOP_GRACE_MS);
    const server = await launchServer(
      {
        executable: this.#options.executable,
        configPath: this.#dir.configPath,
        monitorUrl: this.monitorUrl,
        log: this.#log,
        clock: this.#options.clock,
        readyWithinMs: this.#options.readyWithinMs ?? DEFAULT_READY_WITHIN_MS,
        keepsParentAlive: this.#options.keepsParentAlive ?? true,
      },
      (identity) => {
        this.#dir.record({ broker: identity, ...this.#ports });
        this.#guard = guardAgainstOrphan(
          identity,
          Math.ceil(graceMs / 1000),
          isEphemeral ? this.#dir.path : undefined,
        );
      },
    ).catch(async (error: unknown) => {
      await this.#dismissGuard();
      throw error;
    });
    this.#server = server;
    this.#isEndExpected = false;
    void server.exit.then((exit) => this.#ended(exit));
  }

  #renderConfig(): string {
    const options = { ...this.#options, accounts: this.#accounts };
    return renderBrokerConfig(brokerSettings(options, this.#host, this.#ports, this.#dir.storeDir));
  }

  async #reload(accounts: readonly AccountConfig[]): Promise<void> {
    const before = await readConfigLoadTime(this.monitorUrl);
    this.#accounts = accounts;
    this.#writeConfig(this.#renderConfig());
    // A broker that does not run reads it when it starts.
    if (this.#server?.signal('SIGHUP') !== true) return;
    const { clock } = this.#options;
    const giveUpAt = clock.monotonicMs() + RELOAD_WITHIN_MS;
    while (clock.monotonicMs() < giveUpAt) {
      const now = await readConfigLoadTime(this.monitorUrl);
      if (now !== undefined && now !== before) return;
      await clock.sleep(RELOAD_LOOK_MS);
    }
    throw new Fault({
      code: 'BROKER_RELOAD_FAILED',
      retry: 'later',
      message: `the broker has not taken up its new users; see ${this.#dir.logPath}`,
    });
  }

  #writeConfig(text: string): void {
    try {
      writeFileSync(this.#dir.configPath, text, { mode: 0o600 });
    } catch (error) {
      throw storeFailure(this.#dir.path, error);
    }
  }

  #ended(exit: ProcessExit): void {
    for (const listener of this.#listeners) listener({ ...exit, isExpected: this.#isEndExpected });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#isEndExpected = true;
    server.signal('SIGCONT');
    server.signal(signal);
    const graceMs = this.#options.stopGraceMs ?? DEFAULT_STOP_GRACE_MS;
    const inTime = new AbortController();
    const tooLate = this.#options.clock.sleep(graceMs, inTime.signal).then(() => 'late' as const);
    if ((await Promise.race([server.exit, tooLate])) === 'late') server.signal('SIGKILL');
    inTime.abort();
    await server.exit;
    await this.#dismissGuard();
    this.#server = undefined;
  }

  async #dismissGuard(): Promise<void> {
    const guard = this.#guard;
    this.#guard = undefined;
    await guard?.dismiss();
  }
}

/**
 * Starts a broker and resolves when JetStream has recovered its data and answers.
 * A broker that a dead process left on the data directory is ended first.
 * Faults: `BROKER_DATA_DIR_IN_USE`, `BROKER_PORT_IN_USE`, `BROKER_DISK_FULL`, `BROKER_STORE_UNWRITABLE`, `BROKER_CONFIG_INVALID`,
 * `BROKER_START_FAILED`; after any of them nothing runs and the directory is free.
 */
export const startBroker = async (options: StartBrokerOptions): Promise<Broker> => {
  const broker = new PrivateBroker(options, await claimDataDir(options.dataDir, options.clock));
  try {
    await broker.start();
  } catch (error) {
    broker.release();
    throw error;
  }
  return broker;
};
