// Two laws of a fleet that its record alone does not show: no run is held by nobody for long, and every bucket is the fold of its log.
import { verifyProjection } from '#libs/projections/verify.ts';
import { approvalsProjection, runsProjection } from '#services/runs/projections.ts';
import { isHeld, type Run } from '#services/runs/run-state.policy.ts';
import { runDecider } from '#services/runs/run.decider.ts';
import { tasksProjection } from '#services/tasks/projections.ts';
import { leaseKey } from '#streams/buckets.ts';
import { readEntry } from '#streams/catalogue.ts';
import { BOUNDARY } from './control-plane.ts';
import type { World } from './simulated-fleet.ts';

/** How often it is looked. */
const LOOK_MS = 500;

/**
 * Follows the log and looks, until the signal aborts, whether every held run has a lease. Ends early with those that had none for longer
 * than `mostMs` while the broker was there and the services that see to it lived.
 */
export const watchOwners = async (
  world: World,
  { mostMs, signal }: { readonly mostMs: number; readonly signal: AbortSignal },
): Promise<readonly string[]> => {
  const { clock, ports, broker } = world;
  const states = new Map<string, Run | undefined>();
  const orphanedMs = new Map<string, number>();
  const faults: string[] = [];
  let nextSeq = 1;
  const catchUp = async (): Promise<void> => {
    for await (const entry of ports.log('TRANSITIONS').replay({ from: { seq: nextSeq } })) {
      nextSeq = entry.seq + 1;
      const reading = readEntry(entry);
      if (reading.kind !== 'run') continue;
      const { runId } = reading.data;
      states.set(runId, runDecider.evolve(states.get(runId), reading.data));
    }
  };
  const look = async (): Promise<void> => {
    await catchUp();
    for (const [runId, run] of states) {
      if (
        run === undefined ||
        !isHeld(run) ||
        (await ports.bucket('leases').get(leaseKey(BOUNDARY, runId)))
      ) {
        orphanedMs.delete(runId);
        continue;
      }
      const sinceMs = (orphanedMs.get(runId) ?? 0) + (world.isWatchedOver() ? LOOK_MS : 0);
      orphanedMs.set(runId, sinceMs);
      if (sinceMs > mostMs) faults.push(`${runId} is held by nobody for ${sinceMs} ms`);
    }
  };
  while (!signal.aborted && faults.length === 0) {
    if (!broker.faults.isAway) await look();
    await clock.sleep(LOOK_MS, signal);
  }
  return faults;
};

/** The first key of each bucket that is not what its log says. */
export const unlikeTheirLog = async ({ ports }: World): Promise<readonly string[]> => {
  const log = ports.log('TRANSITIONS');
  const found = [
    ['runs', await verifyProjection({ projection: runsProjection, log, kv: ports.bucket('runs') })],
    [
      'approvals',
      await verifyProjection({ projection: approvalsProjection, log, kv: ports.bucket('approvals') }),
    ],
    ['tasks', await verifyProjection({ projection: tasksProjection, log, kv: ports.bucket('tasks') })],
  ] as const;
  return found.flatMap(([bucket, verdict]) =>
    verdict.equal ? [] : [`bucket ${bucket}: ${verdict.key} is not the fold of its log`],
  );
};
