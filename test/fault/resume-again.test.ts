// A program that is not there for a moment when its turn is to go on after an answer: the turn waits for it, with the real control plane.
import { renameSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import { systemIds } from '#libs/system/ids.ts';
import { runs } from '#services/runs/service.ts';
import { makeId } from '#streams/ids.ts';
import { askingClaude } from '#test/support/asking-claude.ts';
import { freshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane } from '#test/support/control-plane.ts';
import { createRun, typesOf } from '#test/support/run-facts.ts';
import { ended, runnerFolders, startRunner } from '#test/support/runner-rig.ts';
import { ask, transition } from '#test/support/scripted-runner.ts';

test('WK-43 the resume is tried again until the program is back, and makes the call that was allowed', async () => {
  await using broker = await freshBroker();
  await provision(broker);
  await using control = await startControlPlane({ broker, services: [runs] });
  const folders = runnerFolders();
  const program = askingClaude(dirname(folders.dataDir));
  await using runner = await startRunner({
    broker,
    folders,
    config: { claudeProgram: program, askBefore: ['Bash(*release*)'] },
  });
  const runId = await createRun(control.ports, {
    provider: 'claude',
    sessionId: makeId('session', systemIds.ulid()),
    request: { prompt: JSON.stringify([['echo release >> log']]), turnTimeoutMs: 60_000 },
    maxAttempts: 1,
  });
  const { approvalId } = await transition(control.ports, runId, 'fleetlog.run.approval-asked.v1');
  renameSync(program, `${program}.away`);
  const said = { answerId: 'a', actor: 'user:anna', decision: 'approve' } as const;
  await ask(control.ports, 'answer-approval', { runId, approvalId, ...said });
  expect(await transition(control.ports, runId, 'fleetlog.run.lease-expired.v1')).toMatchObject({
    next: 'queued',
    retryAfterMs: 1000,
    reason: expect.stringContaining('ENOENT'),
  });
  renameSync(`${program}.away`, program);
  expect(await ended(control.ports, runId)).toMatchObject({ type: 'fleetlog.run.completed.v1', fence: 3 });
  expect(await typesOf(control.ports, runId)).toContain('lease-expired');
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
});
