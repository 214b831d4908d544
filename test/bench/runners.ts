// What a runner costs while it waits: 50 of them on one machine, each a process of its own on one broker, idle. The memory that is its
// own (PSS: what is shared counts in parts) and all that it maps (RSS). The floor is as many Node processes with one connection each.
// Read from /proc: on Linux only.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { accountsOf } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { presenceKey } from '#streams/buckets.ts';
import { freshBroker, scratchDir, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane } from '#test/support/control-plane.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { runs } from '#services/runs/service.ts';
import type { Bench } from './bench-world.ts';
import type { Figure, Target } from './figure.ts';
import { median } from './measure.ts';

const ROOT = join(import.meta.dirname, '../..');
const RUNNERS = 50;
const PASSWORD = 'secret';
const IDLE_MS = 5000;
const MEMORY: Target = { of: 'value', is: '<=', limit: 60 };

/** Memory of a process in MB (2^20 bytes). */
const memoryOf = (pid: number | undefined): { readonly pssMb: number; readonly rssMb: number } => {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const read = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024;
  return { pssMb: read('Pss'), rssMb: read('Rss') };
};

/** One more than are measured. */
const agents = Array.from({ length: RUNNERS + 1 }, (_, at) => `agent-${at + 1}`);

const start = (args: readonly string[], variables: Readonly<Record<string, string>>): ChildProcess => {
  const inherited = Object.entries(readEnvironment()).filter(([name]) => !name.startsWith('FLEETLOG_'));
  const env = { ...Object.fromEntries(inherited), ...variables };
  return spawn(process.execPath, args, { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'inherit'] });
};

const end = async (children: readonly ChildProcess[]): Promise<void> => {
  const ended = children.map((child) => new Promise((resolve) => child.once('close', resolve)));
  for (const child of children) child.kill('SIGTERM');
  await Promise.all(ended);
};

const idle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, IDLE_MS));

/** Starts a runner for each of these; resolves when all have announced themselves. */
const startRunners = async (
  broker: FreshBroker,
  which: readonly string[],
): Promise<readonly ChildProcess[]> => {
  const home = scratchDir('bench-runners');
  const children = which.map((agent) => {
    const child = start(['services/main.mjs', 'runner'], {
      FLEETLOG_NATS_URL: broker.url,
      FLEETLOG_NATS_USER: runnerUser(agent),
      FLEETLOG_NATS_PASSWORD: PASSWORD,
      FLEETLOG_RUNNER_AGENT: agent,
      FLEETLOG_RUNNER_DATA_DIR: join(home, agent),
      FLEETLOG_RUNNER_WORKSPACE_ROOT: join(home, `${agent}-work`),
      FLEETLOG_HEALTH_PORT: '0',
      FLEETLOG_LOG_LEVEL: 'error',
    });
    child.stdout?.resume();
    return child;
  });
  const control = await connectTo({ ...broker, urls: [broker.url] });
  const missing = new Set(which.map((agent) => presenceKey(BOUNDARY, agent)));
  const found = new AbortController();
  for await (const event of openKeyValue(control, { bucket: 'presence' }).watch({ signal: found.signal })) {
    if (event.kind === 'put') missing.delete(event.entry.key);
    if (missing.size === 0) found.abort();
  }
  await control.close();
  return children;
};

const startBare = async (broker: FreshBroker): Promise<readonly ChildProcess[]> => {
  const script = 'test/bench/bare-process/run.ts';
  const children = Array.from({ length: RUNNERS }, () =>
    start([script, broker.url, 'control', 'control'], {}),
  );
  for (const { stdout } of children)
    if (stdout !== null)
      await new Promise((resolve) => createInterface({ input: stdout }).once('line', resolve));
  return children;
};

export const runnersBench: Bench = {
  name: 'runners',
  run: async ({ profile, emit }) => {
    if (profile !== 'relaxed' || !existsSync('/proc/self/smaps_rollup')) return;
    const secrets = {
      systemPassword: 'system',
      controlPassword: 'control',
      viewerPassword: 'viewer',
      runnerPasswords: Object.fromEntries(agents.map((agent) => [agent, PASSWORD])),
    };
    const accounts = accountsOf({ agents: agents.map((agent) => ({ ...BOUNDARY, agent })) }, secrets);
    await using broker = await freshBroker({ sync: profile, accounts });
    await provision(broker, agents);
    await using plane = await startControlPlane({ broker, services: [runs] });
    const bare = await startBare(broker);
    await idle();
    const floors = bare.map(({ pid }) => memoryOf(pid));
    await end(bare);
    // The first start of an installation compiles for all that follow, and needs more memory for it.
    await end(await startRunners(broker, agents.slice(-1)));
    const runners = await startRunners(broker, agents.slice(0, RUNNERS));
    await idle();
    const found = runners.map(({ pid }) => memoryOf(pid));
    await end(runners);
    if (plane.fatal.length > 0) throw plane.fatal[0];
    const figure = (name: string, of: 'pssMb' | 'rssMb', target: Target | null): Figure => {
      const value = median(found.map((one) => one[of]));
      const floor = median(floors.map((one) => one[of]));
      const common = { bench: 'runners', unit: 'MB', profile, rounds: RUNNERS, spread: null } as const;
      return {
        ...common,
        figure: `one of ${RUNNERS} runners, ${name}`,
        value,
        floor,
        ratio: value / floor,
        target,
      };
    };
    emit(figure('PSS', 'pssMb', MEMORY));
    emit(figure('RSS', 'rssMb', null));
  },
};
