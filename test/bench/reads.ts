// What the gateway's reads cost when there is much to read: how long it takes to have everything in memory after a start, how much memory that
// is, and how quick single pages are then, over HTTP. The floors are a process that watches the same buckets, parses their values and keeps
// nothing, and a server that answers with the same bytes. Memory and processor time are read from /proc: on Linux only.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { readEnvironment } from '#libs/system/env.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import type { Bench } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { PageTimes } from './reads-pages.ts';
import { fillReads } from './reads-world.ts';

const MOST_ROUNDS = 3;
/** Linux counts processor time for programs in hundredths of a second. */
const MS_PER_TICK = 10;
const REBUILT: Target = { of: 'value', is: '<=', limit: 5000 };
const MEMORY: Target = { of: 'value', is: '<=', limit: 400 };

interface Started {
  readonly child: ChildProcess;
  readonly line: string;
  readonly ms: number;
}

/** Starts this Node on a file; resolves at the first line that says what is waited for. */
const startNode = async (
  args: readonly string[],
  pattern: RegExp,
  environment: Readonly<Record<string, string>> = {},
): Promise<Started> => {
  const clean = Object.entries(readEnvironment()).filter(([name]) => !name.startsWith('FLEETLOG_'));
  const env = { ...Object.fromEntries(clean), ...environment };
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const line = await new Promise<string>((resolve, reject) => {
    // A service writes its log to standard error.
    for (const input of [child.stdout, child.stderr])
      createInterface({ input }).on('line', (text) => {
        if (pattern.test(text)) resolve(text);
      });
    child.once('close', () => reject(new Error(`${args.join(' ')} ended before it was ready`)));
  });
  return { child, line, ms: performance.now() - startedAt };
};

const stop = async ({ child }: Started): Promise<void> => {
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  await ended;
};

/** Processor time so far, user and system: a busy machine moves it less than the time by the clock. */
const processorMs = ({ child }: Started): number => {
  // The name of the program, in brackets, may have spaces.
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
};

const residentMb = ({ child }: Started): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024;

const startGateway = ({ url, user, password }: FreshBroker): Promise<Started> =>
  startNode(['services/main.mjs', 'gateway'], /gateway is listening/, {
    FLEETLOG_NATS_URL: url,
    FLEETLOG_NATS_USER: user,
    FLEETLOG_NATS_PASSWORD: password,
    FLEETLOG_GATEWAY_PORT: '0',
    FLEETLOG_LOG_FORMAT: 'json',
  });

export const readsBench: Bench = {
  name: 'reads',
  run: async ({ profile, rounds, emit }) => {
    if (!existsSync('/proc/self/status')) return;
    await using broker = await freshBroker({ sync: profile });
    await fillReads(broker);
    const bare = (): Promise<Started> =>
      startNode(
        [
          'test/bench/bare-watch/run.ts',
          broker.url,
          broker.user,
          broker.password,
          'sessions',
          'tasks',
          'cursors',
        ],
        /^ready/,
      );
    const ms = { ours: [] as number[], floor: [] as number[] };
    const cpu = { ours: [] as number[], floor: [] as number[] };
    const mb = { ours: [] as number[], floor: [] as number[] };
    const pages = new PageTimes();
    const http = await startNode(['test/bench/bare-http/run.ts'], /^ready/);
    const bareBase = `http://127.0.0.1:${http.line.split(' ')[1]}`;
    for (let round = 0; round < Math.min(rounds, MOST_ROUNDS); round += 1) {
      const floor = await bare();
      ms.floor.push(floor.ms);
      cpu.floor.push(processorMs(floor));
      mb.floor.push(residentMb(floor));
      await stop(floor);
      const gateway = await startGateway(broker);
      const base = `http://127.0.0.1:${(JSON.parse(gateway.line) as { port: number }).port}`;
      ms.ours.push(gateway.ms);
      cpu.ours.push(processorMs(gateway));
      await pages.measure(base, bareBase);
      mb.ours.push(residentMb(gateway));
      await stop(gateway);
    }
    await stop(http);
    const named = { bench: 'reads', profile } as const;
    emit(fromPairs({ ...named, figure: 'start to everything in memory', unit: 'ms', target: REBUILT }, ms));
    emit(fromPairs({ ...named, figure: 'processor time until then', unit: 'ms', target: null }, cpu));
    emit(fromPairs({ ...named, figure: 'resident, after all pages', unit: 'MB', target: MEMORY }, mb));
    for (const figure of pages.figures(profile)) emit(figure);
  },
};
