// The durable consumers: which service works on which entries. Order is per id and kept by the consumer loop's lanes.
import type { ConsumerDefinition, Topology } from '#libs/topology/definitions.ts';
import { bucketDefinitions, objectStoreDefinitions } from './buckets.ts';
import { streamDefinitions } from './streams.ts';
import { aggregateFilter, typedFilter, type Boundary } from './subjects.ts';

/** Consumer of a runner: the instructions to its agent. `=` is in no name, so no two runners can mean one consumer. */
export const runnerConsumerName = (boundary: Boundary, agent: string): string =>
  `runner-${boundary.tenant}=${boundary.project}=${agent}`;

/**
 * How long an entry that was handed out stays with a process that says nothing: after a crash its entries come again after this time.
 * Well below the default lease of a run, so that a service that dies with a report in hand costs no run its claim. Processes extend what
 * they have in hand three times as often.
 */
export const ACK_WAIT_MS = 10_000;

/** Consumers of the services. */
export const serviceConsumers = {
  /** Turns what runners report about turns into transitions. */
  runReports: {
    stream: 'EVENTS',
    name: 'runs-reports',
    description: 'Turns and approvals of runs: what moves a run becomes a transition.',
    filterSubjects: [
      typedFilter('evt', { type: 'turn-started' }),
      typedFilter('evt', { type: 'turn-finished' }),
      typedFilter('evt', { type: 'approval-wanted' }),
      typedFilter('evt', { type: 'approval-withdrawn' }),
    ],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
    // One instance works, the others wait: a finished report would else overtake its started one in another instance.
    priorityGroup: 'one',
  },
  /** Appends the instructions that transitions call for. */
  runInstructions: {
    stream: 'TRANSITIONS',
    name: 'runs-instructions',
    description: 'Reactor: transitions of runs cause instructions to runners.',
    filterSubjects: [aggregateFilter('run')],
    ackWaitMs: ACK_WAIT_MS,
    maxAckPending: 1000,
  },
} as const satisfies Record<string, ConsumerDefinition>;

/** What a deployment is made of. */
export interface DeploymentShape {
  readonly replicas: number;
  /** Agents that have a runner, by boundary. */
  readonly agents: readonly (Boundary & { readonly agent: string })[];
}

/** Everything durable of a deployment, as `fleetlog provision` reconciles it. */
export const topologyOf = (shape: DeploymentShape): Topology => ({
  streams: streamDefinitions(shape.replicas),
  buckets: bucketDefinitions(shape.replicas),
  objectStores: objectStoreDefinitions(shape.replicas),
  consumers: [
    ...Object.values(serviceConsumers),
    ...shape.agents.map(({ agent, ...boundary }) => ({
      stream: 'COMMANDS',
      name: runnerConsumerName(boundary, agent),
      description: `Instructions to the runner of ${agent}.`,
      filterSubjects: [typedFilter('cmd', { ...boundary, id: agent })],
      ackWaitMs: ACK_WAIT_MS,
      maxAckPending: 64,
    })),
  ],
});
