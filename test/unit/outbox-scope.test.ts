// What goes through the buffer of a runner and what does not, where the buffer lies, and what starts its delivery.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseSections } from '#libs/config/parse.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { systemIds } from '#libs/system/ids.ts';
import { announcePresence } from '#services/runner/presence.ts';
import { ReportWriter, type TurnReportName } from '#services/runner/report-writer.ts';
import { RunnerConfig } from '#services/runner/runner-config.ts';
import { createRunsClient } from '#services/runner/runs-client.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { agentRequestFilter } from '#streams/subjects.ts';
import { recordOf } from '#test/support/outbox-peer.ts';
import { useOutboxRig } from '#test/support/outbox-rig.ts';

const rig = useOutboxRig();
const PLACE = { tenant: 'acme', project: 'web', agent: 'builder-1' };

const turn = {
  runId: makeId('run', systemIds.ulid()),
  sessionId: makeId('session', systemIds.ulid()),
  turnId: makeId('turn', systemIds.ulid()),
  commandId: makeId('command', systemIds.ulid()),
  fence: 3,
};

test('OB-01 reports of every kind share one queue on disk and leave it in the order in which they were made', async () => {
  const { clock, peer, path } = rig();
  peer.mode = 'away';
  const outbox = rig().start();
  const writer = new ReportWriter({
    outbox,
    redactor: createRedactor(),
    boundary: PLACE,
    agent: PLACE.agent,
    clock,
    ids: createSeededIds(3, clock),
  });
  const said = [
    ['text', { text: 'one' }],
    ['reasoning', { text: 'two' }],
    ['tool-started', { callId: 'c', name: 'edit', input: {} }],
    ['output', { stream: 'stderr', text: 'four' }],
    ['text', { text: 'five' }],
  ] as const;
  const numbers: number[] = [];
  for (const [name, payload] of said) numbers.push(await writer.write(turn, name, payload));
  expect(numbers).toEqual([1, 2, 3, 4, 5]);
  expect(existsSync(path)).toBe(true);
  peer.mode = 'up';
  outbox.nudge();
  await clock.advance(60_000);
  await outbox.drained();
  expect(peer.stored.map(({ kind }) => kind)).toEqual(said.map(([name]): TurnReportName => name));
});

test('OB-01 that a runner is alive does not go through the buffer: the last word counts, and reconnecting heals it', async () => {
  const { clock } = rig();
  const outbox = rig().start();
  const broker = createMemoryBroker({ clock, ids: createSeededIds(4, clock) });
  const told: unknown[] = [];
  const stop = new AbortController();
  const presence = announcePresence(
    {
      clock,
      outbox,
      runs: createRunsClient(broker.requests, PLACE),
      hooks: { depth: () => undefined },
      active: () => 0,
      whenBegun: () => undefined,
      onLate: () => undefined,
      everyMs: 1000,
      facts: { runnerId: 'r1', providers: ['exec'], version: '0', startedAt: 0 },
      machine: () => undefined,
    },
    stop.signal,
  );
  // Nobody answers for a while: nothing of it is kept.
  for (let second = 0; second < 30; second += 1) await clock.advance(1000);
  expect(outbox.status()).toMatchObject({ pending: 0, nextSourceSeq: 1 });
  rig().peer.mode = 'away';
  await outbox.enqueue(recordOf('waits'));
  const server = broker.requests.serve(agentRequestFilter('runs', 'announce'), 'runs', async ({ body }) => {
    told.push(parseJson(body));
    return { body: jsonBytes({ outcome: 'ok', result: { ttlMs: 3000 } }) };
  });
  await clock.advance(6000);
  expect(told.length).toBeGreaterThan(0);
  expect(told.length).toBeLessThan(8);
  expect(told.at(-1)).toMatchObject({ runnerId: 'r1', buffered: 1, ttlMs: 3000 });
  stop.abort();
  await clock.advance(1000);
  await presence;
  await server.stop();
});

test('OB-02 WK-10 the folder of the buffer is a setting that must be given, a flag before a variable; there is no fallback', () => {
  const parse = (options: Record<string, string>, environment: Record<string, string>) =>
    parseSections(
      { runner: RunnerConfig },
      {
        options: { runnerAgent: 'builder-1', runnerWorkspaceRoot: '/w', ...options },
        environment,
        readFile: () => '{}',
      },
    );
  const environment = { FLEETLOG_RUNNER_DATA_DIR: '/from/the/variable' };
  expect(parse({}, environment)).toMatchObject({
    sections: { runner: { config: { dataDir: '/from/the/variable' } } },
  });
  expect(parse({ runnerDataDir: '/from/the/flag' }, environment)).toMatchObject({
    sections: { runner: { config: { dataDir: '/from/the/flag' } } },
  });
  expect(() => parse({}, {})).toThrow(/FLEETLOG_RUNNER_DATA_DIR/);
});

test('OB-02 the folder is made with those above it, for its owner only, and no name of it means memory', async () => {
  const dir = join(rig().dir, 'not', 'there', ':memory:');
  const outbox = rig().start({ dir });
  await outbox.enqueue(recordOf('a'));
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  expect(readdirSync(dir).some((name) => name.endsWith('.sqlite'))).toBe(true);
});

test.runIf(process.platform === 'linux')(
  'OB-02 a folder that cannot be made is refused with a code, at once',
  () => {
    expect(() => rig().start({ dir: '/proc/nowhere/buffer' })).toThrow(
      expect.objectContaining({ code: 'OUTBOX_DIR_UNUSABLE', retry: 'never' }),
    );
  },
);

test('OB-15 opening the buffer delivers what waits, each commit wakes the delivery, and no poll is needed', async () => {
  const { clock, peer } = rig();
  peer.mode = 'away';
  const first = rig().start();
  await first.enqueue(recordOf('left by the process before'));
  await rig().closeNow(first);
  peer.mode = 'up';
  const second = rig().start();
  await second.drained();
  for (const text of ['a', 'b', 'c']) {
    await second.enqueue(recordOf(text));
    await second.drained();
    // Nothing waits for time: between two reports there is not even a timer.
    expect(clock.pendingTimers()).toBe(0);
  }
  expect(rig().storedTexts()).toEqual(['left by the process before', 'a', 'b', 'c']);
});

test('OB-15 a buffer that waits for an unreachable other side keeps no process alive', async () => {
  const program = new URL('../support/outbox-writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, join(rig().dir, 'other'), 'leave'], { stdio: 'inherit' });
  expect(await once(child, 'exit')).toEqual([0, null]);
});
