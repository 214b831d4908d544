// A session whose conversation got lost, with a real runner and broker, under each rule of a run. The program only pretends to be Claude Code.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import type { ResumeMismatch } from '#streams/run.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { pretendClaude } from '#test/support/pretend-claude.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  ended,
  reportsOf,
  runnerFolders,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  folders = runnerFolders();
  const PATH = `${pretendClaude(dirname(folders.dataDir))}:/usr/bin:/bin`;
  runner = await startRunner({ broker, folders, environment: { PATH } });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const turn = async (sessionId: string, prompt: string, resumeMismatch?: ResumeMismatch) => {
  const request = { prompt, turnTimeoutMs: 60_000, ...(resumeMismatch !== undefined && { resumeMismatch }) };
  const runId = await createRun(control.ports, { provider: 'claude', sessionId, request });
  return { end: await ended(control.ports, runId), reports: await reportsOf(control.ports, runId) };
};

/** What each start of the program was asked to go on with. */
const asked = (sessionId: string): string[] =>
  readFileSync(join(folders.workspaceRoot, sessionId, 'asked.txt'), 'utf8')
    .trim()
    .split('\n');

test.each(['fork', 'gone'])(
  'WK-28 TR-23 %s under re-prime: one turn, told what the conversation was about',
  async (what) => {
    const sessionId = makeId('session', systemIds.ulid());
    await turn(sessionId, 'one');
    const { end, reports } = await turn(sessionId, what, 're-prime');
    expect(end).toMatchObject({ type: 'fleetlog.run.completed.v1' });
    expect(end).toMatchObject({
      result: { summary: expect.stringMatching(/^did This goes on from[^]*one[^]*did one/) },
    });
    const names = reports.map(({ name }) => name);
    expect(names.filter((name) => name === 'turn-started' || name === 'turn-finished')).toHaveLength(2);
    expect(reports.find(({ name }) => name === 'session-primed')).toMatchObject({
      data: {
        requested: 'conversation-one',
        observed: what === 'fork' ? 'conversation-fork' : null,
        turns: 1,
      },
    });
    const bound = reports.findLast(({ name }) => name === 'session-bound');
    expect(bound).toMatchObject({ data: { requested: null } });
    // The next turn goes on in the new conversation.
    await turn(sessionId, 'three');
    expect(asked(sessionId)).toEqual([
      'null',
      'conversation-one',
      'null',
      bound?.name === 'session-bound' ? bound.data.providerSessionId.split('\n')[0] : '',
      ...asked(sessionId).slice(4),
    ]);
  },
);

test.each(['fork', 'gone'])(
  'WK-28 %s under fail: the run says so, and the old conversation is asked for again',
  async (what) => {
    const sessionId = makeId('session', systemIds.ulid());
    await turn(sessionId, 'one');
    const { end } = await turn(sessionId, what, 'fail');
    expect(end).toMatchObject({ type: 'fleetlog.run.failed.v1', failure: { kind: 'session-lost' } });
    await turn(sessionId, 'three');
    expect(asked(sessionId)).toEqual(['null', 'conversation-one', 'conversation-one']);
  },
);
