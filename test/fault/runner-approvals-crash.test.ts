// A runner that is killed (kill -9) around a question to a person: while the call is put off, while a program waits, and at each step of
// the turn that goes on with the answer. The question and its answer survive; the allowed call is made once unless the run may be repeated.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import { askingClaude } from '#test/support/asking-claude.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun } from '#test/support/run-facts.ts';
import { AGENT, ended, endsOf, runnerFolders, type RunnerFolders } from '#test/support/runner-rig.ts';
import { useRunnerProcesses } from '#test/support/runner-processes.ts';
import { ask, transition } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let control: ControlPlane;
let folders: RunnerFolders;

beforeAll(async () => {
  broker = await freshBroker();
  // An instruction that a dead runner had in hand comes again after the ack wait; here after 2 s.
  await provision(broker, [AGENT], [], (stream) => (stream === 'COMMANDS' ? 2000 : undefined));
  control = await startControlPlane({ broker, services: [runs], config: { runs: { sweepMs: 1000 } } });
  folders = runnerFolders();
});
afterAll(async () => {
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

const { start, up } = useRunnerProcesses(() => ({
  broker,
  folders,
  config: {
    claudeProgram: askingClaude(dirname(folders.dataDir)),
    askBefore: ['Bash(*release*)'],
    killAfterMs: 300,
  },
}));
const kill = async (child: ChildProcess): Promise<void> => {
  child.kill('SIGKILL');
  await once(child, 'exit');
};
const answer = (runId: string, approvalId: string) =>
  ask(control.ports, 'answer-approval', {
    runId,
    approvalId,
    answerId: 'a',
    decision: 'approve',
    actor: 'user:anna',
  });

/** A run whose call is put off, by a runner that is dead by then. */
const parked = async (replay: 'requeue' | 'fail' = 'requeue') => {
  const sessionId = makeId('session', systemIds.ulid());
  const prompt = JSON.stringify([['echo look >> log'], ['echo release >> log'], ['echo after >> log']]);
  const request = { prompt, turnTimeoutMs: 60_000 };
  const runId = await createRun(control.ports, {
    provider: 'claude',
    sessionId,
    request,
    replay,
    maxAttempts: 3,
  });
  const runner = await up(start());
  const { approvalId } = await transition(control.ports, runId, 'fleetlog.run.approval-asked.v1');
  await kill(runner);
  const file = (name: string): string => {
    const path = join(folders.workspaceRoot, sessionId, name);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  return { runId, approvalId, log: () => file('log'), starts: () => file('starts.txt') };
};

describe('a runner that is killed', () => {
  test('HR-45 WK-42 while a call is put off loses nothing: the next one goes on with the answer', async () => {
    const { runId, approvalId, log } = await parked();
    expect(await answer(runId, approvalId)).toMatchObject({ outcome: 'ok' });
    await up(start());
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 2 });
    expect(log()).toBe('look\nrelease\nafter\n');
    expect(await endsOf(control.ports, runId)).toBe(1);
  }, 60_000);

  test.each(['claim-answered', 'claim-journaled', 'program-ended', 'result-stored'] as const)(
    'WK-43 at the step %s of the turn that goes on leaves a run that ends once, with the call made',
    async (crashAt) => {
      const { runId, approvalId, log } = await parked();
      await answer(runId, approvalId);
      const crashing = start({ crashAt });
      await once(crashing, 'exit');
      await up(start());
      expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1' });
      // Where the program had begun, the run may repeat what it did: that is its replay rule.
      expect(log()).toMatch(/^look\n(release\n)+(after\n)*$/);
      if (crashAt.startsWith('claim') || crashAt === 'result-stored')
        expect(log()).toBe('look\nrelease\nafter\n');
      expect(await endsOf(control.ports, runId)).toBe(1);
    },
    60_000,
  );

  test('as its program begins leaves it without an answer: the call is refused, and the next turn says that it was allowed', async () => {
    const { runId, approvalId, log, starts } = await parked();
    await answer(runId, approvalId);
    const crashing = start({ crashAt: 'program-started' });
    await once(crashing, 'exit');
    await up(start());
    expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 3 });
    // Whether the program came to its call before it was ended depends on the machine; unasked it never makes it.
    expect(log()).toMatch(/^look\n(release\nafter\n)?$/);
    if (log() === 'look\n') expect(starts()).toContain('resumed Your call of Bash');
    expect(await endsOf(control.ports, runId)).toBe(1);
  }, 60_000);

  test('after the answer was used, in a run that must not be repeated, fails it', async () => {
    const { runId, approvalId, log } = await parked('fail');
    await answer(runId, approvalId);
    const crashing = start({ crashAt: 'program-ended' });
    await once(crashing, 'exit');
    await up(start());
    expect(await ended(control.ports, runId)).toMatchObject({ failure: { kind: 'runner-lost' } });
    expect(log()).toBe('look\nrelease\nafter\n');
  }, 60_000);

  test.each(['requeue', 'fail'] as const)(
    'while a program waits closes its question, by the rule %s',
    async (replay) => {
      const path = join(dirname(folders.dataDir), 'waits.cjs');
      writeFileSync(path, WAITS);
      const request = { prompt: 'x', program: [process.execPath, path], turnTimeoutMs: 60_000 };
      const runId = await createRun(control.ports, { request, replay, maxAttempts: 2 });
      const first = await up(start());
      const { approvalId } = await transition(control.ports, runId, 'fleetlog.run.approval-asked.v1');
      await kill(first);
      await up(start());
      if (replay === 'fail') {
        expect(await ended(control.ports, runId)).toMatchObject({
          type: 'fleetlog.run.failed.v1',
          approvalsClosed: [approvalId],
        });
        return;
      }
      expect(await transition(control.ports, runId, 'fleetlog.run.lease-expired.v1')).toMatchObject({
        next: 'queued',
        approvalsClosed: [approvalId],
      });
      expect(await answer(runId, approvalId)).toMatchObject({ code: 'APPROVAL_CLOSED' });
      const again = await transition(control.ports, runId, 'fleetlog.run.approval-asked.v1', 2);
      await answer(runId, again.approvalId);
      expect(await ended(control.ports, runId)).toMatchObject({
        type: 'fleetlog.run.completed.v1',
        fence: 2,
      });
    },
    60_000,
  );
});

/** Asks its runner, and is done when it has an answer. */
const WAITS = `
const http = require('node:http');
const request = http.request({ socketPath: process.env.FLEETLOG_CONTROL.replace('unix:', ''), path: '/v1/ask', method: 'POST',
  headers: { 'content-type': 'application/json', authorization: 'Bearer ' + process.env.FLEETLOG_TURN_TOKEN } }, (response) => {
  response.resume();
  response.on('end', () => console.log(JSON.stringify({ type: 'result', outcome: 'done' })));
});
request.on('error', () => undefined);
request.end(JSON.stringify({ question: 'Ship it?', callId: 'ship' }));
`;
