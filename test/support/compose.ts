// The stack of docker-compose.yml as a test uses it: a project of its own name and ports, its commands, and what is in it.
import { execFile } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { promisify } from 'node:util';

const run = promisify(execFile);
const ROOT = `${import.meta.dirname}/../..`;

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

export interface ComposeStack {
  readonly apiUrl: string;
  /** `docker compose ARGUMENTS`; rejects with what it printed when it fails. */
  compose(...args: string[]): Promise<string>;
  /** The command line inside the stack, e.g. `cli('run', 'list', '--json')`. */
  cli(...args: string[]): Promise<string>;
  /** The same, given something on standard input. */
  cliWith(input: string, ...args: string[]): Promise<string>;
  /** Ends the process of a service as a crash would: SIGKILL to the child of the container's init. */
  crash(service: string): Promise<void>;
  /** Ids of the containers of a service, with how often each was started again. */
  restarts(service: string): Promise<number>;
}

/** A stack that is not up yet. */
export const composeStack = async (name: string): Promise<ComposeStack> => {
  const ports = { api: await freePort(), nats: await freePort(), monitor: await freePort() };
  const env = {
    ...process.env,
    COMPOSE_PROJECT_NAME: name,
    FLEETLOG_PORT: String(ports.api),
    FLEETLOG_NATS_PORT: String(ports.nats),
    FLEETLOG_NATS_MONITOR_PORT: String(ports.monitor),
  };
  const docker = async (args: readonly string[], input = ''): Promise<string> => {
    const running = run('docker', args, { cwd: ROOT, env, maxBuffer: 64 * 1024 * 1024 });
    running.child.stdin?.end(input);
    return (await running).stdout;
  };
  const compose = (...args: string[]): Promise<string> => docker(['compose', ...args]);
  return {
    apiUrl: `http://127.0.0.1:${ports.api}`,
    compose,
    cli: (...args) => compose('run', '--rm', '-T', 'cli', ...args),
    cliWith: (input, ...args) => docker(['compose', 'run', '--rm', '-T', 'cli', ...args], input),
    crash: async (service) => {
      await compose('exec', '-T', service, 'sh', '-c', 'kill -9 $(cat /proc/1/task/1/children)').catch(
        () => '',
      );
    },
    restarts: async (service) => {
      const id = (await compose('ps', '-q', service)).trim();
      return Number((await docker(['inspect', '--format', '{{.RestartCount}}', id])).trim());
    },
  };
};
