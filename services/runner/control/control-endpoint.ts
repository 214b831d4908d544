// The local control endpoint of a runner: what hooks, tools and programs of its turns talk to. Answers from what this machine knows
// and puts reports on this machine's disk; waits for the control plane only where a part says so (mail, approvals).
//
// closed     before `start`, after `stop`: turns are given no address
// listening  on a socket file (or loopback), and on loopback too where a program posts its hooks by itself
import type { Server } from 'node:http';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import type { ReportWriter, TurnScope } from '#services/runner/report-writer.ts';
import type { ProviderName } from '#streams/run.ts';
import { createControlServer } from './control-http.ts';
import type { ControlParts } from './control-parts.ts';
import { clearPlace, listenOnLoopback, listenOnSocket, socketPath, writeInfo } from './control-place.ts';
import { controlRoutes, type RouteParts } from './control-routes.ts';
import { ControlTurns } from './control-turns.ts';
import { hookRoute } from './hook-routes.ts';
import { createStopGate } from './stop-gate.ts';
import { createTurnMirror } from './turn-mirror.ts';

export interface ControlOptions {
  readonly dataDir: string;
  readonly runnerId: string;
  readonly agent: string;
  readonly parts: ControlParts;
  readonly writer: Pick<ReportWriter, 'write'>;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  readonly newSecret: () => string;
  /** How often the stop gate may send an agent on in one turn. */
  readonly stopGateLimit: number;
  /** Whether agents driven by this kind of program have the tools of `fleetlog mcp`. */
  readonly hasTools: (provider: ProviderName) => boolean;
  /** Whether a program of this runner posts its hooks by itself. */
  readonly needsLoopback: boolean;
  /** Whether the control plane answered last time. */
  readonly isConnected: () => boolean;
}

/** How the programs of a turn reach the endpoint. */
export interface ControlAccess {
  /** `unix:/path` or `http://127.0.0.1:port`. */
  readonly address: string;
  /** `http://127.0.0.1:port` for programs that post by themselves; null: they cannot. */
  readonly loopback: string | null;
  /** The turn's own, and a secret. */
  readonly token: string;
}

export interface ControlEndpoint {
  /** Faults: `CONTROL_UNAVAILABLE` (later). */
  start(): Promise<void>;
  /** A turn begins: its programs may ask from now on. Undefined while closed. */
  open(scope: TurnScope, provider: ProviderName, prompt: string): ControlAccess | undefined;
  /** Puts on record what the turn was told to do; at its start. */
  echo(turnId: string): void;
  /** What a program without hooks is told when it wants to end its turn: why to go on, or null. */
  stopReason(turnId: string): string | null;
  /** The turn is over; what its agent still owes is put on record. Repeatable. */
  end(turnId: string): void;
  /** The run is somebody else's: nothing is said any more. Repeatable. */
  revoke(turnId: string): void;
  /** Takes nothing more; who waits is cut off. */
  stop(): Promise<void>;
}

const closed = (server: Server): Promise<void> =>
  new Promise((done) => {
    server.close(() => done());
    server.closeAllConnections();
  });

class Endpoint implements ControlEndpoint {
  readonly #options: ControlOptions;
  readonly #turns: ControlTurns;
  readonly #routes: RouteParts;
  readonly #servers: Server[] = [];
  #address: string | undefined;
  #loopback: string | null = null;

  constructor(options: ControlOptions) {
    const { parts, writer, clock, ids, logger, newSecret, stopGateLimit: limit, hasTools } = options;
    this.#options = options;
    this.#turns = new ControlTurns(newSecret);
    const onLost = (name: string, error: unknown): void =>
      logger.error('a report cannot be kept', { name, error });
    const mirror = createTurnMirror({ writer, clock, onLost });
    this.#routes = {
      parts,
      turns: this.#turns,
      mirror,
      gate: createStopGate({ parts, mirror, limit, hasTools }),
      ids,
      operatorToken: newSecret(),
      status: () => this.#status(),
      onHookFatal: ({ runId, turnId }, hook, error) =>
        logger.fatal('a hook has failed', { runId, turnId, hook, error }),
    };
  }

  async start(): Promise<void> {
    const { dataDir, runnerId, needsLoopback, logger } = this.#options;
    try {
      this.#address = await this.#listenLocally();
      this.#loopback = this.#address.startsWith('http:')
        ? this.#address
        : needsLoopback
          ? await listenOnLoopback(this.#server())
          : null;
    } catch (error) {
      await this.stop();
      const message = `the control endpoint cannot listen: ${String(error)}`;
      throw new Fault({ code: 'CONTROL_UNAVAILABLE', retry: 'later', message, cause: error });
    }
    const address = this.#address;
    writeInfo(dataDir, { address, token: this.#routes.operatorToken, runnerId, pid: process.pid });
    logger.info('control endpoint', { address, loopback: this.#loopback });
  }

  open(scope: TurnScope, provider: ProviderName, prompt: string): ControlAccess | undefined {
    if (this.#address === undefined) return undefined;
    const token = this.#turns.open(scope, provider, prompt);
    return { address: this.#address, loopback: this.#loopback, token };
  }

  echo(turnId: string): void {
    const live = this.#turns.of(turnId);
    if (live === undefined) return;
    const payload = { text: live.prompt, origin: 'run' } as const;
    void this.#routes.mirror.report(live.turn, 'prompt-echoed', payload, 'prompt');
  }

  stopReason(turnId: string): string | null {
    const live = this.#turns.of(turnId);
    return live === undefined ? null : this.#routes.gate.ask(live);
  }

  end(turnId: string): void {
    const live = this.#turns.of(turnId);
    if (live !== undefined) this.#routes.gate.letGo(live);
    this.#turns.close(turnId);
  }

  revoke(turnId: string): void {
    this.#turns.close(turnId);
  }

  async stop(): Promise<void> {
    this.#address = undefined;
    this.#loopback = null;
    this.#turns.closeAll();
    await Promise.all(this.#servers.splice(0).map(closed));
    clearPlace(this.#options.dataDir);
  }

  async #listenLocally(): Promise<string> {
    const { dataDir, logger } = this.#options;
    const path = socketPath(dataDir);
    if (path === null)
      logger.warn(
        'the path of the data directory is too long for a socket: the control endpoint is on loopback',
        {
          dataDir,
        },
      );
    else
      try {
        return await listenOnSocket(this.#server(), path);
      } catch (error) {
        logger.warn('no socket can be made in the data directory: the control endpoint is on loopback', {
          dataDir,
          error: String(error),
        });
      }
    return listenOnLoopback(this.#server());
  }

  #server(): Server {
    const { logger } = this.#options;
    const server = createControlServer({
      routes: [...controlRoutes(this.#routes), hookRoute(this.#routes)],
      onError: (path, error) => logger.error('control request failed', { path, error }),
    });
    this.#servers.push(server);
    return server;
  }

  #status(): object {
    const { agent, runnerId, parts, isConnected } = this.#options;
    const snapshot = parts.obligations?.current();
    return {
      agent,
      runnerId,
      pid: process.pid,
      activeTurns: this.#turns.size,
      controlPlane: isConnected() ? 'connected' : 'away',
      obligations:
        snapshot === undefined
          ? null
          : { ready: snapshot.ready, owed: snapshot.owed.length, refreshedAt: snapshot.refreshedAt },
    };
  }
}

/** Listens when it is started. */
export const createControlEndpoint = (options: ControlOptions): ControlEndpoint => new Endpoint(options);
