// The durable consumers: which service works on which entries. Order is per id and kept by the consumer loop's lanes.
import type { ConsumerDefinition, Topology } from '#libs/topology/definitions.ts';
import { bucketDefinitions, objectStoreDefinitions } from './buckets.ts';
import { MAIL_REPORTS } from './mail-reports.ts';
import { OBLIGATIONS_STREAM, obligationsSubject } from './mail-views.ts';
import { streamDefinitions } from './streams.ts';
import { aggregateFilter, timerFilter, typedFilter, type Boundary } from './subjects.ts';

/** Consumer of a runner: the instructions to its agent. `=` is in no name, so no two runners can mean one consumer. */
export const runnerConsumerName = (boundary: Boundary, agent: string): string =>
  `runner-${boundary.tenant}=${boundary.project}=${agent}`;

/** Consumer of a runner: the messages to its agent. */
export const mailboxConsumerName = (boundary: Boundary, agent: string): string =>
  `mail-${boundary.tenant}=${boundary.project}=${agent}`;

/** Consumer of a runner: every change of what its agent owes. Values that were overtaken before they were taken are skipped. */
export const obligationsConsumerName = (boundary: Boundary, agent: string): string =>
  `obligations-${boundary.tenant}=${boundary.project}=${agent}`;

/** Consumer of a host: its instructions. */
export const hostConsumerName = (boundary: Boundary, host: string): string =>
  `host-${boundary.tenant}=${boundary.project}=${host}`;

/**
 * How long an entry that was handed out stays with a process that says nothing: after a crash its entries come again after this time.
 * Well below the default lease of a run, so that a service that dies with a report in hand costs no run its claim. Processes extend what
 * they have in hand three times as often.
 */
export const ACK_WAIT_MS = 10_000;

/** The owner of the timers of policies. */
export const POLICY_TIMER = 'policy';

/** Consumers of the services. */
export const serviceConsumers = {
  /** Turns what runners report about turns into transitions. */
  runReports: {
    stream: 'EVENTS',
    name: 'runs-reports',
    description: 'Turns, approvals and commands of runs: what moves a run becomes a transition.',
    filterSubjects: [
      typedFilter('evt', { type: 'turn-started' }),
      typedFilter('evt', { type: 'turn-finished' }),
      typedFilter('evt', { type: 'approval-wanted' }),
      typedFilter('evt', { type: 'approval-withdrawn' }),
      typedFilter('evt', { type: 'command-acknowledged' }),
      typedFilter('evt', { type: 'command-finished' }),
    ],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
    // One instance works, the others wait: a finished report would else overtake its started one in another instance.
    priorityGroup: 'one',
  },
  /** Keeps which conversation of its program a session is. */
  sessionBindings: {
    stream: 'EVENTS',
    name: 'sessions-bindings',
    description: 'The conversations that programs say they are in become those of their sessions.',
    filterSubjects: [
      typedFilter('evt', { type: 'session-bound' }),
      typedFilter('evt', { type: 'session-forked' }),
    ],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
  },
  /** Turns what runners report about mail into entries of MESSAGES. */
  mailReports: {
    stream: 'EVENTS',
    name: 'mail-reports',
    description: 'What runners report about mail becomes what happened to the messages.',
    filterSubjects: (Object.keys(MAIL_REPORTS) as (keyof typeof MAIL_REPORTS)[]).map((type) =>
      typedFilter('evt', { type }),
    ),
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
    // One instance works, the others wait: what an agent wrote while mail was away is stored in its order.
    priorityGroup: 'one',
  },
  /** Begins and ends the runs of attempts. */
  taskAttempts: {
    stream: 'TRANSITIONS',
    name: 'tasks-attempts',
    description: 'Reactor: a task that is handed over causes a run; cancel and recall end it.',
    filterSubjects: [aggregateFilter('task')],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
  },
  /** Instructs hosts, sets timers, and goes on from each transition of a policy. */
  lifecyclePolicies: {
    stream: 'TRANSITIONS',
    name: 'lifecycle-policies',
    description:
      'Reactor: transitions of policies cause instructions to hosts, timers, and what follows next.',
    filterSubjects: [aggregateFilter('policy')],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
  },
  /** Tells policies what hosts say of their starts, and what their agents do. */
  lifecycleReports: {
    stream: 'EVENTS',
    name: 'lifecycle-reports',
    description: 'What hosts report of starts and ends, and turns that begin and end, move policies.',
    filterSubjects: [
      typedFilter('evt', { type: 'spawn-refused' }),
      typedFilter('evt', { type: 'agent-exited' }),
      typedFilter('evt', { type: 'turn-started' }),
      typedFilter('evt', { type: 'turn-finished' }),
    ],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
    deliver: 'new',
  },
  /** Starts agents anew whose host was updated. */
  lifecycleHosts: {
    stream: 'TRANSITIONS',
    name: 'lifecycle-hosts',
    description: 'Reactor: the update of a host has the agents there started anew whose policies want it.',
    filterSubjects: [aggregateFilter('host')],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
    deliver: 'new',
  },
  /** Gives agents that have registered their first words and the mail of their policy; apart, so that nothing else waits for it. */
  lifecycleWelcome: {
    stream: 'TRANSITIONS',
    name: 'lifecycle-welcome',
    description: 'Reactor: an agent that runs gets the prompt and the mail of its policy.',
    filterSubjects: [aggregateFilter('policy')],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
  },
  /** Wakes the agents of policies that there is mail for. */
  lifecycleMail: {
    stream: 'MESSAGES',
    name: 'lifecycle-mail',
    description: 'Mail to policies wakes their agents, or is sent on to them.',
    filterSubjects: [typedFilter('msg', { type: 'sent' })],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
    deliver: 'new',
  },
  /** What becomes of policies when their time has come. */
  lifecycleTimers: {
    stream: 'TIMERS',
    name: 'lifecycle-timers',
    description: 'Timers of policies that ring.',
    filterSubjects: [timerFilter(POLICY_TIMER)],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
  },
} as const satisfies Record<string, ConsumerDefinition>;

