// The private broker as its users see it: crash and restart, freeze, its data directory, and its end together with its owner.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Fault } from '#libs/kernel/fault.ts';
import { readServingRecord } from '#libs/broker/data-dir.ts';
import { findFreePort } from '#libs/broker/free-port.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from '#libs/processes/process-identity.ts';
import { sendSignal } from '#libs/processes/stop-process.ts';
import { freshBroker, scratchDir, testExecutable, type TestBroker } from '#test/support/broker.ts';

const dial = async (broker: TestBroker): Promise<NatsConnection> => {
  const connection = await connect({
    servers: broker.url,
    user: broker.user,
    pass: broker.password,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
  });
  onTestFinished(() => connection.close());
  return connection;
};

const keptDir = (): string => {
  const dataDir = scratchDir('kept');
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  return dataDir;
};

const failureOf = async (start: Promise<unknown>): Promise<Fault> => {
  const failure = await start.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({ name: 'Fault' });
  return failure as Fault;
};

const gone = (identity: ProcessIdentity): Promise<void> =>
  vi.waitFor(() => expect(isAlive(identity)).toBe(false), { timeout: 10_000, interval: 10 });

const identityOf = (pid: number | undefined): ProcessIdentity => {
  const identity = pid === undefined ? undefined : identifyProcess(pid);
  expect(identity).toBeDefined();
  return identity ?? { pid: 0, started: '' };
};

interface Owner {
  readonly process: ChildProcess;
  readonly said: { readonly pid?: number; readonly url?: string; readonly error?: string };
}

/** Starts another process that owns a broker, and waits until it said how that went. */
const startOwner = async (...args: readonly string[]): Promise<Owner> => {
  const script = join(import.meta.dirname, '../support/broker-owner/run.ts');
  const owner = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void owner.kill('SIGKILL'));
  const [line] = await once(createInterface(owner.stdout), 'line');
  return { process: owner, said: JSON.parse(String(line)) };
};

test('what was acknowledged is there after kill -9 and a restart on the same port', async () => {
  await using fresh = await freshBroker({ sync: 'always' });
  const connection = await dial(fresh);
  await (await jetstreamManager(connection)).streams.add({ name: 'S', subjects: ['s'] });
  for (let count = 1; count <= 20; count += 1) await jetstream(connection).publish('s', `${count}`);
  const { url } = fresh;

  await fresh.kill();
  expect(fresh.broker.pid()).toBeUndefined();
  await fresh.restart();

  expect(fresh.url).toBe(url);
  const { state } = await (await jetstreamManager(await dial(fresh))).streams.info('S');
  expect(state).toMatchObject({ messages: 20, last_seq: 20 });
});

test('restart ends the running life in order first, and each life is another process', async () => {
  await using fresh = await freshBroker();
  const first = fresh.broker.pid();
  await fresh.restart();
  expect(fresh.broker.pid()).not.toBe(first);
  expect(fresh.log().join('\n')).toContain('Initiating Shutdown');
});

test('a broker that dies by itself is reported, with how it ended', async () => {
  await using fresh = await freshBroker();
  const exit = new Promise((resolve) => fresh.broker.onExit(resolve));
  process.kill(fresh.broker.pid() ?? 0, 'SIGKILL');
  expect(await exit).toEqual({ code: null, signal: 'SIGKILL', isExpected: false });
  await fresh.restart();
  const asked = new Promise((resolve) => fresh.broker.onExit(resolve));
  await fresh.kill();
  expect(await asked).toMatchObject({ isExpected: true });
});

test('a frozen broker answers nothing, goes on when it is thawed, and can be stopped while frozen', async () => {
  await using fresh = await freshBroker();
  const connection = await dial(fresh);
  fresh.pause();
  const flushed = connection.flush().then(() => 'flushed');
  const health = await fetch(`${fresh.monitorUrl}/healthz`, { signal: AbortSignal.timeout(200) }).catch(
    (error: Error) => error.name,
  );
  expect(health).toBe('TimeoutError');
  fresh.resume();
  expect(await flushed).toBe('flushed');
  fresh.pause();
});

test('stop is in order, is done once, and gives the data directory free', async () => {
  const dataDir = keptDir();
  const first = await freshBroker({ dataDir });
  const pid = identityOf(first.broker.pid());
  await Promise.all([first.broker.stop(), first.broker.stop()]);
  expect(isAlive(pid)).toBe(false);
  await expect(first.restart()).rejects.toMatchObject({ code: 'BROKER_STOPPED' });
  await using second = await freshBroker({ dataDir });
  expect(second.broker.dataDir).toBe(dataDir);
});

test('configuration, log and record are for their owner only, and the log is kept in a file', async () => {
  await using fresh = await freshBroker();
  for (const name of ['nats.conf', 'nats.log', 'broker.json']) {
    expect(statSync(join(fresh.broker.dataDir, name)).mode & 0o077).toBe(0);
  }
  expect(readFileSync(join(fresh.broker.dataDir, 'nats.log'), 'utf8')).toContain('Server is ready');
});

