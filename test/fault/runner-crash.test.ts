// A runner that is killed (kill -9) at every step of a turn, and one that is stopped or loses its broker in the middle of one:
// the run ends exactly once, nothing runs on, and no number is missing.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { TURN_STEPS } from '#services/runner/turn-parts.ts';
import { runs } from '#services/runs/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun, typesOf } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  endsOf,
  reported,
  reportsOf,
  runnerFolders,
  script,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';
import { useRunnerProcesses } from '#test/support/runner-processes.ts';
import { transition } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let control: ControlPlane;
/** One runner follows another on the same folders, as on a real machine. */
let folders: RunnerFolders;

beforeAll(async () => {
  broker = await freshBroker();
  // An instruction that a dead runner had in hand comes again after the ack wait, which is 30 s; here after 2 s.
  await provision(broker, [AGENT], [], (stream) => (stream === 'COMMANDS' ? 2000 : undefined));
  control = await startControlPlane({ broker, services: [runs], config: { runs: { sweepMs: 1000 } } });
  folders = runnerFolders();
});
afterAll(async () => {
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const { start, up, stop } = useRunnerProcesses(() => ({ broker, folders }));

/** The marks of every turn of the run. */
const leftovers = async (runId: string): Promise<number[]> => {
  const turns = new Set(
    (await reportsOf(control.ports, runId)).map(({ data }) => ('turnId' in data ? data.turnId : '')),
  );
  const found = await Promise.all([...turns].map((turnId) => findMarked(`FLEETLOG_TURN=${turnId}`)));
  return found.flat();
};

/** Numbers of all reports of the runner: gapless, each once. */
const expectGapless = async (): Promise<void> => {
  const numbers = (await reportsOf(control.ports)).flatMap(({ sourceSeq }) => sourceSeq ?? []);
  expect(numbers.toSorted((a, b) => a - b)).toEqual(numbers.map((_, at) => at + 1));
};

/** The most programs that were started under one claim. */
const startsUnderOneFence = async (runId: string): Promise<number> => {
  const starts = (await reportsOf(control.ports, runId)).filter(({ name }) => name === 'turn-started');
  return Math.max(
    ...[...Map.groupBy(starts, ({ entry }) => entry.headers['Fleet-Fence']).values()].map(
      ({ length }) => length,
    ),
  );
};

describe('a runner that is killed', () => {
  test.each(TURN_STEPS)(
    'WK-17 at the step %s leaves a run that ends exactly once',
    async (crashAt) => {
      const file = join(folders.workspaceRoot, `crash-${crashAt}`, 'count.txt');
      const request = {
        ...script({ append: 'count.txt', content: 'x' }, { say: 'written' }),
        workspace: `crash-${crashAt}`,
      };
      const runId = await createRun(control.ports, { request, maxAttempts: 3, leaseMs: 30_000 });
      const crashing = start({ crashAt });
      await once(crashing, 'exit');
      expect(crashing.signalCode).toBe('SIGKILL');
      const next = await up(start());
      // From the journal on a turn is reported as lost, and the run is tried again; before it, nothing had been done under the claim.
      const isLost = !['instruction-taken', 'claim-intended', 'claim-answered', 'result-stored'].includes(
        crashAt,
      );
      expect(await ended(control.ports, runId)).toMatchObject({
        type: 'fleetlog.run.completed.v1',
        fence: isLost ? 2 : 1,
      });
      await stop(next);
      expect(await endsOf(control.ports, runId)).toBe(1);
      expect(await leftovers(runId)).toEqual([]);
      expect(await startsUnderOneFence(runId)).toBe(1);
      expect(readFileSync(file, 'utf8')).toMatch(isLost ? /^xx?$/ : /^x$/);
      await expectGapless();
    },
    60_000,
  );

  test('in the middle of the work has what it started ended by the next one', async () => {
    const request = script({ ignoreTerm: true }, { say: 'working' }, { sleepMs: 600_000 });
    const runId = await createRun(control.ports, { request, leaseMs: 60_000, maxAttempts: 1 });
    const first = await up(start());
    await reported(control.ports, runId, ({ name }) => name === 'text');
    expect(await leftovers(runId)).toHaveLength(1);
    first.kill('SIGKILL');
    await once(first, 'exit');
    const next = await up(start());
    expect(await ended(control.ports, runId)).toMatchObject({
      failure: { kind: 'runner-lost', message: 'the runner was restarted during the turn' },
    });
    expect(await leftovers(runId)).toEqual([]);
    await stop(next);
    await expectGapless();
  }, 60_000);
});

describe('a runner that is stopped', () => {
  test('lets a program finish that can, and reports its result', async () => {
    const runId = await createRun(control.ports, {
      request: script({ say: 'nearly' }, { sleepMs: 300 }, { say: 'there' }),
    });
    const runner = await up(start({ config: { finishMs: 20_000 } }));
    await reported(control.ports, runId, ({ name }) => name === 'text');
    await stop(runner);
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
  }, 60_000);

  test('ends a program that cannot finish in time, and says that the runner was lost', async () => {
    const runId = await createRun(control.ports, {
      request: script({ say: 'long' }, { sleepMs: 600_000 }),
      maxAttempts: 1,
    });
    const runner = await up(start());
    await reported(control.ports, runId, ({ name }) => name === 'text');
    await stop(runner);
    expect(await ended(control.ports, runId)).toMatchObject({ failure: { kind: 'runner-lost' } });
    expect(await leftovers(runId)).toEqual([]);
  }, 60_000);

  test('RN-17 WK-09 outlives its programs and goes with exit code 0 when it is told; one that cannot go on, as a second one on its buffer, goes with another', async () => {
    const first = await up(start());
    const gone = script({ say: 'bye' }, { shell: 'kill -9 $PPID' });
    const runId = await createRun(control.ports, { request: gone, maxAttempts: 1 });
    expect(await ended(control.ports, runId)).toMatchObject({ failure: { kind: 'provider-failed' } });
    const second = start();
    await once(second, 'exit');
    expect(second.exitCode).toBeGreaterThan(0);
    const next = await createRun(control.ports, { request: script({ say: 'still here' }) });
    expect(await ended(control.ports, next)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
    await stop(first);
  }, 60_000);
});

describe('a lease', () => {
  test('WK-36 that was lost ends the program, and what is still said under its fence is refused on record', async () => {
    const request = script({ say: 'mine' }, { sleepMs: 600_000 });
    const runId = await createRun(control.ports, { request, leaseMs: 3000, maxAttempts: 1 });
    const runner = await up(start());
    await reported(control.ports, runId, ({ name }) => name === 'text');
    // Stopped long enough, a process loses its lease without noticing; then it is told.
    runner.kill('SIGSTOP');
    await transition(control.ports, runId, 'fleetlog.run.lease-expired.v1');
    const before = await reportsOf(control.ports, runId);
    runner.kill('SIGCONT');
    await expect.poll(() => leftovers(runId), { timeout: 20_000 }).toEqual([]);
    await stop(runner);
    const said = (await reportsOf(control.ports, runId)).slice(before.length).map(({ name }) => name);
    // It may have found out by its own clock first, and then said so: that is on record as refused.
    expect([[], ['turn-finished'], ['turn-finished', 'report-refused']]).toContainEqual(said);
    expect(await typesOf(control.ports, runId)).toEqual([
      'created',
      'claimed',
      'turn-started',
      'lease-expired',
    ]);
    await expectGapless();
  }, 60_000);

  test('that cannot be renewed because the broker is away stops the work before it is over, and the end is told later', async () => {
    const request = script({ say: 'on my own' }, { sleepMs: 600_000 });
    const runId = await createRun(control.ports, { request, leaseMs: 5000, maxAttempts: 1 });
    const runner = await up(start());
    const first = await reported(control.ports, runId, ({ name }) => name === 'text');
    const turnId = 'turnId' in first.data ? first.data.turnId : '';
    await broker.kill();
    await expect.poll(() => findMarked(`FLEETLOG_TURN=${turnId}`), { timeout: 20_000 }).toEqual([]);
    await broker.restart();
    await reported(control.ports, runId, ({ name }) => name === 'turn-finished');
    await expect.poll(() => typesOf(control.ports, runId), { timeout: 30_000 }).toHaveLength(4);
    await stop(runner);
    expect(await endsOf(control.ports, runId)).toBeLessThanOrEqual(1);
    await expectGapless();
  }, 90_000);
});

test('a broker that is away during a turn delays its reports and loses none', async () => {
  const go = join(folders.workspaceRoot, 'away', 'go');
  const request = {
    ...script({ say: 'before' }, { shell: 'until [ -e go ]; do sleep 0.02; done' }, { say: 'after' }),
    workspace: 'away',
  };
  const runId = await createRun(control.ports, { request, leaseMs: 60_000 });
  const runner = await up(start());
  await reported(control.ports, runId, ({ name }) => name === 'tool-started');
  await broker.kill();
  await once(spawn('touch', [go]), 'exit');
  const [started] = await findMarked(`FLEETLOG_WORKSPACE=${join(folders.workspaceRoot, 'away')}`);
  if (started !== undefined)
    await expect
      .poll(() => findMarked(`FLEETLOG_WORKSPACE=${join(folders.workspaceRoot, 'away')}`))
      .toEqual([]);
  await broker.restart();
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
  const names = (await reportsOf(control.ports, runId)).map(({ name }) => name);
  expect(names.join(' ')).toBe(
    'turn-started prompt-echoed text tool-started tool-finished text usage insight turn-finished',
  );
  await stop(runner);
  await expectGapless();
}, 90_000);
