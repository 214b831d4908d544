// The directory of one private broker: who may use it, where things are, and which process serves it now.
// Guarantees that two brokers never share a directory, and that a broker left behind by a dead owner is ended first.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import { takeExclusive, type ExclusiveFile } from './exclusive-file.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from '#libs/processes/process-identity.ts';
import { storeFailure } from './start-failure.ts';
import { stopProcess } from '#libs/processes/stop-process.ts';

/** What is written beside the data while a broker serves it. */
export interface ServingRecord {
  readonly owner: ProcessIdentity;
  readonly broker: ProcessIdentity;
  readonly clientPort: number;
  readonly monitorPort: number;
}

export interface DataDir {
  readonly path: string;
  readonly storeDir: string;
  readonly configPath: string;
  readonly logPath: string;
  /** The broker of a dead owner that was found alive here and ended, if any. */
  readonly endedOrphan: ServingRecord | undefined;
  record(serving: Omit<ServingRecord, 'owner'>): void;
  /** Gives the directory free for others. The data stay. */
  release(): void;
}

const ORPHAN_GRACE_MS = 15_000;

const isIdentity = (value: unknown): value is ProcessIdentity =>
  typeof value === 'object' &&
  value !== null &&
  'pid' in value &&
  Number.isInteger(value.pid) &&
  'started' in value &&
  typeof value.started === 'string';

const isPort = (value: unknown): value is number => Number.isInteger(value);

/** The record of `path`, or undefined when there is none or it is not readable as one (a torn write of a power cut). */
export const readServingRecord = (path: string): ServingRecord | undefined => {
  try {
    const value: unknown = JSON.parse(readFileSync(join(path, 'broker.json'), 'utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    if (!('owner' in value && 'broker' in value && 'clientPort' in value && 'monitorPort' in value)) {
      return undefined;
    }
    const { owner, broker, clientPort, monitorPort } = value;
    if (!isIdentity(owner) || !isIdentity(broker) || !isPort(clientPort) || !isPort(monitorPort)) {
      return undefined;
    }
    return { owner, broker, clientPort, monitorPort };
  } catch {
    return undefined;
  }
};

const writeServingRecord = (path: string, record: ServingRecord): void => {
  const target = join(path, 'broker.json');
  const draft = `${target}.${process.pid}.tmp`;
  writeFileSync(draft, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(draft, target);
};

const takeLock = (path: string): ExclusiveFile => {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const lock = takeExclusive(join(path, 'broker.lock'));
    if (lock !== undefined) return lock;
  } catch (error) {
    throw storeFailure(path, error);
  }
  const record = readServingRecord(path);
  const holder = record === undefined ? 'another process' : `process ${record.owner.pid}`;
  const where =
    record === undefined ? '' : ` (broker process ${record.broker.pid}, port ${record.clientPort})`;
  throw new Fault({
    code: 'BROKER_DATA_DIR_IN_USE',
    retry: 'never',
    message: `The data directory ${path} is in use by ${holder}${where}. Stop it, or choose another data directory.`,
    detail: { dataDir: path, ownerPid: record?.owner.pid, brokerPid: record?.broker.pid },
  });
};

const endOrphan = async (path: string, clock: Clock): Promise<ServingRecord | undefined> => {
  const record = readServingRecord(path);
  if (record === undefined || !isAlive(record.broker)) return undefined;
  if (await stopProcess(record.broker, clock, ORPHAN_GRACE_MS)) return record;
  throw new Fault({
    code: 'BROKER_DATA_DIR_IN_USE',
    retry: 'later',
    message: `Broker process ${record.broker.pid}, left behind by process ${record.owner.pid}, still serves ${path} and cannot be ended. End it by hand.`,
    detail: { dataDir: path, brokerPid: record.broker.pid },
  });
};

/**
 * Claims `path` for this process until `release` or the end of the process.
 * Faults: `BROKER_DATA_DIR_IN_USE` (a living owner holds it), `BROKER_STORE_UNWRITABLE`.
 */
export const claimDataDir = async (path: string, clock: Clock): Promise<DataDir> => {
  const lock = takeLock(path);
  try {
    const endedOrphan = await endOrphan(path, clock);
    const owner = identifyProcess(process.pid) ?? { pid: process.pid, started: '' };
    return {
      path,
      storeDir: join(path, 'store'),
      configPath: join(path, 'nats.conf'),
      logPath: join(path, 'nats.log'),
      endedOrphan,
      record: (serving) => writeServingRecord(path, { owner, ...serving }),
      release: () => {
        rmSync(join(path, 'broker.json'), { force: true });
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
};
