// Approvals over HTTP and in the CLI, on a real broker: listed, shown with the exact call, answered once, refused with the right status.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import type { CliContext } from '#services/cli/context.ts';
import { runCli } from '#services/cli/program.ts';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun } from '#test/support/run-facts.ts';
import { claimTurn, transition, turnInstruction, type ScriptedTurn } from '#test/support/scripted-runner.ts';
import { recordedTerminal } from '#test/support/recorded-terminal.ts';

let broker: FreshBroker;
let plane: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  plane = await startControlPlane({
    broker,
    services: [runs, sessions, gateway],
    config: { gateway: { port: 0 } },
  });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

type Json = Record<string, unknown>;
const DIGEST = 'd'.repeat(64);

const call = async (path: string, init: RequestInit = {}): Promise<{ status: number; body: Json }> => {
  const response = await fetch(`${plane.url()}${path}`, init);
  return { status: response.status, body: (await response.json()) as Json };
};
const answer = (approvalId: string, body: Json, headers: Record<string, string> = {}) =>
  call(`/api/v1/approvals/${approvalId}/answer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

/** A run that waits for an answer. */
const waiting = async (
  mode: 'held' | 'parked' = 'parked',
  asked: Parameters<ScriptedTurn['wants']>[1] = {},
): Promise<{ runId: string; approvalId: string }> => {
  const runId = await createRun(plane.ports, { title: 'Release' });
  const turn = await claimTurn(plane.ports, await turnInstruction(plane.ports, runId));
  await turn.started();
  const approvalId = await turn.wants(mode, asked);
  const { seq } = await transition(plane.ports, runId, 'fleetlog.run.approval-asked.v1');
  // The gateway has seen it.
  await call(`/api/v1/runs/${runId}?afterSeq=${seq}`);
  return { runId, approvalId };
};

/** Runs a command line against this gateway. */
const cli = async (...argv: string[]): Promise<{ code: number; out: string; note: string }> => {
  const { terminal, out, note } = recordedTerminal();
  const context: CliContext = {
    version: '0',
    terminal,
    clock: systemClock,
    ids: systemIds,
    parseTime: Number,
    projections: () => Promise.resolve([]),
    diagnose: () => Promise.reject(new Error('not here')),
    environment: {},
    workingDirectory: '/nowhere',
    signal: new AbortController().signal,
    openFleet: () => Promise.reject(new Error('not here')),
    readStandardInput: () => Promise.resolve('{"command":"true"}'),
  };
  const code = await runCli([...argv, '--api-url', plane.url(), '--nats-url', broker.url], context);
  return { code, out: out.join('\n'), note: note.join('\n') };
};

describe('over HTTP', () => {
  test('an approval is listed and shown as soon as it was asked, with its call and whose it is', async () => {
    const { runId, approvalId } = await waiting();
    const shown = await call(`/api/v1/approvals/${approvalId}`);
    expect(shown).toMatchObject({
      status: 200,
      body: {
        approvalId,
        runId,
        agent: 'builder-1',
        title: 'Release',
        state: 'open',
        tool: 'Bash',
        input: { command: 'make release' },
        digest: DIGEST,
        mode: 'parked',
      },
    });
    expect((await call(`/api/v1/approvals?state=open&run=${runId}`)).body).toMatchObject({
      approvals: [{ approvalId }],
      next: null,
    });
    expect((await call(`/api/v1/runs/${runId}`)).body).toMatchObject({
      state: 'waiting',
      openApprovals: [{ approvalId }],
    });
    expect((await call('/api/v1/runs?state=waiting')).body['runs']).toEqual(
      expect.arrayContaining([expect.objectContaining({ runId })]),
    );
  });

  test('HR-43 an answer is accepted once; the summary shows it at the sequence it was given', async () => {
    const { approvalId } = await waiting();
    const first = await answer(approvalId, {
      decision: 'approve',
      digest: DIGEST,
      by: 'anna',
      message: 'ok',
    });
    expect(first).toMatchObject({ status: 202, body: { approvalId, decision: 'approve', repeated: false } });
    const seq = String(first.body['seq']);
    expect((await call(`/api/v1/approvals/${approvalId}?afterSeq=${seq}`)).body).toMatchObject({
      state: 'approve',
      by: 'user:anna',
      message: 'ok',
    });
    expect(await answer(approvalId, { decision: 'reject' })).toMatchObject({
      status: 409,
      body: { code: 'APPROVAL_ANSWERED' },
    });
  });

  test('an idempotency key gives the first result again, and refuses another answer', async () => {
    const { approvalId } = await waiting();
    const key = { 'idempotency-key': 'answer-1' };
    const first = await answer(approvalId, { decision: 'reject', message: 'no' }, key);
    expect(await answer(approvalId, { decision: 'reject', message: 'no' }, key)).toEqual({
      status: 202,
      body: { ...first.body, repeated: true },
    });
    expect(await answer(approvalId, { decision: 'approve' }, key)).toMatchObject({
      status: 409,
      body: { code: 'KEY_CONFLICTING_REQUEST' },
    });
  });

  test('answers that cannot be meant are refused and change nothing', async () => {
    const { approvalId } = await waiting();
    const invalid = { status: 400, body: { code: 'INPUT_INVALID' } };
    expect(await answer(approvalId, { decision: 'edit' })).toMatchObject({
      ...invalid,
      body: { errors: [{ path: 'input' }] },
    });
    expect(await answer(approvalId, { decision: 'approve', input: {} })).toMatchObject(invalid);
    expect(await answer(approvalId, { decision: 'maybe' })).toMatchObject(invalid);
    expect(await answer(approvalId, { decision: 'approve', tool: 'Bash' })).toMatchObject({
      ...invalid,
      body: { errors: [{ path: 'tool', message: 'unknown field' }] },
    });
    expect(await answer(approvalId, { decision: 'approve', digest: 'e'.repeat(64) })).toMatchObject({
      status: 409,
      body: { code: 'APPROVAL_OTHER_CALL' },
    });
    expect(await answer(approvalId, { decision: 'approve', tenant: 'other' })).toMatchObject({
      status: 403,
      body: { code: 'BOUNDARY_DENIED' },
    });
    const unknown = approvalId.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    expect(await answer(unknown, { decision: 'approve' })).toMatchObject({
      status: 404,
      body: { code: 'APPROVAL_UNKNOWN' },
    });
    expect(await call('/api/v1/approvals/nonsense')).toMatchObject({ status: 404 });
    expect((await call(`/api/v1/approvals/${approvalId}`)).body).toMatchObject({ state: 'open' });
  });

  test('following the cursor shows each approval once', async () => {
    const mine: unknown[] = [];
    for (let at = 0; at < 3; at += 1) mine.push((await waiting()).approvalId);
    const listed = async (): Promise<unknown[]> => {
      const { body } = await call('/api/v1/approvals?limit=100');
      return (body['approvals'] as Json[]).map((one) => one['approvalId']);
    };
    await expect.poll(listed, { timeout: 30_000 }).toEqual(expect.arrayContaining(mine));
    const ids: unknown[] = [];
    let cursor = '';
    do {
      const { body } = await call(`/api/v1/approvals?limit=2${cursor}`);
      ids.push(...(body['approvals'] as Json[]).map((one) => one['approvalId']));
      cursor = typeof body['next'] === 'string' ? `&cursor=${body['next']}` : '';
    } while (cursor !== '');
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(await listed());
  });
});

describe('in the CLI', () => {
  test('IM-35 what waits is listed, and one is shown with its exact call and digest', async () => {
    const { runId, approvalId } = await waiting();
    const listed = await cli('approvals', 'list', '--run', runId);
    expect(listed).toMatchObject({ code: 0, out: expect.stringContaining(`${approvalId}  open`) });
    const shown = await cli('approvals', 'show', approvalId);
    expect(shown.out).toContain(DIGEST);
    expect(shown.out).toContain('"command": "make release"');
    const json = await cli('approvals', 'show', approvalId, '--json');
    expect(JSON.parse(json.out)).toMatchObject({ approvalId, digest: DIGEST });
  });

  test('of a question without a call its words are listed, and no input is shown', async () => {
    const question = { tool: 'question', input: null, question: 'May I go on?' };
    const { runId, approvalId } = await waiting('held', question);
    expect((await cli('approvals', 'list', '--run', runId)).out).toMatch(/question May I go on\?$/);
    const shown = await cli('approvals', 'show', approvalId);
    expect(shown.out).toContain('held; May I go on?');
    expect(shown.out).not.toContain('null');
  });

  test('an answer is to the call that is shown; the second one says that it is late', async () => {
    const { runId, approvalId } = await waiting('held');
    const edited = await cli('approvals', 'edit', approvalId, '--by', 'anna');
    expect(edited).toMatchObject({ code: 0, out: expect.stringContaining(DIGEST) });
    expect(await transition(plane.ports, runId, 'fleetlog.run.approval-answered.v1')).toMatchObject({
      decision: 'edit',
      input: { command: 'true' },
      by: 'user:anna',
    });
    const late = await cli('approvals', 'approve', approvalId, '--json');
    expect(late.code).toBe(1);
    expect(JSON.parse(late.out)).toMatchObject({ error: { code: 'APPROVAL_ANSWERED' } });
  });

  test('a digest of another call, and an input that is no JSON, are refused', async () => {
    const { approvalId } = await waiting();
    const other = await cli('approvals', 'approve', approvalId, '--digest', 'e'.repeat(64));
    expect(other).toMatchObject({ code: 1, note: expect.stringContaining('APPROVAL_OTHER_CALL') });
    const broken = await cli('approvals', 'edit', approvalId, '--input', '{');
    expect(broken).toMatchObject({ code: 2, note: expect.stringContaining('ARGUMENT_INVALID') });
    expect(await cli('approvals', 'reject', approvalId, '--message', 'no')).toMatchObject({ code: 0 });
  });
});
