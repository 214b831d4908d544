// Leases of runs on a real broker, two instances at once: expiry, renewal, orphans; presence of runners; and a broker that is
// killed between the steps of a run.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { leaseKey, viewKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { createRun, gone, shown, typesOf } from '#test/support/run-facts.ts';
import { ask, claimTurn, refusal, transition, turnInstruction } from '#test/support/scripted-runner.ts';

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

describe('a lease', () => {
  test('ST-11 WK-55 that runs out puts the run back; the second attempt completes it and the first one is refused on record', async () => {
    const runId = await createRun(one.ports, { leaseMs: 2000 });
    const instruction = await turnInstruction(one.ports, runId);
    const lost = await claimTurn(one.ports, instruction, 'lost-runner');
    await lost.started();
    // Nobody renews: the key expires at the broker.
    const expiry = await transition(one.ports, runId, 'fleetlog.run.lease-expired.v1');
    expect(expiry).toMatchObject({ fence: 1, runnerId: 'lost-runner', next: 'queued' });
    const again = await turnInstruction(one.ports, runId, 2);
    expect(again.commandId).toBe(expiry.commandId);
    const second = await claimTurn(two.ports, again, 'r2');
    expect(second.fence).toBe(2);
    const late = await lost.finished();
    expect(await refusal(one.ports, late)).toMatchObject({
      code: 'RUN_FENCED',
      reportFence: 1,
      currentFence: 2,
    });
    expect(await ask(one.ports, 'renew', { runId, runnerId: 'lost-runner', fence: 1 })).toMatchObject({
      outcome: 'refused',
      code: 'RUN_FENCED',
    });
    await second.finished();
    await transition(one.ports, runId, 'fleetlog.run.completed.v1', 2);
    expect(await typesOf(one.ports, runId)).toEqual([
      'created',
      'claimed',
      'turn-started',
      'lease-expired',
      'claimed',
      'completed',
    ]);
  });

  test('that is lost on the last attempt fails the run', async () => {
    const runId = await createRun(one.ports, { leaseMs: 2000, maxAttempts: 1 });
    await claimTurn(one.ports, await turnInstruction(one.ports, runId));
    const expiry = await transition(one.ports, runId, 'fleetlog.run.lease-expired.v1');
    expect(expiry.next).toBe('failed');
    expect(
      await shown(one.ports, { bucket: 'runs', key: viewKey(BOUNDARY, runId) }, expiry.seq),
    ).toMatchObject({
      state: 'failed',
      failure: { kind: 'runner-lost' },
    });
  });

  test('whose key an operator deletes is lost at once', async () => {
    const runId = await createRun(one.ports);
    await claimTurn(one.ports, await turnInstruction(one.ports, runId));
    await one.ports.bucket('leases').delete(leaseKey(BOUNDARY, runId));
    expect(await transition(one.ports, runId, 'fleetlog.run.lease-expired.v1')).toMatchObject({
      next: 'queued',
    });
  });

  test('HR-12 ST-12 that is renewed stays, and the renewal tells of a cancel', async () => {
    const runId = await createRun(one.ports, { leaseMs: 3000 });
    const turn = await claimTurn(one.ports, await turnInstruction(one.ports, runId));
    const renew = { runId, runnerId: 'r1', fence: turn.fence };
    expect(await ask(one.ports, 'renew', renew)).toMatchObject({
      result: { leaseMs: 3000, cancelRequested: false },
    });
    await ask(two.ports, 'cancel', { runId, reason: 'enough', actor: 'user:test' });
    expect(await ask(one.ports, 'renew', renew)).toMatchObject({ result: { cancelRequested: true } });
    expect(await ask(one.ports, 'renew', { ...renew, runnerId: 'r9' })).toMatchObject({ code: 'RUN_FENCED' });
  });

  test('left behind by a claim that never came is followed by another instruction', async () => {
    const runId = await createRun(one.ports, { leaseMs: 2000 });
    const instruction = await turnInstruction(one.ports, runId);
    const key = leaseKey(BOUNDARY, runId);
    const orphan = { runId, runnerId: 'dead', fence: 1, renewedAt: 0 };
    await one.ports.bucket('leases').put(key, Buffer.from(JSON.stringify(orphan)), { ttlMs: 2000 });
    await gone(one.ports, 'leases', key);
    const subject = `fleet.*.*.cmd.*.builder-1.turn`;
    const found = new AbortController();
    let turns = 0;
    for await (const entry of one.ports
      .log('COMMANDS')
      .replay({ subjects: [subject], follow: true, signal: found.signal })) {
      const data = parseJson(entry.body) as { readonly runId: string; readonly commandId: string };
      if (data.runId !== runId) continue;
      expect(data.commandId).toBe(instruction.commandId);
      turns += 1;
      if (turns === 2) break;
    }
    found.abort();
    await claimTurn(one.ports, instruction);
  });
});

