// Real brokers for tests: one that the tests of a file share, and fresh ones for tests that kill theirs.
// Each is thrown away with its data after the file, or when the worker ends, however it ends. Names inside a shared broker are the tests' business.
import { mkdtempSync, realpathSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AccountConfig, SyncProfile } from '#libs/broker/broker-config.ts';
import { locateBroker, locateOptionsFrom } from '#libs/broker/locate.ts';
import type { Broker, StartBrokerOptions } from '#libs/broker/broker.ts';
import { startBroker } from '#libs/broker/start-broker.ts';
import { startCluster, type BrokerCluster } from '#libs/broker/start-cluster.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { shareUntilWorkerEnd } from './worker-resources.ts';

/** User `control` of the one account with JetStream, and user `system` of the broker's own account. */
export const TEST_ACCOUNTS: readonly AccountConfig[] = [
  { name: 'FLEET', jetstream: true, users: [{ user: 'control', password: 'control' }] },
  { name: 'SYS', isSystem: true, users: [{ user: 'system', password: 'system' }] },
];

export interface TestBrokerOptions {
  /** `relaxed` is faster and right wherever durability is not what is tested. @default 'relaxed' */
  readonly sync?: SyncProfile;
}

/** A running broker and how to connect to it as the control plane. */
export interface TestBroker {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly monitorUrl: string;
  /** Stops it in order if it runs, and starts it on the same port and data. */
  restart(): Promise<void>;
  /** Ends it at once, as a crash would; `restart` goes on. @default 'SIGKILL' */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Freezes it: connections stay open, nothing answers. */
  pause(): void;
  resume(): void;
  log(): readonly string[];
}

/** A broker of one test. Dispose of it: `await using broker = await freshBroker()`. */
export interface FreshBroker extends TestBroker, AsyncDisposable {
  readonly broker: Broker;
}

export type FreshBrokerOptions = Omit<Partial<StartBrokerOptions>, 'clock'>;

let executable: Promise<string> | undefined;

/** Path of the nats-server that tests run; found once a worker. */
export const testExecutable = (): Promise<string> => {
  executable ??= locateBroker(locateOptionsFrom(readEnvironment(), systemClock)).then(({ path }) => path);
  return executable;
};

/** A new directory of its own under the system's temporary one, its real path; removed after the last test of the file. */
export const scratchDir = (purpose: string): string => {
  const path = realpathSync(mkdtempSync(join(tmpdir(), `fleetlog-${purpose}-`)));
  shareUntilWorkerEnd({ [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) });
  return path;
};

const asTestBroker = (broker: Broker): TestBroker => ({
  url: broker.url,
  user: 'control',
  password: 'control',
  monitorUrl: broker.monitorUrl,
  restart: () => broker.restart(),
  kill: (signal) => broker.kill(signal),
  pause: () => broker.pause(),
  resume: () => broker.resume(),
  log: () => broker.log(),
});

/** A broker of its own, with a throw-away data directory unless one is given. Default accounts: {@link TEST_ACCOUNTS}. */
export const freshBroker = async (options: FreshBrokerOptions = {}): Promise<FreshBroker> => {
  const broker = await startBroker({
    executable: options.executable ?? (await testExecutable()),
    dataDir: options.dataDir ?? scratchDir('broker'),
    accounts: TEST_ACCOUNTS,
    sync: 'relaxed',
    isEphemeral: options.dataDir === undefined,
    keepsParentAlive: false,
    ...options,
    clock: systemClock,
  });
  return { ...asTestBroker(broker), broker, [Symbol.asyncDispose]: () => broker.stop() };
};

const shared = new Map<SyncProfile, Promise<TestBroker>>();

const startShared = async (sync: SyncProfile): Promise<TestBroker> => {
  const broker = await freshBroker({ sync });
  shareUntilWorkerEnd({
    [Symbol.asyncDispose]: async () => {
      shared.delete(sync);
      await broker[Symbol.asyncDispose]();
    },
  });
  return broker;
};

/**
 * The broker of this test file, started at the first call. Its other tests use it at the same time and later: give streams and subjects
 * a prefix of your own, and leave killing to {@link freshBroker}.
 */
export const testBroker = (options: TestBrokerOptions = {}): Promise<TestBroker> => {
  const sync = options.sync ?? 'relaxed';
  const running = shared.get(sync) ?? startShared(sync);
  shared.set(sync, running);
  return running;
};

/** Connection facts of a cluster, and its members to kill, pause and restart. */
export interface TestCluster extends BrokerCluster {
  readonly user: string;
  readonly password: string;
}

/** A throw-away cluster of three. Dispose of it: `await using cluster = await testCluster()`. */
export const testCluster = async (
  options: TestBrokerOptions & { nodes?: number } = {},
): Promise<TestCluster> => {
  const cluster = await startCluster({
    executable: await testExecutable(),
    dataDir: join(tmpdir(), `fleetlog-cluster-${systemIds.ulid()}`),
    accounts: TEST_ACCOUNTS,
    sync: options.sync ?? 'relaxed',
    nodes: options.nodes ?? 3,
    isEphemeral: true,
    keepsParentAlive: false,
    clock: systemClock,
  });
  return { ...cluster, user: 'control', password: 'control' };
};
