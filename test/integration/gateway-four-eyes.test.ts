// Approvals that several people, a role and four eyes must give: over HTTP with tokens, from the request of the run to the summary.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { gateway } from '#services/gateway/service.ts';
import { runs } from '#services/runs/service.ts';
import { tasks } from '#services/tasks/service.ts';
import { changeTokens, tokenRecord } from '#services/token-file.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { gatewayCli } from '#test/support/gateway-cli.ts';
import { claimTurn, transition, turnInstruction } from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let plane: ControlPlane;
let folder: string;

const PEOPLE = { anna: ['release'], ben: ['release'], cleo: ['release'], dan: [] } as const;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fleetlog-four-eyes-'));
  const tokensFile = join(folder, 'tokens.json');
  const records = Object.entries(PEOPLE).map(([name, roles]) =>
    tokenRecord(`token-of-${name}`, {
      name,
      kind: 'person',
      roles: [...roles],
      ...BOUNDARY,
      createdAt: 0,
      expiresAt: null,
    }),
  );
  await changeTokens(tokensFile, () => records);
  broker = await freshBroker();
  await provision(broker);
  plane = await startControlPlane({
    broker,
    services: [runs, tasks, gateway],
    config: { gateway: { port: 0, tokensFile, requireToken: false } },
  });
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

type Json = Record<string, unknown>;

const post = async (path: string, body: Json, who?: keyof typeof PEOPLE) => {
  const response = await fetch(`${plane.url()}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(who !== undefined && { authorization: `Bearer token-of-${who}` }),
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Json };
};
const shown = async (approvalId: string, afterSeq: unknown): Promise<Json> => {
  const response = await fetch(`${plane.url()}/api/v1/approvals/${approvalId}?afterSeq=${String(afterSeq)}`);
  return (await response.json()) as Json;
};

/** A run that anna has asked for, with a question that waits. */
const waiting = async (approvals: Json) => {
  const { body } = await post('/api/v1/runs', { prompt: 'release', approvals }, 'anna');
  const runId = String(body['runId']);
  const turn = await claimTurn(plane.ports, await turnInstruction(plane.ports, runId));
  await turn.started();
  const approvalId = await turn.wants('held');
  await transition(plane.ports, runId, 'fleetlog.run.approval-asked.v1');
  const say = (decision: string, who?: keyof typeof PEOPLE, more: Json = {}) =>
    post(`/api/v1/approvals/${approvalId}/answer`, { decision, ...more }, who);
  return { runId, approvalId, say };
};

test('two people of a role who are not the starter: each counts once, and the summary says who is still needed', async () => {
  const { runId, approvalId, say } = await waiting({ approvers: 2, role: 'release', fourEyes: true });
  const denied = (code: string) => ({ status: 403, body: { code, kind: 'tenant-policy-denied' } });
  expect(await say('approve', 'anna')).toMatchObject(denied('APPROVAL_OWN_WORK'));
  expect(await say('approve', 'dan')).toMatchObject(denied('APPROVAL_ROLE_MISSING'));
  expect(await say('approve')).toMatchObject(denied('APPROVAL_IDENTITY_NEEDED'));
  expect(await say('approve', undefined, { by: 'ben' })).toMatchObject(denied('APPROVAL_IDENTITY_NEEDED'));
  expect(await say('approve', 'dan', { by: 'ben' })).toMatchObject(denied('SPEAKER_FOREIGN'));
  const first = await say('approve', 'ben');
  expect(first).toMatchObject({ status: 202, body: { stillNeeded: 1, decision: 'approve' } });
  expect(await shown(approvalId, first.body['seq'])).toMatchObject({
    state: 'open',
    approvedBy: ['user:ben'],
    stillNeeded: 1,
    needs: {
      approvers: 2,
      roles: ['release'],
      fourEyes: true,
      excluded: ['agent:builder-1', 'user:builder-1', 'user:anna'],
    },
  });
  expect(await say('approve', 'ben')).toMatchObject({ status: 409, body: { code: 'APPROVAL_COUNTED' } });
  const cli = gatewayCli({ apiUrl: plane.url(), natsUrl: broker.url });
  const { out } = await cli(['approvals', 'show', approvalId]);
  expect(out).toMatch(
    /^needs +2 people with the role release, but not .*user:anna; approved by user:ben; 1 still needed$/m,
  );
  const second = await say('approve', 'cleo');
  expect(second).toMatchObject({ status: 202, body: { stillNeeded: 0 } });
  expect(await shown(approvalId, second.body['seq'])).toMatchObject({
    state: 'approve',
    by: 'user:cleo',
    approvedBy: ['user:ben', 'user:cleo'],
    stillNeeded: 0,
  });
  expect(await say('approve', 'cleo')).toMatchObject({ status: 409, body: { code: 'APPROVAL_ANSWERED' } });
  expect(await transition(plane.ports, runId, 'fleetlog.run.approval-answered.v1')).toMatchObject({
    approvedBy: ['user:ben', 'user:cleo'],
  });
});

test('one rejection ends it, by anybody', async () => {
  const { approvalId, say } = await waiting({ approvers: 3 });
  expect(await say('approve', 'ben')).toMatchObject({ body: { stillNeeded: 2 } });
  const { body } = await say('reject', 'dan', { message: 'not today' });
  expect(await shown(approvalId, body['seq'])).toMatchObject({
    state: 'reject',
    by: 'user:dan',
    stillNeeded: 0,
  });
});

test('without needs the first answer of anybody settles it, as ever', async () => {
  const { say } = await waiting({});
  expect(await say('approve')).toMatchObject({ status: 202, body: { stillNeeded: 0 } });
});

test('a rule that makes no sense is named', async () => {
  for (const approvals of [{ approvers: 0 }, { approvers: 11 }, { role: 'Not A Name' }, { who: 'me' }])
    expect(await post('/api/v1/runs', { prompt: 'x', approvals })).toMatchObject({
      status: 400,
      body: { code: 'INPUT_INVALID', errors: [{ path: expect.stringMatching(/^approvals\./) }] },
    });
});
