// Where the control endpoint listens: a socket file in the runner's data directory, or a loopback port where that cannot be; and the
// info file that tells tools of the same user. The buffer's lock keeps every other runner out of the directory.
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';

/** Bytes of a socket's path, its ending zero included: the kernel's limit (Linux has 108; macOS 104). */
const PATH_BYTES = 104;
const SOCKET = 'control.sock';
const INFO = 'control.json';

/** Where the socket would be; null: the path is too long for one. */
export const socketPath = (dataDir: string): string | null => {
  const path = join(resolve(dataDir), SOCKET);
  return Buffer.byteLength(path) < PATH_BYTES ? path : null;
};

const listening = (server: Server, listen: () => void): Promise<void> =>
  new Promise((done, fail) => {
    server.once('error', fail);
    server.once('listening', () => {
      server.off('error', fail);
      done();
    });
    listen();
  });

/** Listens on the socket file of this user alone. One that an earlier process left is removed. */
export const listenOnSocket = async (server: Server, path: string): Promise<string> => {
  rmSync(path, { force: true });
  await listening(server, () => server.listen({ path }));
  chmodSync(path, 0o600);
  return `unix:${path}`;
};

/** Listens on a free port of the loopback. */
export const listenOnLoopback = async (server: Server): Promise<string> => {
  await listening(server, () => server.listen({ host: '127.0.0.1', port: 0 }));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

/** What tools of the same user are told. */
export interface ControlInfo {
  readonly address: string;
  /** May look at status and obligations. */
  readonly token: string;
  readonly runnerId: string;
  readonly pid: number;
}

/** Written in one piece, readable by this user alone. */
export const writeInfo = (dataDir: string, info: ControlInfo): void => {
  const path = join(dataDir, INFO);
  // Made anew each time: the mode of a file that is there would stay.
  rmSync(`${path}.new`, { force: true });
  writeFileSync(`${path}.new`, `${JSON.stringify(info, undefined, 2)}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(`${path}.new`, path);
};

/** Takes socket and info file away. */
export const clearPlace = (dataDir: string): void => {
  rmSync(join(dataDir, INFO), { force: true });
  rmSync(join(resolve(dataDir), SOCKET), { force: true });
};
