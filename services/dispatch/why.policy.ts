// Why tasks wait: of each line its first, with the limit that is reached, or with what keeps those who could do it. Pure; says what
// dispatch.policy.ts would decide, and decides nothing.
import type { WaitingLine, WaitReason } from '#streams/dispatch-requests.ts';
import { compareRank } from '#streams/task-order.ts';
import { laneKey, type Limits, type Reached, type Usage } from './limits.policy.ts';
import type { Obstacle, Runners } from './runners.policy.ts';
import type { Demand, Line, WaitingTask, WaitingTasks } from './waiting.policy.ts';

/** What is looked at; nothing of it is changed. */
export interface View {
  readonly waiting: Pick<WaitingTasks, 'lines'>;
  readonly runners: Pick<Runners, 'obstacles' | 'pausedUntil' | 'unfit'>;
  readonly usage: Pick<Usage, 'reached'>;
}

type Why = Pick<WaitingLine, 'reason' | 'because' | 'untilMs'>;

const why = (reason: WaitReason, because: string, untilMs: number | null = null): Why => ({
  reason,
  because,
  untilMs,
});

const nameOf = ({ what }: Reached, demand: Demand): string =>
  ({
    fleet: 'the fleet',
    queue: `queue ${demand.queue}`,
    lane: `lane ${laneKey(demand)}`,
    provider: `provider ${demand.provider}`,
  })[what];

const ofLimit = (reached: Reached, demand: Demand): Why => {
  const name = nameOf(reached, demand);
  return why(
    `${reached.what}-limit`,
    reached.most === 0
      ? `${name} is paused (limit 0)`
      : `${name} has ${reached.most} under way, which is its limit`,
  );
};

const asked = ({ provider, labels, agent }: Demand): string =>
  `${agent === null ? 'a runner' : `the runner of ${agent}`} with provider ${provider}${labels.length === 0 ? '' : ` and labels ${labels.join(', ')}`}`;

/** The nearest first: the reason that is most likely to pass next stands for all. */
const OBSTACLES: Readonly<Record<Obstacle, string>> = {
  slots: 'every slot is taken',
  'agent-limit': 'the limit of the agent is reached',
  'host-limit': 'the limit of the machine is reached',
  'host-memory': 'too little memory is free on the machine',
  'host-disk': 'too little disk is free on the machine',
  'runner-unfit': 'a runner could do nothing of what it got last',
  'provider-paused': 'the quota of the provider is used up',
};

const MOST_NAMES = 5;
const namesOf = (agents: readonly string[]): string =>
  agents.length <= MOST_NAMES
    ? agents.join(', ')
    : `${agents.slice(0, MOST_NAMES).join(', ')} and ${agents.length - MOST_NAMES} more`;

/** Of the words of an unfit runner. */
const MOST_SAID = 500;

const ofObstacles = (
  found: ReadonlyMap<string, Obstacle | undefined>,
  demand: Demand,
  { pausedUntil, unfit }: View['runners'],
): Why => {
  const agents = new Map<Obstacle, string[]>();
  for (const [agent, obstacle] of found) {
    if (obstacle === undefined) return why('going', `${agent} is free for it`);
    agents.set(obstacle, [...(agents.get(obstacle) ?? []), agent]);
  }
  const kinds = (Object.keys(OBSTACLES) as Obstacle[]).filter((obstacle) => agents.has(obstacle));
  const [first] = kinds;
  if (first === undefined) return why('no-runner', `${asked(demand)} is not there`);
  const because = kinds.map((kind) => `${OBSTACLES[kind]} (${namesOf(agents.get(kind) ?? [])})`).join('; ');
  const { provider } = demand;
  const unfits = [...found.keys()].flatMap((agent) => unfit.of(agent, provider) ?? []);
  const said = unfits[0] === undefined ? '' : `; it said: ${unfits[0].why}`.slice(0, MOST_SAID);
  const ends: Partial<Record<Obstacle, readonly number[]>> = {
    'provider-paused': [...found.keys()].flatMap((agent) => pausedUntil(agent, provider) ?? []),
    'runner-unfit': unfits.map(({ untilMs }) => untilMs),
  };
  const until = ends[first];
  return why(first, because + said, until === undefined ? null : Math.min(...until));
};

const lineOf = (
  { tasks }: Line,
  head: WaitingTask,
  { runners, usage }: View,
  limits: Limits,
): WaitingLine => {
  const { queue, lane, provider, agent, labels, taskId } = head;
  const reached = usage.reached(head, limits);
  const because =
    reached === undefined
      ? ofObstacles(runners.obstacles(head, limits), head, runners)
      : ofLimit(reached, head);
  return { queue, lane, provider, agent, labels: [...labels], waiting: tasks.length, taskId, ...because };
};

/** Of every line (of one queue) its first and why it waits; the one that goes first stands first. */
export const explainWaiting = (view: View, limits: Limits, queue?: string): readonly WaitingLine[] => {
  const heads: { readonly line: Line; readonly head: WaitingTask }[] = [];
  for (const line of view.waiting.lines()) {
    const head = line.tasks[0];
    if (head !== undefined && (queue === undefined || head.queue === queue)) heads.push({ line, head });
  }
  return heads
    .toSorted((a, b) => compareRank(a.head, b.head))
    .map(({ line, head }) => lineOf(line, head, view, limits));
};
