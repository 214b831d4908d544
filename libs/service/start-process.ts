// A set of services as one process: one configuration, one connection, one health server, one log.
// Starts them and drains them; it hears no signals and does not exit (see run-process.ts), so it also runs inside a test or a CLI.
import { printConfig } from '#libs/config/describe.ts';
import { toFault } from '#libs/kernel/fault.ts';
import { secretValuesOf } from '#libs/redaction/environment.ts';
import { createRedactor, type Redactor } from '#libs/redaction/redactor.ts';
import { isoTime } from '#libs/telemetry/iso-time.ts';
import { createLogger, type Logger } from '#libs/telemetry/logger.ts';
import { createHooks } from '#libs/telemetry/metrics-hooks.ts';
import { createMetrics, type Metrics } from '#libs/telemetry/metrics.ts';
import { createCheckBoard, type CheckBoard } from './checks.ts';
import type { OpenPorts, WireTools } from './context.ts';
import { drain, type Drainable, type DrainReport } from './drain.ts';
import { startHealthServer, type HealthFacts, type HealthServer, type Phase } from './health.ts';
import { readSettings, type ProcessPlan, type Settings } from './process-plan.ts';
import { startService, type RunningService } from './running-service.ts';
import { backoffMs } from './supervise.ts';

/** A started process. */
export interface StartedProcess {
  readonly logger: Logger;
  /** Base URL of the four endpoints. */
  readonly healthUrl: string;
  /** Resolves once every service has started, or the process has failed or drains. Never rejects. */
  readonly booted: Promise<void>;
  /** What is in doubt about the configuration (a variable that nobody knows), in words; the log has them too. */
  readonly warnings: readonly string[];
  /** Resolves with what broke when the process can no longer be trusted; end it then. Pending otherwise. */
  readonly failed: Promise<unknown>;
  /** Stops everything in reverse order, then the ports, then the health server. Idempotent, never rejects. */
  drain(): Promise<DrainReport>;
}

/** Knows what must not be seen: the secrets of the configuration, also those that replace them, and secret-named variables of anything else. */
const redactorOf = (plan: ProcessPlan, settings: Settings): Redactor => {
  const secrets = Object.values(settings.all).flatMap((section) => section.secrets);
  const literals = [...secrets.map((secret) => secret.reveal()), ...secretValuesOf(plan.sources.environment)];
  let redactor = createRedactor({ literals });
  const learn = (value: string): void => {
    literals.push(value);
    redactor = createRedactor({ literals });
  };
  for (const secret of secrets) secret.onChange(learn);
  return {
    text: (text) => redactor.text(text),
    value: (value) => redactor.value(value),
    bytes: (body) => redactor.bytes(body),
  };
};

const loggerOf = (plan: ProcessPlan, settings: Settings, redactor: Redactor): Logger =>
  createLogger({
    level: settings.process.logLevel,
    format: settings.process.logFormat,
    clock: plan.clock,
    redactor,
    ...(plan.logSink === undefined ? {} : { sink: plan.logSink }),
  });

/** Opens the ports, trying again while what they connect to is away. Undefined: the drain began first. */
const openPorts = async (
  plan: ProcessPlan,
  config: unknown,
  tools: WireTools,
): Promise<OpenPorts | undefined> => {
  for (let attempt = 1; !tools.signal.aborted; attempt += 1) {
    try {
      return await plan.wire.open(config, tools);
    } catch (error) {
      const fault = toFault(error);
      if (fault !== error || fault.retry === 'never') throw error;
      const waitMs = backoffMs(attempt, tools.ids.random());
      tools.logger.warn('cannot connect and will try again', { attempt, waitMs, error });
      await tools.clock.sleep(waitMs, tools.signal);
    }
  }
  return undefined;
};

class Shell {
  readonly logger: Logger;
  readonly #plan: ProcessPlan;
  readonly #settings: Settings;
  readonly #metrics: Metrics = createMetrics();
  readonly #board: CheckBoard;
  readonly #redactor: Redactor;
  readonly #startedAt: number;
  readonly #stopping = new AbortController();
  readonly #failure = Promise.withResolvers<unknown>();
  #fatal: unknown;
  #phase: Phase = 'starting';
  #services: readonly RunningService[] = [];
  #draining: Promise<DrainReport> | undefined;

