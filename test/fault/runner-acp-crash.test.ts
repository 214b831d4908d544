// A runner of an agent of the Agent Client Protocol that is killed (kill -9) at every step of a turn: what it had kept between turns and what was
// at work is ended by the next one, the conversation goes on, and the run ends exactly once.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { TURN_STEPS } from '#services/runner/turn-parts.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import { acpAgent } from '#test/support/acp-rig.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  AGENT,
  ended,
  endsOf,
  reportsOf,
  runnerFolders,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';
import { useRunnerProcesses } from '#test/support/runner-processes.ts';

/** After these the program had been started, or nobody can know that it had not. */
const LOST = ['claim-journaled', 'program-started', 'start-reported', 'program-ended'];

let broker: FreshBroker;
let control: ControlPlane;
let folders: RunnerFolders;

const CRASHES = TURN_STEPS.slice(2);
/** By where its runner will be killed: a session whose conversation has begun. */
const sessions = new Map(CRASHES.map((crashAt) => [crashAt, makeId('session', systemIds.ulid())]));

beforeAll(async () => {
  broker = await freshBroker();
  // An instruction that a dead runner had in hand comes again after the ack wait; here after 2 s.
  await provision(broker, [AGENT], [], (stream) => (stream === 'COMMANDS' ? 2000 : undefined));
  control = await startControlPlane({ broker, services: [runs], config: { runs: { sweepMs: 1000 } } });
  folders = runnerFolders();
  const first = await up(start());
  for (const sessionId of sessions.values())
    await ended(control.ports, await create(sessionId, [{ say: 'before' }]));
  await stop(first);
}, 60_000);
afterAll(async () => {
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

/** Neither the end of its input nor SIGTERM moves this agent. */
const agentConfig = () => {
  const [acpProgram, ...acpArguments] = acpAgent({ staysAtEof: true, ignoresTerm: true });
  return { acpProgram, acpArguments, killAfterMs: 300 };
};
const { start, up, stop } = useRunnerProcesses(() => ({ broker, folders, config: agentConfig() }));
const create = (sessionId: string, steps: readonly object[]): Promise<string> =>
  createRun(control.ports, {
    provider: 'acp',
    sessionId,
    request: { prompt: JSON.stringify(steps), turnTimeoutMs: 60_000 },
    maxAttempts: 3,
  });
const living = (sessionId: string): Promise<readonly number[]> => findMarked(`FLEETLOG_SESSION=${sessionId}`);
const agentLog = (sessionId: string): readonly string[] =>
  readFileSync(join(folders.workspaceRoot, sessionId, 'agent.log'), 'utf8')
    .trim()
    .split('\n');

test.each(CRASHES)(
  'WK-17 killed at the step %s leaves a run that ends exactly once, in its conversation, and no process',
  async (crashAt) => {
    const sessionId = sessions.get(crashAt) ?? '';
    const crashing = await up(start({ crashAt }));
    const runId = await create(sessionId, [{ background: { ignoresTerm: true } }, { say: 'written' }]);
    if (crashing.exitCode === null && crashing.signalCode === null) await once(crashing, 'exit');
    expect(crashing.signalCode).toBe('SIGKILL');
    const next = await up(start());
    expect(await ended(control.ports, runId)).toMatchObject({
      type: 'fleetlog.run.completed.v1',
      fence: LOST.includes(crashAt) ? 2 : 1,
    });
    expect(await endsOf(control.ports, runId)).toBe(1);
    const forks = (await reportsOf(control.ports, runId)).filter(({ name }) => name === 'session-forked');
    expect(forks).toEqual([]);
    // Of what was started under the killed one nothing is left: the one that is there was started by the next.
    expect((await living(sessionId)).length).toBeLessThanOrEqual(1);
    await stop(next);
    expect(await living(sessionId)).toEqual([]);
    expect(agentLog(sessionId).some((line) => line.endsWith('resume conversation-1'))).toBe(true);
  },
  60_000,
);

test('killed while it keeps agents between turns leaves none of them to the next one', async () => {
  const used = [...sessions.values()].slice(0, 2);
  const first = await up(start());
  for (const sessionId of used) await ended(control.ports, await create(sessionId, [{ say: 'kept' }]));
  const kept = (await Promise.all(used.map(living))).flat();
  expect(kept).toHaveLength(2);
  first.kill('SIGKILL');
  await once(first, 'exit');
  const next = await up(start());
  expect((await Promise.all(used.map(living))).flat()).toEqual([]);
  await stop(next);
}, 60_000);
