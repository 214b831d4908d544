// Programs that flood, print garbage, do not go, leave daemons behind or die at any moment, under a real runner in a process of its own and
// a real broker: after each the run has ended once, nothing with its mark runs on, and every report is in the log once or named in a gap.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { createExecProvider } from '#services/runner/providers/exec/exec-provider.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import { runs } from '#services/runs/service.ts';
import type { RunRequest } from '#streams/run.ts';
import { freshBroker, scratchDir, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun } from '#test/support/run-facts.ts';
import { ended, endsOf, reported, reportsOf, runnerFolders, script } from '#test/support/runner-rig.ts';
import type { RunnerProcessArguments } from '#test/support/runner-process.ts';
import { ask } from '#test/support/scripted-runner.ts';
import { simulationSeeds } from '#test/support/seeds.ts';

const PROGRAM = new URL('../support/runner-process.ts', import.meta.url).pathname;
const MIB = 1024 * 1024;

let broker: FreshBroker;
let control: ControlPlane;
let runner: ChildProcess;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  const { url, user, password } = broker;
  const told: RunnerProcessArguments = { broker: { url, user, password }, folders: runnerFolders() };
  runner = spawn(process.execPath, [PROGRAM, JSON.stringify(told)], { stdio: ['pipe', 'pipe', 'inherit'] });
  if (runner.stdout === null) throw new Error('no standard output');
  for await (const line of createInterface({ input: runner.stdout })) if (line === 'up') return;
  throw new Error('the runner ended before it was up');
}, 60_000);
afterAll(async () => {
  runner.stdin?.end();
  if (runner.exitCode === null) await once(runner, 'exit');
  expect(runner.exitCode).toBe(0);
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

/** Every number of the runner is in the log once, or named in a gap. */
afterEach(async () => {
  const reports = await reportsOf(control.ports);
  const named = reports.flatMap(({ name, data }) =>
    name === 'gap' && 'ranges' in data
      ? (data.ranges ?? []).flatMap(([from, to]) =>
          Array.from({ length: to - from + 1 }, (_, at) => from + at),
        )
      : [],
  );
  const numbers = [...reports.flatMap(({ sourceSeq }) => sourceSeq ?? []), ...named].toSorted(
    (a, b) => a - b,
  );
  expect(numbers).toEqual(numbers.map((_, at) => at + 1));
});

/** Peak of the runner's memory since the last call, bytes (Linux). */
const peakBytes = (): number => {
  const status = readFileSync(`/proc/${runner.pid}/status`, 'utf8');
  writeFileSync(`/proc/${runner.pid}/clear_refs`, '5');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) * 1024;
};

const node = (source: string, more: Partial<RunRequest> = {}): RunRequest => ({
  prompt: 'p',
  turnTimeoutMs: 60_000,
  program: [process.execPath, '-e', `const say = (line) => console.log(JSON.stringify(line));\n${source}`],
  ...more,
});
const RESULT = `say({ type: 'result', outcome: 'done' });`;

/** Waits for the end and checks what holds after every fault. */
const afterwards = async (runId: string) => {
  const end = await ended(control.ports, runId);
  await reported(control.ports, runId, ({ name }) => name === 'turn-finished');
  const reports = await reportsOf(control.ports, runId);
  const turns = new Set(
    reports.flatMap(({ data }) => ('turnId' in data && typeof data.turnId === 'string' ? [data.turnId] : [])),
  );
  for (const turnId of turns) expect(await findMarked(`FLEETLOG_TURN=${turnId}`)).toEqual([]);
  expect(turns.size).toBe(1);
  expect(await endsOf(control.ports, runId)).toBe(1);
  expect(reports.filter(({ name }) => name === 'turn-finished')).toHaveLength(1);
  return { end, reports };
};
const run = async (request: RunRequest) =>
  afterwards(await createRun(control.ports, { request, maxAttempts: 1 }));

/** A hundred take half a minute on a slow machine. */
const FLOOD_MB = Number(readEnvironment()['FLEETLOG_FLOOD_MB'] ?? 40);
const CALLS = Math.ceil((FLOOD_MB * MIB) / 950_000);

describe('a program that says too much', () => {
  test(`${FLOOD_MB} MB of tool output are all in the log, and the runner stays small`, async () => {
    await run(node(RESULT));
    peakBytes();
    const before = peakBytes();
    const { end, reports } = await run(
      node(
        `let at = 0;
         const more = () => {
           while (at < ${CALLS}) {
             const callId = String(at++);
             say({ type: 'tool-started', callId, name: 'cat' });
             if (!process.stdout.write(JSON.stringify({ type: 'tool-finished', callId, output: callId + ' ' + 'y'.repeat(950_000) }) + '\\n')) return process.stdout.once('drain', more);
           }
           ${RESULT}
         };
         more();`,
        { turnTimeoutMs: 120_000 },
      ),
    );
    const growth = peakBytes() - before;
    expect(end).toMatchObject({ type: 'fleetlog.run.completed.v1' });
    const finished = reports.filter(({ name }) => name === 'tool-finished');
    expect(finished.map(({ data }) => ('callId' in data ? data.callId : ''))).toEqual(
      Array.from({ length: CALLS }, (_, at) => String(at)),
    );
    let bytes = 0;
    for (const { entry } of finished)
      bytes +=
        (await control.ports.blobs.get((entry.headers['ce-dataref'] ?? '').replace('blob:', '')))
          ?.byteLength ?? 0;
    expect(bytes).toBeGreaterThan(FLOOD_MB * MIB - MIB);
    process.stdout.write(
      `${FLOOD_MB} MB of tool output: the runner grew by ${Math.round(growth / MIB)} MiB from ${Math.round(before / MIB)} MiB\n`,
    );
    expect(growth).toBeLessThan((100 + FLOOD_MB) * MIB);
  }, 120_000);

  test('binary garbage and lines of 10 MB, on both outputs, are kept or counted, and the result is read', async () => {
    const { end, reports } = await run(
      node(
        `const bytes = Buffer.from(Array.from({ length: 50_000 }, (_, at) => (at * 7919) % 251));
         process.stdout.write(bytes);
         process.stderr.write(bytes);
         process.stdout.write('\\n' + 'x'.repeat(10_000_000) + '\\n');
         process.stderr.write('z'.repeat(10_000_000) + '\\n', () => { ${RESULT} });`,
      ),
    );
    expect(end).toMatchObject({ type: 'fleetlog.run.completed.v1' });
    const long = reports.find(
      ({ name, data }) => name === 'unknown-line' && 'cutBytes' in data && data.cutBytes > 0,
    );
    expect(long?.data).toMatchObject({ cutBytes: 10_000_000 - MIB });
  }, 60_000);
});

describe('a program that does not go', () => {
  const cancelled = async (source: string) => {
    const runId = await createRun(control.ports, { request: node(source), maxAttempts: 1 });
    await reported(control.ports, runId, ({ name }) => name === 'text');
    await ask(control.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    return afterwards(runId);
  };

  test('WK-18 that ignores SIGTERM is gone all the same, and the run is cancelled', async () => {
    const { end } = await cancelled(
      `process.on('SIGTERM', () => {}); say({ type: 'text', text: 'here' }); setInterval(() => {}, 1000);`,
    );
    expect(end).toMatchObject({ type: 'fleetlog.run.cancelled.v1', result: { signal: 'SIGKILL' } });
  }, 30_000);

  test('WK-18 that closes its outputs and stays is gone all the same', async () => {
    const { end } = await cancelled(
      `process.on('SIGTERM', () => {});
       say({ type: 'text', text: 'here' });
       setTimeout(() => { require('node:fs').closeSync(1); require('node:fs').closeSync(2); }, 50);
       setInterval(() => {}, 1000);`,
    );
    expect(end).toMatchObject({ type: 'fleetlog.run.cancelled.v1', result: { signal: 'SIGKILL' } });
  }, 30_000);

  test('that closes its outputs, lives on and is not cancelled ends at its deadline', async () => {
    const source = `require('node:fs').closeSync(1); require('node:fs').closeSync(2); setInterval(() => {}, 1000);`;
    const { end } = await run(node(source, { turnTimeoutMs: 1500 }));
    expect(end).toMatchObject({ failure: { kind: 'turn-timeout' } });
  }, 30_000);
});

test.each([
  ['in a session of its own', `setsid sleep 600 < /dev/null > /dev/null 2>&1 &`],
  ['twice forked', `( ( setsid sleep 600 < /dev/null > /dev/null 2>&1 & ) & )`],
  ['that holds its output open', `setsid sleep 600 &`],
  [
    'that ignores SIGTERM',
    `setsid sh -c 'trap "" TERM; while :; do sleep 1; done' < /dev/null > /dev/null 2>&1 &`,
  ],
])(
  'a daemon %s is ended with the turn',
  async (_, line) => {
    const { end, reports } = await run({
      prompt: 'p',
      turnTimeoutMs: 60_000,
      program: ['sh', '-c', `${line}\nsleep 0.3; echo '{"type":"result","outcome":"done"}'`],
    });
    expect(end).toMatchObject({ type: 'fleetlog.run.completed.v1', result: { outcome: 'done' } });
    expect(reports.at(-1)?.name).toBe('turn-finished');
  },
  30_000,
);

test('a program that is killed (kill -9) at any moment leaves a run that ends once, with all it had said before', async () => {
  const seed = simulationSeeds().at(-1) ?? 0;
  const ids = createSeededIds(seed, createManualClock());
  for (let round = 0; round < 6; round += 1) {
    const after = Math.floor(ids.random() * 30);
    const source = `let at = 0; const timer = setInterval(() => { for (let n = 0; n < 5; n++) say({ type: 'text', text: 'word ' + at++ + '\\n' }); if (at >= 150) { clearInterval(timer); ${RESULT} } }, 5);`;
    const runId = await createRun(control.ports, { request: node(source), maxAttempts: 1 });
    const start = await reported(control.ports, runId, ({ name }) => name === 'turn-started');
    let seen = 0;
    if (after > 0)
      await reported(
        control.ports,
        runId,
        ({ name }) => (name === 'text' && (seen += 1) >= after) || name === 'turn-finished',
      );
    try {
      process.kill(start.name === 'turn-started' ? (start.data.pid ?? 0) : 0, 'SIGKILL');
    } catch {
      // It was faster.
    }
    const { end, reports } = await afterwards(runId);
    const said = reports
      .map(({ name, data }) => (name === 'text' && 'text' in data ? data.text : ''))
      .join('');
    const words = said.split('\n').filter((word) => word.startsWith('word '));
    expect(words, `FLEETLOG_SEED=${seed}`).toEqual(words.map((_, at) => `word ${at}`));
    if (end.type === 'fleetlog.run.completed.v1') expect(words).toHaveLength(150);
    else expect(end).toMatchObject({ failure: { kind: 'provider-failed' }, result: { signal: 'SIGKILL' } });
  }
}, 120_000);

test('a program that dies while its runner cannot reach the broker: the end is told later, once', async () => {
  const runId = await createRun(control.ports, {
    request: script({ say: 'here' }, { sleepMs: 600_000 }),
    maxAttempts: 1,
    leaseMs: 60_000,
  });
  const start = await reported(control.ports, runId, ({ name }) => name === 'turn-started');
  await reported(control.ports, runId, ({ name }) => name === 'text');
  await broker.kill();
  process.kill(start.name === 'turn-started' ? (start.data.pid ?? 0) : 0, 'SIGKILL');
  const mark = `FLEETLOG_TURN=${start.name === 'turn-started' ? start.data.turnId : ''}`;
  await expect.poll(() => findMarked(mark), { timeout: 10_000 }).toEqual([]);
  await broker.restart();
  const { end } = await afterwards(runId);
  expect(end).toMatchObject({ failure: { kind: 'provider-failed' }, result: { signal: 'SIGKILL' } });
}, 60_000);

describe('a wall clock that jumps while a real program runs', () => {
  test.each([3_600_000, -3_600_000])(
    'by %i ms: neither the watch over its silence nor its deadline notices',
    async (jumpMs) => {
      const clock = createManualClock();
      const events: ProviderEvent[] = [];
      const spoke = Promise.withResolvers<void>();
      const turn = createExecProvider(clock).start(
        {
          workspace: scratchDir('jump'),
          prompt: '',
          program: node(`say({ type: 'text', text: 'here' }); setInterval(() => {}, 1000);`).program ?? [],
          environment: { PATH: readEnvironment()['PATH'] ?? '', MARK: `jump-${jumpMs}` },
          mark: 'MARK',
          limits: { turnTimeoutMs: 60_000, silenceMs: 20_000, killAfterMs: 1000, lingerMs: 1000 },
        },
        async (event) => {
          events.push(event);
          spoke.resolve();
        },
      );
      await spoke.promise;
      await clock.settle();
      clock.jumpWall(jumpMs);
      await clock.advance(19_000);
      expect(await findMarked(`MARK=jump-${jumpMs}`)).toHaveLength(1);
      await clock.advance(1000);
      expect((await turn.ended).stopped).toBe('silence');
      expect(await findMarked(`MARK=jump-${jumpMs}`)).toEqual([]);
    },
    30_000,
  );
});
