// Keeps the broker of a stack up and able to write.
//   serving   looked at now and then; a death starts it again on its data
//   stuck     a stream could not be written (a full disk): the server never tries that stream again and answers no append to it, so it is
//             started again once the disk has room; what was acknowledged is on disk
//   failed    it died, or had to be started again, too often
// Does not decide where it runs or on what data (up.ts).
import type { Broker } from '#libs/broker/broker.ts';
import { freeBytesAt } from '#libs/broker/free-space.ts';
import { readServerHealth } from '#libs/broker/server-health.ts';
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';

/** A broker is started again this many times within ten minutes; more is a fault of the machine. */
const RESTARTS = 5;
const RESTARTS_WITHIN_MS = 600_000;
const LOOK_MS = 2000;
/** With less than this a stream would be stuck again at once. */
const ROOM_BYTES = 16 * 1024 * 1024;

export interface BrokerSupervision {
  /** Rejects when the broker cannot be kept up; pending otherwise. */
  readonly failed: Promise<never>;
  /** Lets the broker be. */
  stop(): void;
}

export interface SupervisionTools {
  readonly clock: Clock;
  readonly onTrouble: (line: string) => void;
}

/** Only what the broker says of its disk is mended here; a consumer that is behind, for example, is no business of ours. */
const isStuck = (problem: string): boolean => /write error|no space left|disk quota/i.test(problem);

class Supervisor {
  readonly #broker: Broker;
  readonly #tools: SupervisionTools;
  readonly #stopping = new AbortController();
  readonly #failure = Promise.withResolvers<never>();
  readonly #restarts: number[] = [];
  #isStarting = false;
  #told: string | undefined;

  constructor(broker: Broker, tools: SupervisionTools) {
    this.#broker = broker;
    this.#tools = tools;
  }

  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  start(): void {
    const forget = this.#broker.onExit(({ isExpected }) => {
      if (!isExpected) void this.#startAgain('the broker ended unexpectedly; starting it again on its data');
    });
    this.#stopping.signal.addEventListener('abort', forget, { once: true });
    void this.#lookNowAndThen();
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #lookNowAndThen(): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      await this.#tools.clock.sleep(LOOK_MS, signal);
      if (signal.aborted) return;
      if (!this.#isStarting) await this.#look();
    }
  }

  async #look(): Promise<void> {
    const isDown = this.#broker.pid() === undefined;
    const health = isDown ? undefined : await readServerHealth(this.#broker.monitorUrl);
    if (this.#isStarting || this.#stopping.signal.aborted) return;
    if (health !== undefined && (health.kind !== 'ill' || !isStuck(health.problem))) return;
    if (await this.#hasRoom()) return this.#startAgain('starting the broker again, so that it writes again');
    const why = health?.problem ?? 'it cannot start';
    this.#tell(
      `the disk of ${this.#broker.dataDir} is full (${why}). Nothing new is accepted; what was acknowledged is safe. Free some space: then it goes on by itself`,
    );
  }

  async #hasRoom(): Promise<boolean> {
    try {
      return (await freeBytesAt(this.#broker.dataDir)) >= ROOM_BYTES;
    } catch {
      return false;
    }
  }

  async #startAgain(announcement: string): Promise<void> {
    if (this.#isStarting) return;
    this.#isStarting = true;
    this.#tools.onTrouble(announcement);
    try {
      this.#count();
      await this.#broker.restart();
      this.#told = undefined;
      this.#tools.onTrouble('the broker is back');
    } catch (error) {
      this.#onRestartFailed(toFault(error));
    }
    this.#isStarting = false;
  }

  #onRestartFailed(fault: Fault): void {
    if (fault.code === 'BROKER_DISK_FULL') this.#tell(fault.message);
    else if (!this.#stopping.signal.aborted) this.#failure.reject(fault);
  }

  #count(): void {
    const now = this.#tools.clock.monotonicMs();
    this.#restarts.push(now);
    const recent = this.#restarts.filter((at) => now - at < RESTARTS_WITHIN_MS).length;
    if (recent <= RESTARTS) return;
    throw new Fault({
      code: 'BROKER_ENDED',
      retry: 'later',
      message: `the broker had to be started again ${recent} times in ten minutes; see ${this.#broker.dataDir}/nats.log`,
    });
  }

  /** Once, until it has been mended. */
  #tell(what: string): void {
    if (this.#told === what) return;
    this.#told = what;
    this.#tools.onTrouble(what);
  }
}

/** Begins at once. */
export const superviseBroker = (broker: Broker, tools: SupervisionTools): BrokerSupervision => {
  const supervisor = new Supervisor(broker, tools);
  // Somebody may look later: until then a failure is not an unhandled one.
  supervisor.failed.catch(() => undefined);
  supervisor.start();
  return supervisor;
};
