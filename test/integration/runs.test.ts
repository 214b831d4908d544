// The runs service on a real broker, two instances at once, with a runner that follows a script: the whole life of a run,
// repeated requests, cancels in each state, refused and unreadable reports.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { systemIds } from '#libs/system/ids.ts';
import { leaseKey, viewKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { REJECTIONS } from '#streams/rejections.ts';
import { aggregateSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun, gone, runRequest, shown, typesOf } from '#test/support/run-facts.ts';
import {
  ask,
  cancelInstruction,
  claimTurn,
  done,
  history,
  refusal,
  transition,
  turnInstruction,
  turnUnder,
} from '#test/support/scripted-runner.ts';

let broker: FreshBroker;
let one: ControlPlane;
let two: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  // Two instances all the time: nothing may depend on being alone.
  one = await startControlPlane({ broker, services: [runs, sessions] });
  two = await startControlPlane({ broker, services: [runs, sessions], config: { runs: { sweepMs: 1000 } } });
});
afterAll(async () => {
  expect([...one.fatal, ...two.fatal]).toEqual([]);
  await Promise.all([one.stop(), two.stop()]);
  await broker[Symbol.asyncDispose]();
});

describe('the life of a run', () => {
  test('HR-11 goes from the request over the claim and the turn to its end, and the summaries follow', async () => {
    const asked = runRequest();
    await ask(one.ports, 'create', asked);
    const instruction = await turnInstruction(one.ports, asked.runId);
    expect(instruction).toMatchObject({ runId: asked.runId, request: asked.request, leaseMs: 30_000 });
    const turn = await claimTurn(one.ports, instruction);
    expect(turn.fence).toBe(1);
    const key = leaseKey(BOUNDARY, asked.runId);
    expect(parseJson((await one.ports.bucket('leases').get(key))?.value ?? new Uint8Array())).toMatchObject({
      runnerId: 'r1',
      fence: 1,
    });
    await turn.started();
    await transition(one.ports, asked.runId, 'fleetlog.run.turn-started.v1');
    await turn.says('hello');
    await turn.finished();
    const end = await transition(one.ports, asked.runId, 'fleetlog.run.completed.v1');
    expect(end).toMatchObject({ fence: 1, turnId: turn.turnId, result: done });
    expect(await typesOf(one.ports, asked.runId)).toEqual([
      'created',
      'claimed',
      'turn-started',
      'completed',
    ]);
    expect(
      await shown(one.ports, { bucket: 'runs', key: viewKey(BOUNDARY, asked.runId) }, end.seq),
    ).toMatchObject({
      state: 'completed',
      attempt: 1,
      runnerId: 'r1',
    });
    expect(
      await shown(one.ports, { bucket: 'sessions', key: viewKey(BOUNDARY, asked.sessionId) }, end.seq),
    ).toMatchObject({
      activeRuns: [],
      runs: 1,
      lastOutcome: 'completed',
    });
    expect(
      await shown(one.ports, { bucket: 'activity', key: viewKey(BOUNDARY, asked.runId) }, 1),
    ).toMatchObject({ agent: 'builder-1' });
    await gone(one.ports, 'leases', key);
  });

  test('ER-05 ST-10 ST-12 ST-T2 a claim that is repeated gets its first answer; that and the renewal of another are lease conflicts', async () => {
    const runId = await createRun(one.ports);
    const claim = { runId, runnerId: 'r1', claimId: 'c1' };
    const [first, second] = await Promise.all([
      ask(one.ports, 'claim', claim),
      ask(two.ports, 'claim', claim),
    ]);
    expect(first).toMatchObject({ outcome: 'ok', result: { fence: 1 } });
    expect(second).toEqual(first);
    expect(await ask(two.ports, 'claim', { ...claim, runnerId: 'r2', claimId: 'c2' })).toMatchObject({
      outcome: 'refused',
      code: 'RUN_CLAIMED',
    });
    expect(await ask(two.ports, 'renew', { runId, runnerId: 'r2', fence: 1 })).toMatchObject({
      outcome: 'refused',
      code: 'RUN_FENCED',
    });
    for (const code of ['RUN_CLAIMED', 'RUN_FENCED'] as const)
      expect(REJECTIONS[code].kind).toBe('runner-lease-conflict');
    expect(await typesOf(one.ports, runId)).toEqual(['created', 'claimed']);
  });

  test('of many runners that claim at once exactly one gets the run', async () => {
    const runId = await createRun(one.ports);
    const claims = Array.from({ length: 12 }, (_, at) =>
      ask((at % 2 === 0 ? one : two).ports, 'claim', { runId, runnerId: `r${at}`, claimId: `c${at}` }),
    );
    const outcomes = (await Promise.all(claims)).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'ok')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'refused')).toHaveLength(11);
    expect(await typesOf(one.ports, runId)).toEqual(['created', 'claimed']);
  });

  test('a run is claimed and kept only by the agent that it was given to', async () => {
    const runId = await createRun(one.ports);
    const claim = { runId, runnerId: 'r1', claimId: 'c1' };
    const foreign = { outcome: 'refused', code: 'RUN_FOREIGN' };
    expect(await ask(one.ports, 'claim', claim, 'builder-2')).toMatchObject(foreign);
    expect(await one.ports.bucket('leases').get(leaseKey(BOUNDARY, runId))).toBeUndefined();
    expect(await ask(one.ports, 'claim', claim)).toMatchObject({ outcome: 'ok' });
    // Not even with the words of the holder: neither its answer nor its lease is given out.
    expect(await ask(two.ports, 'claim', claim, 'builder-2')).toMatchObject(foreign);
    const renew = { runId, runnerId: 'r1', fence: 1 };
    expect(await ask(two.ports, 'renew', renew, 'builder-2')).toMatchObject(foreign);
    expect(await ask(two.ports, 'renew', renew)).toMatchObject({ outcome: 'ok' });
    expect(await typesOf(one.ports, runId)).toEqual(['created', 'claimed']);
  });

  test('a claim id that another runner of the agent has used gives nothing', async () => {
    const runId = await createRun(one.ports);
    const claim = { runId, runnerId: 'r1', claimId: 'c1' };
    expect(await ask(one.ports, 'claim', claim)).toMatchObject({ outcome: 'ok' });
    expect(await ask(two.ports, 'claim', { ...claim, runnerId: 'r2' })).toMatchObject({
      outcome: 'refused',
      code: 'RUN_CLAIMED',
    });
  });

  test('a transition names the agent of the report’s subject, whatever the report says', async () => {
    const runId = await createRun(one.ports);
    const turn = await claimTurn(one.ports, await turnInstruction(one.ports, runId));
    await turn.finished(undefined, 'user:anna');
    const end = await transition(one.ports, runId, 'fleetlog.run.completed.v1');
    const log = one.ports.log('TRANSITIONS');
    const actors: (string | undefined)[] = [];
    for await (const entry of log.read(aggregateSubject(BOUNDARY, 'run', runId)))
      actors.push(entry.headers['Fleet-Actor']);
    expect(actors).toEqual(['user:test', 'agent:builder-1', 'agent:builder-1']);
    expect(end.runId).toBe(runId);
  });

  test('WK-38 a run that was cancelled while it was queued is not executed: its claim is refused', async () => {
    const runId = await createRun(one.ports);
    await ask(one.ports, 'cancel', { runId, reason: 'no', actor: 'user:test' });
    expect(await ask(two.ports, 'claim', { runId, runnerId: 'r', claimId: 'c' })).toMatchObject({
      code: 'RUN_CANCELLED',
    });
    expect(await one.ports.bucket('leases').get(leaseKey(BOUNDARY, runId))).toBeUndefined();
  });
});

