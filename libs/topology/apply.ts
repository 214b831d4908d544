// Takes the steps of a plan, one after another. Stops at the first that fails and says what was done; running it again goes on
// from there. Two at once do no harm: a step that somebody else has just taken succeeds, and a clash of settings is planned anew.
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Topology } from './definitions.ts';
import type { TopologyDriver } from './driver.ts';
import { planTopology, type Plan, type Step } from './plan.ts';

export interface ApplyResult {
  readonly done: readonly Step[];
  readonly failed: { readonly step: Step; readonly fault: Fault } | null;
  /** Steps not tried, in order; the failed one is not among them. */
  readonly left: readonly Step[];
}

const take = async (driver: TopologyDriver, step: Step): Promise<void> => {
  switch (step.kind) {
    case 'create-stream':
      return driver.createStream(step.settings);
    case 'update-stream':
      return driver.updateStream(step.settings);
    case 'create-consumer':
      return driver.createConsumer(step.settings);
    case 'update-consumer':
      return driver.updateConsumer(step.settings);
    case 'recreate-consumer':
      await driver.deleteConsumer(step.settings.stream, step.settings.name);
      return driver.createConsumer(step.settings);
  }
};

/** Applies a plan as it is. Never throws for what the driver says: a fault is in the result. */
export const applyPlan = async (
  driver: TopologyDriver,
  plan: Pick<Plan, 'steps'>,
  onStep: (step: Step) => void = () => {},
): Promise<ApplyResult> => {
  const done: Step[] = [];
  for (const [index, step] of plan.steps.entries()) {
    try {
      await take(driver, step);
    } catch (error) {
      return { done, failed: { step, fault: toFault(error) }, left: plan.steps.slice(index + 1) };
    }
    done.push(step);
    onStep(step);
  }
  return { done, failed: null, left: [] };
};

export interface ReconcileInput {
  readonly declared: Topology;
  readonly driver: TopologyDriver;
  readonly clock: Clock;
  readonly storageBudgetBytes?: number;
  /** Called with the first plan before anything is changed. */
  readonly onPlan?: (plan: Plan) => void;
  readonly onStep?: (step: Step) => void;
}

/** Times that a plan is made anew because somebody else changed the broker meanwhile. */
const ATTEMPTS = 5;

/** Reads the broker and plans. Faults: the driver's. */
export const readPlan = async ({
  declared,
  driver,
  clock,
  storageBudgetBytes,
}: Omit<ReconcileInput, 'onPlan' | 'onStep'>): Promise<Plan> =>
  planTopology({
    declared,
    actual: await driver.read(),
    nowMs: clock.now(),
    ...(storageBudgetBytes !== undefined && { storageBudgetBytes }),
  });

export interface ReconcileOutcome {
  /** The first plan. */
  readonly plan: Plan;
  readonly result: ApplyResult;
  /** What a last look found: no steps on success; its refusals are for a person. Null when applying failed. */
  readonly remaining: Plan | null;
}

/** Plans and applies until nothing is left to do. Faults of reading are thrown; a fault of applying is in `result`. */
export const reconcileTopology = async (input: ReconcileInput): Promise<ReconcileOutcome> => {
  const first = await readPlan(input);
  input.onPlan?.(first);
  const done: Step[] = [];
  let plan = first;
  for (let attempt = 1; ; attempt++) {
    const latest = await applyPlan(input.driver, plan, input.onStep);
    done.push(...latest.done);
    const result = { ...latest, done };
    if (result.failed !== null && (result.failed.fault.retry !== 'now' || attempt >= ATTEMPTS))
      return { plan: first, result, remaining: null };
    const remaining = await readPlan(input);
    if (remaining.steps.length === 0)
      return { plan: first, result: { done, failed: null, left: [] }, remaining };
    if (attempt >= ATTEMPTS) return { plan: first, result, remaining };
    plan = remaining;
  }
};
