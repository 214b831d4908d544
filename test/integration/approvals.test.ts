// Approvals on a real broker, two instances of the runs service at once, with a runner that follows a script: asked, shown, answered
// once, told to the runner or gone on with, out of time, and over restarts of everything.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '#services/runs/service.ts';
import { leaseKey, viewKey } from '#streams/buckets.ts';
import type { RunRequestOf } from '#streams/run-requests.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun, gone, shown, typesOf } from '#test/support/run-facts.ts';
import {
  answerInstruction,
  ask,
  cancelInstruction,
  claimTurn,
  refusedAnswer,
  transition,
  turnInstruction,
  type ScriptedTurn,
} from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let one: ControlPlane;
let two: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  one = await startControlPlane({ broker, services: [runs] });
  two = await startControlPlane({ broker, services: [runs], config: { runs: { sweepMs: 1000 } } });
});
afterAll(async () => {
  expect([...one.fatal, ...two.fatal]).toEqual([]);
  await Promise.all([one.stop(), two.stop()]);
  await broker[Symbol.asyncDispose]();
});

const DIGEST = 'd'.repeat(64);
const ASKED = 'fleetlog.run.approval-asked.v1';
const ANSWERED = 'fleetlog.run.approval-answered.v1';

const begun = async (
  changes: Partial<RunRequestOf<'create'>> = {},
): Promise<{ readonly runId: string; readonly turn: ScriptedTurn }> => {
  const runId = await createRun(one.ports, changes);
  const turn = await claimTurn(one.ports, await turnInstruction(one.ports, runId));
  await turn.started();
  // What comes next may reach the other instance first.
  await transition(one.ports, runId, 'fleetlog.run.turn-started.v1');
  return { runId, turn };
};
const answer = (
  runId: string,
  approvalId: string,
  changes: Partial<RunRequestOf<'answer-approval'>> = {},
  plane = one,
) =>
  ask(plane.ports, 'answer-approval', {
    runId,
    approvalId,
    answerId: `by ${changes.actor ?? 'user:anna'}`,
    decision: 'approve',
    actor: 'user:anna',
    ...changes,
  });
const asked = async (
  turn: ScriptedTurn,
  runId: string,
  ...[mode, changes]: Parameters<ScriptedTurn['wants']>
) => {
  const approvalId = await turn.wants(mode, changes);
  const { seq } = await transition(one.ports, runId, ASKED, turn.fence);
  return { approvalId, seq };
};