  constructor(plan: ProcessPlan) {
    this.#plan = plan;
    this.#settings = readSettings(plan);
    this.#redactor = redactorOf(plan, this.#settings);
    this.logger = loggerOf(plan, this.#settings, this.#redactor);
    this.#board = createCheckBoard(plan.clock);
    this.#board.of('ports').push('connection').failing('connecting');
    this.#startedAt = plan.clock.now();
  }

  get failed(): Promise<unknown> {
    return this.#failure.promise;
  }

  async start(): Promise<StartedProcess> {
    const { healthHost: host, healthPort: port } = this.#settings.process;
    const health = await startHealthServer(this.#healthFacts(), { host, port });
    this.#logStart(health.url);
    const opened = this.#open();
    const booted = this.#boot(opened);
    return {
      logger: this.logger,
      healthUrl: health.url,
      booted,
      warnings: this.#settings.warnings,
      failed: this.#failure.promise,
      drain: () => (this.#draining ??= this.#drain(opened, health)),
    };
  }

  #healthFacts(): HealthFacts {
    return {
      liveness: () => {
        const lagMs = this.#plan.lagMs();
        if (this.#fatal !== undefined) return { ok: false, lagMs, detail: toFault(this.#fatal).message };
        const limitMs = this.#settings.process.livenessLagMs;
        const detail = `the event loop was blocked for longer than ${limitMs} ms`;
        return lagMs > limitMs ? { ok: false, lagMs, detail } : { ok: true, lagMs };
      },
      phase: () => this.#phase,
      checks: () => this.#board.report(),
      version: () => ({ ...this.#plan.build, startedAt: isoTime(this.#startedAt) }),
      metrics: () => this.#metrics.exposition(),
    };
  }

  #logStart(healthUrl: string): void {
    for (const warning of this.#settings.warnings) this.logger.warn(warning);
    const config = Object.entries(this.#settings.all).map(([name, section]) => [
      name === '' ? 'process' : name,
      printConfig(section),
    ]);
    this.logger.info('process starts', {
      services: this.#plan.services.map(({ name }) => name),
      ...this.#plan.build,
      healthUrl,
      config: Object.fromEntries(config) as unknown,
    });
  }

  #tools(): WireTools {
    return {
      clock: this.#plan.clock,
      ids: this.#plan.ids,
      logger: this.logger,
      metrics: this.#metrics,
      hooks: createHooks(this.#metrics),
      signal: this.#stopping.signal,
    };
  }

  async #open(): Promise<OpenPorts | undefined> {
    try {
      const opened = await openPorts(
        this.#plan,
        this.#settings.all[this.#plan.wire.name]?.config,
        this.#tools(),
      );
      if (opened !== undefined) this.#board.of('ports').add('connection', opened.check);
      return opened;
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  async #boot(opening: Promise<OpenPorts | undefined>): Promise<void> {
    const opened = await opening;
    if (opened === undefined || this.#stopping.signal.aborted) return;
    const tools = {
      ...this.#tools(),
      ports: opened.ports,
      board: this.#board,
      redactor: this.#redactor,
      drainMs: this.#settings.process.drainMs,
      version: this.#plan.build.version,
      onFatal: (error: unknown) => this.#fail(error),
    };
    this.#services = this.#plan.services.map((service) =>
      startService(service, this.#settings.all[service.name]?.config, tools),
    );
    await Promise.all(this.#services.map(({ booted }) => booted));
    if (this.#phase !== 'starting' || this.#fatal !== undefined) return;
    this.#phase = 'running';
    const bootMs = Math.round(this.#plan.clock.now() - this.#startedAt);
    this.logger.info('all services have started', { bootMs });
  }

  #fail(error: unknown): void {
    this.logger.fatal('the process cannot go on', { error });
    this.#fatal ??= error;
    this.#failure.resolve(error);
  }

  async #drain(opening: Promise<OpenPorts | undefined>, health: HealthServer): Promise<DrainReport> {
    this.#phase = 'draining';
    this.#stopping.abort();
    const ports: Drainable = {
      name: 'ports',
      stop: async () => (await opening)?.close(),
      waitingFor: () => ['the connection to close'],
    };
    const report = await drain([ports, ...this.#services], {
      clock: this.#plan.clock,
      logger: this.logger,
      deadlineMs: this.#settings.process.drainMs,
    });
    await health.close();
    return report;
  }
}

/**
 * Starts a process; resolves as soon as its health server listens, while ports and services are still coming up.
 * Faults: `CONFIG_INVALID` (never), `HEALTH_LISTEN_FAILED` (never).
 */
export const startProcess = (plan: ProcessPlan): Promise<StartedProcess> => new Shell(plan).start();
