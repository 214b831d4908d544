// The rules of dispatch said in the plainest way, to judge its decisions by: every waiting task in one list, everything counted anew
// for every question. Slow and obvious on purpose.
import type { Grant } from '#services/dispatch/dispatch.policy.ts';
import type { Limits } from '#services/dispatch/limits.policy.ts';
import type { RunnerFacts } from '#services/dispatch/runners.policy.ts';
import type { WaitingTask } from '#services/dispatch/waiting.policy.ts';
import { compareRank } from '#streams/task-order.ts';

/** A fleet at one moment. */
export interface Fleet {
  readonly waiting: readonly WaitingTask[];
  /** Tasks under way and who has them. */
  readonly active: readonly { readonly task: WaitingTask; readonly agent: string }[];
  readonly runners: ReadonlyMap<string, RunnerFacts>;
  /** Runs that no task caused, by agent. */
  readonly otherRuns: readonly string[];
  /** Agents that take nothing of a provider now. */
  readonly paused?: readonly { readonly agent: string; readonly provider: string }[];
}

const count = (fleet: Fleet, is: (task: WaitingTask) => boolean): number =>
  fleet.active.filter(({ task }) => is(task)).length;

/** Names of the limits that are exceeded. */
export const exceeded = (fleet: Fleet, limits: Limits): readonly string[] => {
  const over: string[] = [];
  const check = (name: string, is: number, most: number | undefined): void => {
    if (most !== undefined && is > most) over.push(`${name}: ${is} of ${most}`);
  };
  check('fleet', fleet.active.length, limits.fleet);
  for (const queue of new Set(fleet.active.map(({ task }) => task.queue)))
    check(
      queue,
      count(fleet, (task) => task.queue === queue),
      limits.queues.get(queue) ?? limits.eachQueue,
    );
  for (const [key, most] of limits.lanes)
    check(
      key,
      count(fleet, (task) => `${task.queue}/${task.lane}` === key),
      most,
    );
  for (const [provider, most] of limits.providers)
    check(
      provider,
      count(fleet, (task) => task.provider === provider),
      most,
    );
  for (const [agent, { slots }] of fleet.runners) check(agent, taken(fleet, agent), slots);
  for (const [agent, most] of limits.agents) check(agent, taken(fleet, agent), most);
  for (const [agent, { host }] of fleet.runners)
    if (host !== undefined)
      check(
        `host ${host.name}`,
        onHost(fleet, agent).reduce((sum, one) => sum + taken(fleet, one), 0),
        limits.hosts?.get(host.name) ?? limits.eachHost,
      );
  return over;
};

const taken = (fleet: Fleet, agent: string): number =>
  fleet.active.filter((one) => one.agent === agent).length +
  fleet.otherRuns.filter((one) => one === agent).length;

/** The agents on the machine of an agent. */
const onHost = ({ runners }: Fleet, agent: string): readonly string[] => {
  const name = runners.get(agent)?.host?.name;
  return name === undefined
    ? []
    : [...runners].flatMap(([one, { host }]) => (host?.name === name ? [one] : []));
};

/** Whether the agent's machine has memory and disk for one more; `given` have gone to it in this decision. */
const hasRoom = (fleet: Fleet, agent: string, limits: Limits, given: number): boolean => {
  const { host } = fleet.runners.get(agent) ?? {};
  if (host === undefined) return true;
  const { hostMemoryFloorBytes = 0, hostDiskFloorBytes = 0, taskMemoryBytes = 0 } = limits;
  const memory = host.freeMemoryBytes - (given + 1) * taskMemoryBytes;
  return memory >= hostMemoryFloorBytes && host.freeDiskBytes >= hostDiskFloorBytes;
};

/** Whether the agent, or another one on its account, is to leave the provider alone. */
const isPaused = ({ paused = [], runners }: Fleet, agent: string, provider: string): boolean =>
  paused.some((pause) => {
    const account = runners.get(agent)?.account;
    const isShared = account !== undefined && runners.get(pause.agent)?.account === account;
    return pause.provider === provider && (pause.agent === agent || isShared);
  });

const handOver = (fleet: Fleet, task: WaitingTask, agent: string): Fleet => ({
  ...fleet,
  waiting: fleet.waiting.filter((one) => one !== task),
  active: [...fleet.active, { task, agent }],
});

/** Agents that could take the task now without a limit being exceeded that was not before. */
const takers = (fleet: Fleet, task: WaitingTask, limits: Limits, before: Fleet): readonly string[] =>
  [...fleet.runners].flatMap(([agent, { providers, labels }]) => {
    if (isPaused(fleet, agent, task.provider)) return [];
    const mates = onHost(fleet, agent);
    const given = mates.reduce((sum, one) => sum + taken(fleet, one) - taken(before, one), 0);
    if (!hasRoom(fleet, agent, limits, given)) return [];
    if (task.agent !== null && task.agent !== agent) return [];
    if (!providers.includes(task.provider) || !task.labels.every((label) => labels.includes(label)))
      return [];
    const known = new Set(exceeded(fleet, limits).map((text) => text.split(':')[0]));
    const after = exceeded(handOver(fleet, task, agent), limits).map((text) => text.split(':')[0]);
    // What was over its limit before (a limit was lowered) must not take more either.
    return after.some((name) => !known.has(name)) || over(fleet, task, agent, limits) ? [] : [agent];
  });

/** Whether the task would add to something that is over its limit already. */
const over = (fleet: Fleet, task: WaitingTask, agent: string, limits: Limits): boolean => {
  const now = exceeded(fleet, limits).map((text) => text.split(':')[0]);
  const host = fleet.runners.get(agent)?.host;
  const touched = ['fleet', task.queue, `${task.queue}/${task.lane}`, task.provider, agent];
  if (host !== undefined) touched.push(`host ${host.name}`);
  return touched.some((name) => now.includes(name));
};

/** The task that has to go next: the first in order that somebody could take. */
const nextOf = (fleet: Fleet, limits: Limits, before: Fleet): WaitingTask | undefined =>
  fleet.waiting.toSorted(compareRank).find((task) => takers(fleet, task, limits, before).length > 0);

/** What is wrong with a decision; empty when nothing is. Gives the fleet after it. */
export const judge = (
  before: Fleet,
  limits: Limits,
  { grants, most }: { readonly grants: readonly Grant[]; readonly most: number },
): { readonly faults: readonly string[]; readonly after: Fleet } => {
  const faults: string[] = [];
  let fleet = before;
  for (const { taskId, agent } of grants) {
    const due = nextOf(fleet, limits, before);
    if (due === undefined || due.taskId !== taskId)
      faults.push(`${taskId} was handed over, ${due?.taskId ?? 'nothing'} was due`);
    const task = fleet.waiting.find((one) => one.taskId === taskId);
    if (task === undefined) return { faults: [...faults, `${taskId} does not wait`], after: fleet };
    if (!takers(fleet, task, limits, before).includes(agent)) faults.push(`${taskId} does not fit ${agent}`);
    fleet = handOver(fleet, task, agent);
  }
  const left = nextOf(fleet, limits, before);
  if (grants.length < most && left !== undefined) faults.push(`${left.taskId} could go and waits`);
  return { faults, after: fleet };
};