/** A reactor that takes its entries from the one reading of a stream that its process does anyway; its place is a key of the bucket `reactors`. */
export interface ReactorDefinition {
  readonly stream: string;
  /** Key of its place: it never changes. */
  readonly name: string;
  readonly description: string;
  readonly filterSubjects: readonly string[];
  /** Where it begins when it has no place yet; default: with the first entry. */
  readonly startsAt?: 'first' | 'new';
}

/**
 * The reactors of what is transitions of runs, which are most of what is stored: a durable consumer for each would have every transition delivered and
 * acknowledged once more, of which one in four matters.
 */
export const serviceReactors = {
  /** Appends the instructions that transitions call for. */
  runInstructions: {
    stream: 'TRANSITIONS',
    name: 'runs-instructions',
    description: 'Transitions of runs cause instructions to runners.',
    filterSubjects: [aggregateFilter('run')],
  },
  /** Opens sessions with their first run. */
  sessionOpenings: {
    stream: 'TRANSITIONS',
    name: 'sessions-openings',
    description: 'The first run of a session opens it; a run of another agent is turned away.',
    filterSubjects: [aggregateFilter('run')],
  },
  /** Tells the parents of runs how they ended. */
  mailNotices: {
    stream: 'TRANSITIONS',
    name: 'mail-notices',
    description: 'The end of a run that has a parent becomes one notice to it.',
    filterSubjects: [aggregateFilter('run')],
    // Runs that ended before there was mail have no parent.
    startsAt: 'new',
  },
  /** Carries out grants whose maker has died. */
  taskGrants: {
    stream: 'TRANSITIONS',
    name: 'tasks-grants',
    description: 'A grant of one task is carried out by the task’s own transition, whoever has made it.',
    filterSubjects: [aggregateFilter('admission')],
  },
  /** Tells tasks what their runs do. */
  taskRuns: {
    stream: 'TRANSITIONS',
    name: 'tasks-runs',
    description: 'Claimed and ended runs move the tasks whose attempts they are.',
    filterSubjects: [aggregateFilter('run')],
  },
} as const satisfies Record<string, ReactorDefinition>;

/** The bucket of the places of {@link serviceReactors}. */
export const REACTORS_BUCKET = 'reactors';

/** The consumers of one agent's runner. */
const runnerConsumers = ({
  agent,
  ...boundary
}: Boundary & { readonly agent: string }): ConsumerDefinition[] => [
  {
    stream: 'COMMANDS',
    name: runnerConsumerName(boundary, agent),
    description: `Instructions to the runner of ${agent}.`,
    filterSubjects: [typedFilter('cmd', { ...boundary, id: agent })],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 64,
  },
  {
    stream: 'MESSAGES',
    name: mailboxConsumerName(boundary, agent),
    description: `Messages to ${agent}.`,
    filterSubjects: [typedFilter('msg', { ...boundary, id: agent, type: 'sent' })],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 64,
  },
  {
    stream: OBLIGATIONS_STREAM,
    name: obligationsConsumerName(boundary, agent),
    description: `What ${agent} owes, whenever it changes.`,
    filterSubjects: [obligationsSubject(boundary, agent)],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 64,
  },
];

const hostConsumer = ({ host, ...boundary }: Boundary & { readonly host: string }): ConsumerDefinition => ({
  stream: 'COMMANDS',
  name: hostConsumerName(boundary, host),
  description: `Instructions to the host ${host}.`,
  filterSubjects: [typedFilter('cmd', { ...boundary, id: host })],
  ackWaitMs: ACK_WAIT_MS,
  maxAckPending: 64,
});

/** What a deployment is made of. */
export interface DeploymentShape {
  readonly replicas: number;
  /** Agents that have a runner, by boundary. */
  readonly agents: readonly (Boundary & { readonly agent: string })[];
  /** Machines that start and stop runners, by boundary. */
  readonly hosts?: readonly (Boundary & { readonly host: string })[];
}

/** Everything durable of a deployment, as `fleetlog provision` reconciles it. */
export const topologyOf = (shape: DeploymentShape): Topology => ({
  streams: streamDefinitions(shape.replicas),
  buckets: bucketDefinitions(shape.replicas),
  objectStores: objectStoreDefinitions(shape.replicas),
  consumers: [
    ...Object.values(serviceConsumers),
    ...shape.agents.flatMap(runnerConsumers),
    ...(shape.hosts ?? []).map(hostConsumer),
  ],
});
