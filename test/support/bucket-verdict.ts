// Judges the buckets of a simulated fleet: each is the fold of its log, up to the end of it.
import type { Projection } from '#libs/projections/projection.ts';
import { verifyProjection } from '#libs/projections/verify.ts';
import { activityProjection, approvalsProjection, runsProjection } from '#services/runs/projections.ts';
import { sessionsProjection } from '#services/sessions/projections.ts';
import { tasksProjection } from '#services/tasks/projections.ts';
import type { World } from './simulated-world.ts';

const compare = async <Event, State extends object>(
  { ports }: World,
  projection: Projection<Event, State>,
): Promise<string | undefined> => {
  const kv = ports.bucket(projection.bucket);
  const verdict = await verifyProjection({ projection, log: ports.log(projection.stream), kv });
  return verdict.equal ? undefined : `bucket ${projection.bucket}: ${verdict.key} is not the fold of its log`;
};

/** The first key of each bucket that is not what its log says. */
export const unlikeTheirLog = async (world: World, hasSessions: boolean): Promise<readonly string[]> => {
  const found = [
    await compare(world, runsProjection),
    await compare(world, approvalsProjection),
    await compare(world, activityProjection),
    await compare(world, tasksProjection),
    ...(hasSessions ? [await compare(world, sessionsProjection)] : []),
  ];
  return found.filter((fault) => fault !== undefined);
};
