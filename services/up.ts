// The whole stack on this machine, in this process, with a private broker as its child: what `npm start` runs.
//   starting  secrets → broker → provision → control plane → runner → host → connection file
//   running   until `stop`; a part that breaks ends the stack (`failed`)
//   stopping  connection file → host (with the runners it has started) → runner → control plane → broker, each drained
// Starting again on the same data directory goes on where it was. Prints nothing: the command does.
import { findFreePort, isPortFree } from '#libs/broker/free-port.ts';
import type { Broker } from '#libs/broker/broker.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { StartedProcess } from '#libs/service/start-process.ts';
import { systemClock } from '#libs/system/clock.ts';
import { CONTROL_USER } from '#streams/accounts.ts';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { superviseBroker } from './broker-supervision.ts';
import { CONNECTION_FILE, type Connection } from './cli/connection.ts';
import { provisionShape } from './provisioning.ts';
import { secretsOf, shapeOf } from './stack-identity.ts';
import {
  firstShape,
  hostName,
  launchBroker,
  startHost,
  startPlane,
  startRunner,
  type UpOptions,
} from './stack-parts.ts';
import type { BrokerAccess } from './wire.ts';

export interface Stack {
  readonly connection: Connection;
  readonly broker: Broker;
  readonly healthUrls: { readonly control: string; readonly runner: string; readonly host: string };
  /** The host of this machine. */
  readonly host: string;
  readonly workspaces: string;
  /** Rejects when the stack can no longer be trusted; pending otherwise. */
  readonly failed: Promise<never>;
  /** Drains everything. Idempotent. Resolves with what was late. */
  stop(): Promise<readonly string[]>;
}

const writeConnection = async (dataDir: string, connection: Connection): Promise<void> => {
  const path = join(dataDir, CONNECTION_FILE);
  await writeFile(`${path}.new`, `${JSON.stringify(connection, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.new`, path);
};

/** Stops in reverse order of what was started; keeps on when one part fails to. */
class Teardown {
  readonly #steps: { readonly name: string; readonly stop: () => Promise<readonly string[] | void> }[] = [];

  add(name: string, stop: () => Promise<readonly string[] | void>): void {
    this.#steps.unshift({ name, stop });
  }

  async run(): Promise<readonly string[]> {
    const late: string[] = [];
    for (const { name, stop } of this.#steps.splice(0)) {
      try {
        late.push(...((await stop()) ?? []));
      } catch (error) {
        late.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return late;
  }
}

/** Starts the stack; when it resolves everything answers. Whatever it started is stopped again when it cannot. */
export const startStack = async (options: UpOptions): Promise<Stack> => {
  const teardown = new Teardown();
  try {
    return await bringUp(options, teardown);
  } catch (error) {
    await teardown.run();
    throw error;
  }
};

const bringUp = async (options: UpOptions, teardown: Teardown): Promise<Stack> => {
  const { dataDir, tenant, project } = options;
  const port = await apiPort(options.port);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const first = firstShape(options);
  const secretsDir = join(dataDir, 'secrets');
  const shape = await shapeOf(secretsDir, first);
  const secrets = await secretsOf({ dir: secretsDir, credentialsDir: secretsDir }, shape);
  const broker = await launchBroker(options, shape, secrets);
  teardown.add('broker', () => broker.stop());
  const supervision = superviseBroker(broker, { clock: systemClock, onTrouble: options.onTrouble });
  teardown.add('supervision', () => Promise.resolve(supervision.stop()));
  const control: BrokerAccess = {
    servers: [broker.url],
    name: 'fleetlog',
    user: CONTROL_USER,
    password: secrets.controlPassword,
  };
  await provisionShape(control, shape, options.storage);

  const boundary = { tenant, project };
  const plane = await startPlane(options, { port, secretsDir, first, broker, control });
  teardown.add('control plane', async () => (await plane.drain()).late);
  const runner = await startRunner(options, broker, secrets);
  teardown.add('runner', async () => (await runner.drain()).late);
  const host = await startHost(options, broker, secrets);
  teardown.add('host', async () => (await host.drain()).late);

  const connection: Connection = {
    natsUrl: broker.url,
    natsUser: CONTROL_USER,
    natsPassword: secrets.controlPassword,
    apiUrl: `http://127.0.0.1:${port}`,
    ...boundary,
  };
  await writeConnection(dataDir, connection);
  teardown.add('connection file', () => rm(join(dataDir, CONNECTION_FILE), { force: true }));
  return {
    connection,
    broker,
    healthUrls: { control: plane.healthUrl, runner: runner.healthUrl, host: host.healthUrl },
    host: hostName(options),
    workspaces: join(dataDir, 'workspaces'),
    failed: firstFailure(supervision.failed, [plane, runner, host]),
    stop: () => teardown.run(),
  };
};

/** The port for the API, known to be free a moment ago. Fault: `PORT_IN_USE` (never). */
const apiPort = async (asked: number): Promise<number> => {
  if (asked === 0) return findFreePort('127.0.0.1');
  if (await isPortFree(asked, '127.0.0.1')) return asked;
  throw new Fault({
    code: 'PORT_IN_USE',
    retry: 'never',
    message: `port ${asked} is in use: stop what listens there (a stack that still runs?), or choose another with --port (0: any free one)`,
  });
};

/** The first thing that breaks for good. */
const firstFailure = (broker: Promise<never>, parts: readonly StartedProcess[]): Promise<never> => {
  const ends = parts.map(async ({ failed }): Promise<never> => {
    throw await failed;
  });
  const failed = Promise.race([broker, ...ends]);
  // Somebody may look later: until then a failure is not an unhandled one.
  failed.catch(() => undefined);
  return failed;
};