test('ST-60 WK-61 a secret in what people wrote reaches neither the log nor the runner', async () => {
  const secret = 'ghp_abcdefghijklmnopqrstuvwxyz0123456789';
  const runId = await createRun(one.ports, {
    title: `with ${secret}`,
    request: { prompt: `use ${secret}`, program: ['agent', '--token', secret], turnTimeoutMs: 60_000 },
  });
  const instruction = await turnInstruction(one.ports, runId);
  await ask(one.ports, 'cancel', { runId, reason: `leaked ${secret}`, actor: 'user:test' });
  const written = JSON.stringify([instruction, await history(one.ports, runId)]);
  expect(written).not.toContain(secret);
  expect(instruction.request.prompt).toMatch(/^use \[redacted/);
});

describe('idempotency', () => {
  test('WK-53 the same request again gives the first answer, also after the end; another one is refused', async () => {
    const asked = runRequest();
    const first = await ask(one.ports, 'create', asked);
    expect(first).toMatchObject({ outcome: 'ok', result: { repeated: false } });
    await ask(one.ports, 'cancel', { runId: asked.runId, reason: 'no', actor: 'user:test' });
    const seq = first.outcome === 'ok' ? first.result.seq : 0;
    expect(await ask(two.ports, 'create', asked)).toMatchObject({
      outcome: 'ok',
      result: { repeated: true, seq },
    });
    const other = { ...asked, request: { ...asked.request, prompt: 'something else' } };
    expect(await ask(two.ports, 'create', other)).toMatchObject({
      outcome: 'refused',
      code: 'RUN_CONFLICTING_REQUEST',
    });
    expect(await typesOf(one.ports, asked.runId)).toEqual(['created', 'cancelled']);
  });

  test('a request that breaks its contract is answered and changes nothing', async () => {
    const before = await one.ports.log('TRANSITIONS').bounds();
    const bad = { ...runRequest(), agent: 'Not A Name' };
    expect(await ask(one.ports, 'create', bad)).toMatchObject({ outcome: 'fault', code: 'REQUEST_INVALID' });
    expect((await one.ports.log('TRANSITIONS').bounds()).lastSeq).toBe(before.lastSeq);
  });
});

describe('a cancel', () => {
  const cancel = (runId: string) =>
    ask(two.ports, 'cancel', { runId, reason: 'not needed', actor: 'user:test' });

  test('ends a queued run at once', async () => {
    const runId = await createRun(one.ports);
    expect(await cancel(runId)).toMatchObject({ result: { state: 'cancelled' } });
    expect(await cancel(runId)).toMatchObject({ result: { state: 'cancelled' } });
    expect(await typesOf(one.ports, runId)).toEqual(['created', 'cancelled']);
  });

  test('of a claimed run instructs its runner, and the end of the turn ends the run', async () => {
    const runId = await createRun(one.ports);
    const turn = await claimTurn(one.ports, await turnInstruction(one.ports, runId));
    expect(await cancel(runId)).toMatchObject({ result: { state: 'cancelling' } });
    expect(await cancel(runId)).toMatchObject({ result: { state: 'cancelling' } });
    expect(await cancelInstruction(one.ports, runId)).toMatchObject({ reason: 'not needed' });
    await turn.started();
    await transition(one.ports, runId, 'fleetlog.run.turn-started.v1');
    await turn.finished({ ...done, outcome: 'cancelled', exitCode: null, signal: 'SIGTERM' });
    const end = await transition(one.ports, runId, 'fleetlog.run.cancelled.v1');
    expect(end).toMatchObject({ reason: 'not needed', fence: 1, result: { outcome: 'cancelled' } });
    expect(await typesOf(one.ports, runId)).toEqual([
      'created',
      'claimed',
      'cancel-requested',
      'turn-started',
      'cancelled',
    ]);
  });

  test('WK-44 whose runner is lost ends with the lease', async () => {
    const runId = await createRun(one.ports, { leaseMs: 2000 });
    await claimTurn(one.ports, await turnInstruction(one.ports, runId));
    await cancel(runId);
    expect(await transition(one.ports, runId, 'fleetlog.run.lease-expired.v1')).toMatchObject({
      next: 'cancelled',
    });
  });

  test('ER-11 of an ended run changes nothing', async () => {
    const runId = await createRun(one.ports);
    const turn = await claimTurn(one.ports, await turnInstruction(one.ports, runId));
    await turn.finished();
    await transition(one.ports, runId, 'fleetlog.run.completed.v1');
    expect(await cancel(runId)).toMatchObject({ outcome: 'ok', result: { state: 'completed' } });
    expect(await typesOf(one.ports, runId)).toEqual(['created', 'claimed', 'completed']);
  });

  test('ER-01 HR-38 of an unknown run is refused', async () => {
    expect(await cancel(makeId('run', systemIds.ulid()))).toMatchObject({ code: 'RUN_UNKNOWN' });
  });
});

describe('reports', () => {
  test('WK-54 under a fence that was never given are refused and change nothing', async () => {
    const runId = await createRun(one.ports);
    const instruction = await turnInstruction(one.ports, runId);
    const reportId = await turnUnder(one.ports, instruction, 5).finished();
    expect(await refusal(one.ports, reportId)).toMatchObject({ code: 'RUN_NOT_CLAIMED', reportFence: 5 });
    expect(await typesOf(one.ports, runId)).toEqual(['created']);
  });

  test('ST-24 that cannot be read are parked, and those behind them go on', async () => {
    const runId = await createRun(one.ports);
    const turn = await claimTurn(one.ports, await turnInstruction(one.ports, runId));
    const poison = {
      subject: `fleet.local.main.evt.0.builder-1.turn-finished`,
      id: `poison:${systemIds.ulid()}`,
    };
    await one.ports.log('EVENTS').append({ ...poison, headers: {}, body: Buffer.from('not json') });
    await turn.finished();
    await transition(one.ports, runId, 'fleetlog.run.completed.v1');
    const parked = new AbortController();
    const letters = one.ports.log('DEADLETTERS').replay({ follow: true, signal: parked.signal });
    for await (const letter of letters)
      if (letter.headers['Dead-Origin-Nats-Msg-Id'] === poison.id) {
        expect(letter.headers['Dead-Reason']).toBe('undecodable');
        parked.abort();
      }
  });
});
