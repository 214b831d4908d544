// What a service checks at its start: everything it works with is there and behaves as declared. Changes nothing;
// sizes, ages and descriptions may differ (an operator's choice), what order, dedup and expiry rest on may not.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Topology } from './definitions.ts';
import type { Difference } from './difference.ts';
import type { TopologyDriver } from './driver.ts';
import { planTopology, type Plan } from './plan.ts';
import { renderDifference } from './render-plan.ts';

/** Settings that an operator may have chosen otherwise without breaking what relies on them. */
const TOLERATED: ReadonlySet<string> = new Set([
  'description',
  'maxAgeMs',
  'maxBytes',
  'replicas',
  'compression',
  'ackWaitMs',
  'maxAckPending',
]);

/** The differences of a plan that a service cannot run with. */
const essentialDifferences = (plan: Plan): readonly Difference[] =>
  plan.differences.filter(
    ({ kind, field }) => kind !== 'unknown' && (field === null || !TOLERATED.has(field)),
  );

/** Throws `TOPOLOGY_MISSING` (later: somebody has to run `fleetlog provision`) that names each difference; passes on the driver's faults. */
export const checkTopology = async (
  declared: Topology,
  driver: TopologyDriver,
  clock: Clock,
): Promise<void> => {
  const plan = planTopology({ declared, actual: await driver.read(), nowMs: clock.now() });
  const missing = essentialDifferences(plan);
  if (missing.length === 0) return;
  throw new Fault({
    code: 'TOPOLOGY_MISSING',
    retry: 'later',
    message: [
      'the broker is not set up as declared; run: fleetlog provision',
      ...missing.map((difference) => `  ${renderDifference(difference)}`),
    ].join('\n'),
    detail: { differences: missing },
  });
};