describe('a held question', () => {
  test('HR-28 is shown with its exact call, and its answer reaches the runner that waits', async () => {
    const { runId, turn } = await begun();
    const { approvalId, seq } = await asked(turn, runId, 'held');
    const key = viewKey(BOUNDARY, runId);
    expect(await shown(one.ports, { bucket: 'runs', key }, seq)).toMatchObject({
      state: 'waiting',
      openApprovals: [{ approvalId, tool: 'Bash' }],
    });
    expect(await shown(one.ports, { bucket: 'approvals', key }, seq)).toMatchObject({
      approvals: [
        { approvalId, state: 'open', input: { command: 'make release' }, digest: DIGEST, mode: 'held' },
      ],
    });
    // It goes on under its lease.
    expect(await ask(one.ports, 'renew', { runId, runnerId: 'r1', fence: 1 })).toMatchObject({
      outcome: 'ok',
    });
    const given = await answer(runId, approvalId, { digest: DIGEST, message: 'go ahead' });
    expect(given).toMatchObject({ outcome: 'ok', result: { decision: 'approve', repeated: false } });
    expect(await answerInstruction(one.ports, runId)).toMatchObject({
      fence: 1,
      approval: { approvalId, decision: 'approve', digest: DIGEST, message: 'go ahead' },
    });
    await turn.finished();
    const end = await transition(one.ports, runId, 'fleetlog.run.completed.v1');
    expect(await shown(one.ports, { bucket: 'approvals', key }, seq + 1)).toMatchObject({
      approvals: [{ approvalId, state: 'approve', by: 'user:anna', message: 'go ahead' }],
    });
    expect(await shown(one.ports, { bucket: 'runs', key }, end.seq)).toMatchObject({
      state: 'completed',
      openApprovals: [],
    });
  });

  test('WK-41 of two answers at once through two instances one counts; the other is refused and on record', async () => {
    const { runId, turn } = await begun();
    const { approvalId } = await asked(turn, runId, 'held');
    const [anna, ben] = await Promise.all([
      answer(runId, approvalId),
      answer(runId, approvalId, { decision: 'reject', actor: 'user:ben' }, two),
    ]);
    expect([anna.outcome, ben.outcome].toSorted()).toEqual(['ok', 'refused']);
    expect(await typesOf(one.ports, runId)).toEqual([
      'created',
      'claimed',
      'turn-started',
      'approval-asked',
      'approval-answered',
    ]);
    const loser = anna.outcome === 'ok' ? 'user:ben' : 'user:anna';
    expect(await refusedAnswer(one.ports, runId)).toMatchObject({
      approvalId,
      by: loser,
      code: 'APPROVAL_ANSWERED',
    });
  });

  test('an answer that is repeated is one answer; another one under its id is refused', async () => {
    const { runId, turn } = await begun();
    const { approvalId } = await asked(turn, runId, 'held');
    const edit = { decision: 'edit', input: { command: 'make -n release' }, digest: DIGEST } as const;
    const first = await answer(runId, approvalId, edit);
    expect(await answer(runId, approvalId, edit, two)).toMatchObject({
      outcome: 'ok',
      result: { seq: (first as { readonly result: { readonly seq: number } }).result.seq, repeated: true },
    });
    expect(await answer(runId, approvalId, { decision: 'reject' })).toMatchObject({
      code: 'RUN_CONFLICTING_REQUEST',
    });
    expect(await answerInstruction(one.ports, runId)).toMatchObject({
      approval: { decision: 'edit', input: { command: 'make -n release' } },
    });
  });

  test('an answer to another call, and one to a question that never was, are refused', async () => {
    const { runId, turn } = await begun();
    const { approvalId } = await asked(turn, runId, 'held');
    expect(await answer(runId, approvalId, { digest: 'e'.repeat(64) })).toMatchObject({
      code: 'APPROVAL_OTHER_CALL',
    });
    expect(await refusedAnswer(one.ports, runId)).toMatchObject({ approvalId, code: 'APPROVAL_OTHER_CALL' });
    const other = approvalId.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    expect(await answer(runId, other)).toMatchObject({ code: 'APPROVAL_UNKNOWN' });
  });

  test('that is withdrawn lets the run go on and cannot be answered', async () => {
    const { runId, turn } = await begun();
    const { approvalId } = await asked(turn, runId, 'held');
    const { sessionId } = await turnInstruction(one.ports, runId);
    const about = { runId, sessionId, turnId: turn.turnId };
    await turn.report('approval-withdrawn', {
      ...about,
      approvalId,
      reason: 'gave up',
      withdrawnAt: one.ports.clock.now(),
    });
    expect(await transition(one.ports, runId, ANSWERED)).toMatchObject({
      decision: 'withdrawn',
      by: 'agent:builder-1',
    });
    expect(await answer(runId, approvalId)).toMatchObject({ code: 'APPROVAL_CLOSED' });
    await turn.finished();
    await transition(one.ports, runId, 'fleetlog.run.completed.v1');
  });

  test('whose runner is lost is closed with the claim, and the replay rule decides', async () => {
    const { runId, turn } = await begun({ leaseMs: 2000 });
    const { approvalId } = await asked(turn, runId, 'held');
    expect(await transition(one.ports, runId, 'fleetlog.run.lease-expired.v1')).toMatchObject({
      next: 'queued',
      approvalsClosed: [approvalId],
    });
    expect(await answer(runId, approvalId)).toMatchObject({ code: 'APPROVAL_CLOSED' });
    expect((await turnInstruction(one.ports, runId, 2)).approvals).toBeUndefined();
  });

  test('is refused by time: the broker says when, and the runner is told', async () => {
    const { runId, turn } = await begun();
    const { approvalId } = await asked(turn, runId, 'held', { waitMs: 1000 });
    expect(await transition(one.ports, runId, ANSWERED)).toMatchObject({
      decision: 'expired',
      by: 'service:runs',
    });
    expect(await answerInstruction(one.ports, runId)).toMatchObject({
      approval: { approvalId, decision: 'expired' },
    });
    expect(await answer(runId, approvalId)).toMatchObject({ code: 'APPROVAL_CLOSED' });
  });

  test('is closed at once when the run is cancelled, and its runner is told to end the program', async () => {
    const { runId, turn } = await begun();
    const { approvalId } = await asked(turn, runId, 'held');
    await ask(one.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await transition(one.ports, runId, 'fleetlog.run.cancel-requested.v1')).toMatchObject({
      approvalsClosed: [approvalId],
    });
    expect(await cancelInstruction(one.ports, runId)).toMatchObject({ reason: 'enough' });
    expect(await answer(runId, approvalId)).toMatchObject({ code: 'APPROVAL_CLOSED' });
  });
});