test('HR-48 a lease that was lost while no instance was there is found at the next start', async () => {
  await using away = await freshBroker();
  await provision(away);
  const before = await startControlPlane({ broker: away, services: [runs] });
  const runId = await createRun(before.ports);
  await claimTurn(before.ports, await turnInstruction(before.ports, runId));
  // Its summary must show the claim: the sweep looks where the summaries are.
  await shown(before.ports, { bucket: 'runs', key: viewKey(BOUNDARY, runId) }, 2);
  await before.stop();
  const connection = await connectTo({ ...away, urls: [away.url] });
  // Not even a marker is left, as after the time that markers are kept.
  const subject = `$KV.leases.${leaseKey(BOUNDARY, runId)}`;
  await connection.nc.request('$JS.API.STREAM.PURGE.KV_leases', JSON.stringify({ filter: subject }));
  await connection.close();
  await using after = await startControlPlane({ broker: away, services: [runs] });
  expect(await transition(after.ports, runId, 'fleetlog.run.lease-expired.v1')).toMatchObject({
    next: 'queued',
  });
});

test('HR-49 a run whose instruction the stream no longer keeps is instructed again, once', async () => {
  await using away = await freshBroker();
  await provision(away);
  await using plane = await startControlPlane({
    broker: away,
    services: [runs],
    config: { runs: { sweepMs: 1000 } },
  });
  const runId = await createRun(plane.ports);
  const first = await turnInstruction(plane.ports, runId);
  await shown(plane.ports, { bucket: 'runs', key: viewKey(BOUNDARY, runId) }, 1);
  const connection = await connectTo({ ...away, urls: [away.url] });
  await connection.nc.request('$JS.API.STREAM.PURGE.COMMANDS');
  await connection.close();
  const again = await turnInstruction(plane.ports, runId);
  expect(again).toEqual(first);
  const turn = await claimTurn(plane.ports, again);
  await turn.finished();
  await transition(plane.ports, runId, 'fleetlog.run.completed.v1');
  expect(await plane.ports.log('COMMANDS').bounds()).toMatchObject({ entries: 1 });
});

test('ST-26 WK-79 announced runners are shown as they announced themselves last, until they fall silent', async () => {
  const key = 'local.main.runner.builder-9';
  const runner = {
    runnerId: 'r9',
    providers: ['exec' as const],
    version: '1',
    startedAt: 1,
    buffered: 0,
    slots: 2,
    labels: ['gpu'],
  };
  expect(await ask(one.ports, 'announce', { ...runner, ttlMs: 2000 }, 'builder-9')).toMatchObject({
    result: { ttlMs: 2000 },
  });
  expect(parseJson((await one.ports.bucket('presence').get(key))?.value ?? new Uint8Array())).toMatchObject({
    ...runner,
    agent: 'builder-9',
  });
  const again = { ...runner, version: '2', slots: 4, labels: [] };
  await ask(one.ports, 'announce', { ...again, ttlMs: 2000 }, 'builder-9');
  expect(parseJson((await one.ports.bucket('presence').get(key))?.value ?? new Uint8Array())).toMatchObject(
    again,
  );
  await gone(one.ports, 'presence', key);
});

test('a runner of a contract that is not understood any more is refused, and is not shown', async () => {
  const old = { runnerId: 'old', providers: [], version: '0.0.1', contract: 0, startedAt: 1, buffered: 0 };
  expect(await ask(one.ports, 'announce', { ...old, ttlMs: 2000 }, 'builder-8')).toMatchObject({
    outcome: 'refused',
    code: 'CONTRACT_TOO_OLD',
  });
  expect(await one.ports.bucket('presence').get('local.main.runner.builder-8')).toBeUndefined();
});

test('kill -9 of the broker between the steps of a run loses and doubles nothing', async () => {
  const runIds = await Promise.all(Array.from({ length: 10 }, () => createRun(one.ports)));
  await broker.kill();
  await broker.restart();
  const turns = await Promise.all(
    runIds.map(async (runId) => claimTurn(one.ports, await turnInstruction(one.ports, runId))),
  );
  for (const turn of turns) await turn.started();
  for (const runId of runIds) await transition(one.ports, runId, 'fleetlog.run.turn-started.v1');
  await broker.kill();
  await broker.restart();
  for (const turn of turns) await turn.finished();
  for (const runId of runIds) await transition(one.ports, runId, 'fleetlog.run.completed.v1');
  for (const runId of runIds)
    expect(await typesOf(one.ports, runId)).toEqual(['created', 'claimed', 'turn-started', 'completed']);
});