test('a second broker on one data directory is refused, in this process and from another', async () => {
  const dataDir = keptDir();
  await using first = await freshBroker({ dataDir });
  const fault = await failureOf(freshBroker({ dataDir }));
  expect(fault).toMatchObject({ code: 'BROKER_DATA_DIR_IN_USE', retry: 'never' });
  expect(fault.message).toContain(`in use by process ${process.pid}`);
  expect(fault.message).toContain(`port ${first.broker.clientPort}`);
  const other = await startOwner(dataDir);
  expect(other.said.error).toContain(`in use by process ${process.pid}`);
  await (await dial(first)).flush();
});

test('a directory whose broker was killed is still its owner’s', async () => {
  const dataDir = keptDir();
  await using first = await freshBroker({ dataDir });
  await first.kill();
  expect(await failureOf(freshBroker({ dataDir }))).toMatchObject({ code: 'BROKER_DATA_DIR_IN_USE' });
  await first.restart();
});

test('a broker ends when its owner is killed', async () => {
  const owner = await startOwner(keptDir(), '5000');
  const broker = identityOf(owner.said.pid);
  owner.process.kill('SIGKILL');
  await gone(broker);
});

test('a frozen broker ends too when its owner is killed, and a throw-away one takes its data along', async () => {
  const dataDir = keptDir();
  const owner = await startOwner(dataDir, '1000', 'ephemeral');
  const broker = identityOf(owner.said.pid);
  process.kill(broker.pid, 'SIGSTOP');
  owner.process.kill('SIGKILL');
  await gone(broker);
  await vi.waitFor(() => expect(existsSync(dataDir)).toBe(false), { timeout: 10_000 });
});

test.skipIf(process.platform !== 'linux')(
  'an orphan that outlived its guard is ended by the next start on its directory',
  async () => {
    const dataDir = keptDir();
    const owner = await startOwner(dataDir, '5000');
    const orphan = identityOf(owner.said.pid);
    onTestFinished(() => void sendSignal(orphan.pid, 'SIGKILL'));
    // Frozen, the guard can do nothing; it is the one child of the owner that is not the broker.
    const children = readFileSync(`/proc/${owner.process.pid}/task/${owner.process.pid}/children`, 'utf8');
    const guards = children
      .trim()
      .split(' ')
      .map(Number)
      .filter((pid) => pid !== orphan.pid);
    expect(guards).toHaveLength(1);
    const guard = guards[0] ?? 0;
    process.kill(guard, 'SIGSTOP');
    onTestFinished(() => void sendSignal(guard, 'SIGKILL'));
    const ended = once(owner.process, 'exit');
    owner.process.kill('SIGKILL');
    await ended;
    expect(isAlive(orphan)).toBe(true);

    await using next = await freshBroker({ dataDir });
    expect(isAlive(orphan)).toBe(false);
    expect(readServingRecord(dataDir)?.broker.pid).toBe(next.broker.pid());
  },
);

test('a record of a process number that another process has now is no orphan', async () => {
  const dataDir = keptDir();
  const first = await freshBroker({ dataDir });
  await first.broker.stop();
  const innocent = spawn('sleep', ['60']);
  onTestFinished(() => void innocent.kill('SIGKILL'));
  await once(innocent, 'spawn');
  const stale = { pid: innocent.pid, started: '1' };
  writeFileSync(
    join(dataDir, 'broker.json'),
    JSON.stringify({ owner: stale, broker: stale, clientPort: 1, monitorPort: 2 }),
  );
  await using second = await freshBroker({ dataDir });
  expect(second.broker.pid()).toBeDefined();
  expect(innocent.exitCode).toBeNull();
  expect(innocent.signalCode).toBeNull();
});

test('a port that is taken is named, and nothing is left running', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const dataDir = keptDir();
  const fault = await failureOf(freshBroker({ dataDir, clientPort: port }));
  expect(fault).toMatchObject({ code: 'BROKER_PORT_IN_USE', retry: 'later' });
  expect(fault.message).toContain(`127.0.0.1:${port}: address already in use`);
  await using next = await freshBroker({ dataDir });
  expect(next.broker.clientPort).not.toBe(port);
});

test('a port that is asked for is used, also after a restart', async () => {
  const clientPort = await findFreePort('127.0.0.1');
  await using fresh = await freshBroker({ clientPort });
  await fresh.restart();
  expect(fresh.url).toBe(`nats://127.0.0.1:${clientPort}`);
});

test('accounts that no broker accepts are refused in its own words', async () => {
  const fault = await failureOf(
    freshBroker({
      accounts: [
        {
          name: 'A',
          users: [],
          imports: [{ kind: 'service', account: 'NOBODY', subject: 'x' }],
        },
      ],
    }),
  );
  expect(fault).toMatchObject({ code: 'BROKER_CONFIG_INVALID', retry: 'never' });
  expect(fault.message).toContain('NOBODY');
});

test('a program that is no broker is reported with what it said', async () => {
  const fault = await failureOf(freshBroker({ executable: '/bin/false' }));
  expect(fault).toMatchObject({ code: 'BROKER_START_FAILED' });
  expect(fault.message).toContain('it ended with code 1');
  expect((await failureOf(freshBroker({ executable: '/nowhere/nats-server' }))).message).toContain('ENOENT');
  expect(await testExecutable()).toContain('nats-server');
});
