// Questions over restarts of the control plane and the broker: none is lost, and the time of none is forgotten.
import { expect, test } from 'vitest';
import { runs } from '#services/runs/service.ts';
import { approvalDeadlineKey, viewKey } from '#streams/buckets.ts';
import { freshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { createRun, gone, shown } from '#test/support/run-facts.ts';
import { ask, claimTurn, transition, turnInstruction } from '#test/support/scripted-runner.ts';

const parkedOn = async (plane: ControlPlane, waitMs: number) => {
  const runId = await createRun(plane.ports);
  const turn = await claimTurn(plane.ports, await turnInstruction(plane.ports, runId));
  const approvalId = await turn.wants('parked', { waitMs });
  const { seq } = await transition(plane.ports, runId, 'fleetlog.run.approval-asked.v1');
  // The sweep looks where the summaries are.
  await shown(plane.ports, { bucket: 'runs', key: viewKey(BOUNDARY, runId) }, seq);
  return { runId, approvalId };
};

test('a control plane that is away between question and answer, or at the deadline, loses nothing', async () => {
  await using away = await freshBroker();
  await provision(away);
  const before = await startControlPlane({ broker: away, services: [runs] });
  const kept = await parkedOn(before, 60_000);
  const overdue = await parkedOn(before, 1000);
  await before.stop();
  await away.kill();
  await away.restart();
  await using observer = await startControlPlane({ broker: away, services: [] });
  const key = approvalDeadlineKey(BOUNDARY, overdue.runId, overdue.approvalId);
  await gone(observer.ports, 'leases', key);
  const connection = await connectTo({ ...away, urls: [away.url] });
  // Not even a marker is left, as after the time that markers are kept: only the sweep can find it.
  await connection.nc.request(
    '$JS.API.STREAM.PURGE.KV_leases',
    JSON.stringify({ filter: `$KV.leases.${key}` }),
  );
  await connection.close();
  await using after = await startControlPlane({
    broker: away,
    services: [runs],
    config: { runs: { sweepMs: 1000 } },
  });
  expect(await transition(after.ports, overdue.runId, 'fleetlog.run.approval-answered.v1')).toMatchObject({
    decision: 'expired',
  });
  const answer = { ...kept, answerId: 'a', decision: 'approve', actor: 'user:anna' } as const;
  expect(await ask(after.ports, 'answer-approval', answer)).toMatchObject({ outcome: 'ok' });
  expect((await turnInstruction(after.ports, kept.runId, 2)).approvals).toMatchObject([
    { decision: 'approve' },
  ]);
});