describe('a parked question', () => {
  test('HR-45 WK-42 gives the claim and its lease back; the answer starts the next claim, which goes on with it', async () => {
    const { runId, turn } = await begun({ maxAttempts: 1 });
    const { approvalId, seq } = await asked(turn, runId, 'parked');
    await gone(one.ports, 'leases', leaseKey(BOUNDARY, runId));
    const key = viewKey(BOUNDARY, runId);
    expect(await shown(one.ports, { bucket: 'runs', key }, seq)).toMatchObject({
      state: 'waiting',
      runnerId: null,
      parkings: 1,
    });
    expect(await ask(one.ports, 'claim', { runId, runnerId: 'r9', claimId: 'c9' })).toMatchObject({
      code: 'RUN_WAITING',
    });
    expect(await ask(one.ports, 'renew', { runId, runnerId: 'r1', fence: 1 })).toMatchObject({
      outcome: 'refused',
    });

    const before = await turnInstruction(one.ports, runId);
    await answer(runId, approvalId, { decision: 'reject', message: 'not today' });
    const next = await turnInstruction(one.ports, runId, 2);
    expect(next.approvals).toEqual([
      {
        approvalId,
        callId: 'toolu_1',
        tool: 'Bash',
        digest: DIGEST,
        decision: 'reject',
        message: 'not today',
      },
    ]);
    // The first instruction again: it does not know the answer.
    const stale = { runId, runnerId: 'r9', claimId: 'c9', commandId: before.commandId };
    expect(await ask(one.ports, 'claim', stale)).toMatchObject({ code: 'RUN_INSTRUCTION_OLD' });
    const second = await claimTurn(two.ports, next, 'r2');
    await second.started();
    // Of two instances either may take the next report: an end counts before its start, which then changes nothing.
    await transition(one.ports, runId, 'fleetlog.run.turn-started.v1', 2);
    await second.finished();
    const end = await transition(one.ports, runId, 'fleetlog.run.completed.v1');
    expect(end.fence).toBe(2);
    expect(await shown(one.ports, { bucket: 'runs', key }, end.seq)).toMatchObject({
      attempt: 1,
      state: 'completed',
    });
    expect(await typesOf(one.ports, runId)).toEqual([
      'created',
      'claimed',
      'turn-started',
      'approval-asked',
      'approval-answered',
      'claimed',
      'turn-started',
      'completed',
    ]);
  });

  test('whose time is over goes on with the refusal', async () => {
    const { runId, turn } = await begun();
    await asked(turn, runId, 'parked', { waitMs: 1000 });
    expect((await turnInstruction(one.ports, runId, 2)).approvals).toMatchObject([{ decision: 'expired' }]);
  });

  test('HR-40 HR-T4 is closed by a cancel, and the run ends at once', async () => {
    const { runId, turn } = await begun();
    const { approvalId } = await asked(turn, runId, 'parked');
    await ask(one.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await transition(one.ports, runId, 'fleetlog.run.cancelled.v1')).toMatchObject({
      approvalsClosed: [approvalId],
    });
    expect(await answer(runId, approvalId)).toMatchObject({ code: 'APPROVAL_CLOSED' });
  });
});

test('what is shown of a secret is not the secret', async () => {
  const { runId, turn } = await begun();
  const secret = `ghp_${'A1b2C3d4E5f6'.repeat(3)}`;
  const { approvalId } = await asked(turn, runId, 'held', {
    input: { command: `curl -H "token ${secret}"` },
  });
  await answer(runId, approvalId, { decision: 'reject', message: `never with ${secret}` });
  const told = await answerInstruction(one.ports, runId);
  expect(JSON.stringify(told)).not.toContain(secret);
  expect(told.approval.digest).toBe(DIGEST);
  expect(JSON.stringify(await transition(one.ports, runId, ASKED))).not.toContain(secret);
});
