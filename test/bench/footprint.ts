// What the whole product costs while nothing happens: resident memory of the one process with all services, and of the broker
// beside it, and how long they take from start to ready with the broker's executable in the cache. The floors are a broker that
// holds nothing, and a Node process that has one connection to it. Memory is read from /proc: on Linux only.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { SyncProfile } from '#libs/broker/broker-config.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { freshBroker, scratchDir, type FreshBroker } from '#test/support/broker.ts';
import type { Bench } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';

const ROOT = join(import.meta.dirname, '../..');
/** After this long without work a process counts as idle. */
const IDLE_MS = 8000;
const WARM_UP = 1;
const MEMORY: Target = { of: 'value', is: '<=', limit: 150 };
const START: Target = { of: 'value', is: '<=', limit: 2000 };

/** What one start showed. */
interface Footprint {
  readonly readyMs: number;
  /** Processor time of the Node process until then: what other work on the machine does not change. */
  readonly cpuMs: number;
  readonly processMb: number;
  readonly brokerMb: number;
}

/** Resident memory of a process in MB (2^20 bytes). */
const residentMb = (pid: number | undefined): number => {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) / 1024;
};

/** Kernel ticks of a process, of which there are 100 a second. */
const cpuMs = (pid: number | undefined): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return 10 * (Number(fields[11]) + Number(fields[12]));
};

interface Started extends Pick<Footprint, 'readyMs' | 'cpuMs'> {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
}

/** Starts this Node on a file, without settings of the product; resolves at its first line. */
const startNode = async (args: readonly string[]): Promise<Started> => {
  const environment = Object.entries(readEnvironment()).filter(
    ([name]) => !name.startsWith('FLEETLOG_') || name === 'FLEETLOG_NATS_SERVER',
  );
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: Object.fromEntries(environment),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  const line = new Promise((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const first = await Promise.race([line, ended.then(() => undefined)]);
  if (first === undefined) throw new Error(`${args.join(' ')} ended before it was ready`);
  return { child, ended, readyMs: performance.now() - startedAt, cpuMs: cpuMs(child.pid) };
};

const idle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, IDLE_MS));

/** The whole stack on a new directory. */
const measureStack = async (profile: SyncProfile): Promise<Footprint> => {
  const dataDir = scratchDir('bench-up');
  const flags = ['--json', '--quiet', '--no-sample', '--port', '0', '--data', dataDir];
  const relaxed = profile === 'relaxed' ? ['--relaxed'] : [];
  const { child, ended, ...start } = await startNode(['services/fleetlog.mjs', 'up', ...flags, ...relaxed]);
  try {
    await idle();
    const record = JSON.parse(readFileSync(join(dataDir, 'nats/broker.json'), 'utf8')) as {
      readonly broker: { readonly pid: number };
    };
    return { ...start, processMb: residentMb(child.pid), brokerMb: residentMb(record.broker.pid) };
  } finally {
    child.kill('SIGTERM');
    await ended;
    rmSync(dataDir, { recursive: true, force: true });
  }
};

/** A Node process with one connection, and the broker it is connected to. */
const measureFloor = async ({ url, user, password, broker }: FreshBroker): Promise<Footprint> => {
  const { child, ended, ...start } = await startNode(['test/bench/bare-process/run.ts', url, user, password]);
  try {
    await idle();
    return { ...start, processMb: residentMb(child.pid), brokerMb: residentMb(broker.pid()) };
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
};

export const footprintBench: Bench = {
  name: 'footprint',
  run: async ({ profile, rounds, emit }) => {
    if (!existsSync('/proc/self/status')) return;
    await using broker = await freshBroker({ sync: profile });
    const ours: Footprint[] = [];
    const floor: Footprint[] = [];
    for (let round = -WARM_UP; round < rounds; round += 1) {
      // One after the other: neither idles while the other starts.
      const stack = await measureStack(profile);
      const bare = await measureFloor(broker);
      if (round < 0) continue;
      ours.push(stack);
      floor.push(bare);
    }
    const pairs = (of: keyof Footprint) => ({
      ours: ours.map((one) => one[of]),
      floor: floor.map((one) => one[of]),
    });
    const named = { bench: 'footprint', profile } as const;
    const memory = { ...named, unit: 'MB' } as const;
    emit(fromPairs({ ...named, figure: 'start to ready', unit: 'ms', target: START }, pairs('readyMs')));
    const cpu = { ...named, figure: 'processor time of the start', unit: 'ms', target: null } as const;
    emit(fromPairs(cpu, pairs('cpuMs')));
    emit(fromPairs({ ...memory, figure: 'all services, idle', target: MEMORY }, pairs('processMb')));
    emit(fromPairs({ ...memory, figure: 'broker, idle', target: null }, pairs('brokerMb')));
  },
};
