// The durable consumers: which service works on which entries. Order is per id and kept by the consumer loop's lanes.
import type { ConsumerDefinition, Topology } from '#libs/topology/definitions.ts';
import { bucketDefinitions, objectStoreDefinitions } from './buckets.ts';
import { streamDefinitions } from './streams.ts';
import { aggregateFilter, typedFilter, type Boundary } from './subjects.ts';

/** Consumer of a runner: the instructions to its agent. `=` is in no name, so no two runners can mean one consumer. */
export const runnerConsumerName = (boundary: Boundary, agent: string): string =>
  `runner-${boundary.tenant}=${boundary.project}=${agent}`;

/** Consumers of the services. */
export const serviceConsumers = {
  /** Turns what runners report about turns into transitions. */
  runReports: {
    stream: 'EVENTS',
    name: 'runs-reports',
    description: 'Turns of runs: started and finished reports become transitions.',
    filterSubjects: [
      typedFilter('evt', { type: 'turn-started' }),
      typedFilter('evt', { type: 'turn-finished' }),
    ],
    ackWaitMs: 30_000,
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
    ackWaitMs: 30_000,
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
      ackWaitMs: 30_000,
      maxAckPending: 64,
    })),
  ],
});
