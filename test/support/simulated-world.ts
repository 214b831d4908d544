// A world in memory under a manual clock and one seed: a broker with every stream and bucket, processes on ports that can be killed at any
// point, and what a simulation needs to live in it. Time moves only by `drive`.
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { createSeededIds, type SeededIds } from '#libs/memory/ids.ts';
import { createCheckBoard } from '#libs/service/checks.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import type { Ports } from '#libs/service/context.ts';
import type { Service } from '#libs/service/define-service.ts';
import { startService } from '#libs/service/running-service.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import { topologyOf } from '#streams/consumers.ts';
import { BOUNDARY } from './control-plane.ts';
import { createMortalPorts } from './mortal-ports.ts';
import { Reach } from './reach.ts';
import { silentHooks, silentMetrics, tellingLogger } from './silent-telemetry.ts';

export interface World {
  readonly clock: ManualClock;
  readonly ids: SeededIds;
  readonly broker: MemoryBroker;
  readonly ports: Ports;
  readonly logger: Logger;
  /** Errors that would have ended a process, and what a service has logged as an error: nothing that is to happen whatever goes wrong around it. */
  readonly fatal: unknown[];
  /** What is wrong with the ports of every service; nothing, but in a world whose fault is to be caught. */
  readonly spoil: (ports: Ports) => Ports;
  /** What has happened, step by step, with the time of the world. */
  readonly tell: (what: string) => void;
  readonly reach: Reach;
  /** Processes that are up, each with its service and since when (monotonic ms). */
  readonly up: Set<{ readonly service: string; readonly sinceMs: number }>;
}

export interface WorldOptions {
  readonly spoil?: (ports: Ports) => Ports;
  /** Told of every step. */
  readonly onStep?: (step: string) => void;
}

/** For whom a world has consumers. */
export interface Inhabitants {
  readonly agents?: readonly string[];
  readonly hosts?: readonly string[];
}

const declared = new Map<string, ReturnType<typeof topologyOf>>();

/** Worked out once: every life of a simulation has the same inhabitants. */
const topologyFor = ({ agents = [], hosts = [] }: Inhabitants): ReturnType<typeof topologyOf> => {
  const key = JSON.stringify([agents, hosts]);
  const known = declared.get(key);
  if (known !== undefined) return known;
  const made = topologyOf({
    replicas: 1,
    agents: agents.map((agent) => ({ ...BOUNDARY, agent })),
    hosts: hosts.map((host) => ({ ...BOUNDARY, host })),
  });
  // In memory a bucket is no stream that a consumer could be on; nobody here reads one that way.
  const topology = { ...made, consumers: made.consumers.filter(({ stream }) => !stream.startsWith('KV_')) };
  declared.set(key, topology);
  return topology;
};

/** Every refusal counts, whoever asked. */
const countedClient = (client: RequestClient, reach: Reach): RequestClient => ({
  request: async (subject, body, options) => {
    const answer = await client.request(subject, body, options);
    if (answer.headers['Nats-Service-Error-Code'] === '400')
      reach.note('refusal', (answer.headers['Nats-Service-Error'] ?? '').split(':')[0] ?? '');
    return answer;
  },
});

const portsOn = (
  broker: MemoryBroker,
  { clock, ids, reach }: Pick<World, 'clock' | 'ids' | 'reach'>,
): Ports => ({
  clock,
  ids,
  log: (stream) => broker.eventLog(stream),
  bucket: (name) => broker.keyValue(name),
  queue: (stream, consumer) => broker.workQueue(stream, consumer),
  requests: { client: countedClient(broker.requests, reach), server: broker.requests },
  blobs: broker.blobs('bodies'),
  publisher: () => broker.publisher(),
});

/** An empty world. What goes wrong in it by the plan of its broker counts to its reach. */
export const createWorld = (
  seed: number,
  inhabitants: Inhabitants = {},
  { spoil = (ports) => ports, onStep }: WorldOptions = {},
): World => {
  const clock = createManualClock();
  const ids = createSeededIds(seed, clock);
  const broker = createMemoryBroker({ clock, ids, topology: topologyFor(inhabitants) });
  const reach = new Reach();
  const ports = portsOn(broker, { clock, ids, reach });
  const startedMs = clock.monotonicMs();
  const tell = (what: string): void =>
    onStep?.(`${((clock.monotonicMs() - startedMs) / 1000).toFixed(3).padStart(9)} ${what}`);
  broker.faults.onFault((question, { name, entry }) => {
    const where = entry?.headers['ce-type'] ?? placeOf(name);
    reach.note('fault', `${question} ${where}`);
    tell(`${question} ${where}`);
  });
  const fatal: unknown[] = [];
  const logger = tellingLogger(onStep && tell, (line) => void fatal.push(line));
  return { clock, ids, broker, ports, logger, fatal, spoil, tell, reach, up: new Set() };
};

/** A subject is named by the operation at its end, everything else by itself. */
const placeOf = (name: string): string => name.split('.').at(-1) ?? name;

/** An instance of a service, in a process of its own. */
export interface Instance {
  readonly service: Service;
  /** False from its end on, or when it died in one of its calls. */
  readonly isUp: boolean;
  /** Stops it in order. */
  stop(): Promise<void>;
  /** Ends it as SIGKILL does. */
  kill(): void;
  /** Has it die in one of its next calls to the broker: just before that is done, or just after, when nobody learns of it. */
  dieSoon(nthCall: number, half: 'before' | 'after'): void;
}

/** Starts an instance of a service. */
export const start = (
  world: World,
  service: Service,
  config: Readonly<Record<string, unknown>> = {},
): Instance => {
  const { clock, ids, logger, fatal, reach, up } = world;
  const mortal = createMortalPorts(world.spoil(world.ports));
  const { ports } = mortal;
  const running = startService(service, service.config.parse(config), {
    clock: ports.clock,
    ids,
    logger,
    metrics: silentMetrics,
    hooks: silentHooks,
    ports,
    board: createCheckBoard(ports.clock),
    drainMs: 1000,
    onFatal: (error) => void fatal.push(error),
  });
  const self = { service: service.name, sinceMs: clock.monotonicMs() };
  up.add(self);
  return {
    service,
    get isUp() {
      return up.has(self);
    },
    stop: () => {
      up.delete(self);
      return running.stop();
    },
    kill: () => {
      up.delete(self);
      mortal.kill();
    },
    dieSoon: (nthCall, half) =>
      mortal.dieIn(nthCall, half, (call) => {
        up.delete(self);
        reach.note('crash', `${service.name} ${half} ${call}`);
        world.tell(`${service.name} dies ${half} it could ${call}`);
      }),
  };
};

/** A whole number below `most`. */
export const below = ({ ids }: World, most: number): number => Math.floor(ids.random() * most);
export const isLucky = ({ ids }: World, chance: number): boolean => ids.random() < chance;
/** One of them. */
export const oneOf = <T>(world: World, many: readonly T[]): T => many[below(world, many.length)] as T;

/** Lets up to this much time pass. */
export const pause = (world: World, mostMs: number): Promise<void> => world.clock.sleep(below(world, mostMs));

/** Repeats a call until it is answered. */
export const persist = async <T>({ clock }: World, call: () => Promise<T>): Promise<T> => {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (toFault(error).retry === 'never') throw error;
      await clock.sleep(100);
    }
  }
};

/** An answer that is none becomes what it says. */
export const answered = <Answer extends { readonly outcome: string }>(answer: Answer): Answer => {
  const { outcome, ...rest } = answer as unknown as {
    outcome: string;
    code: string;
    message: string;
    retry: 'later';
  };
  if (outcome === 'fault') throw new Fault(rest);
  return answer;
};

/** Moves time until the work is done; fails when the fleet stands still for hours of its time. */
export const drive = async <T>({ clock }: World, work: Promise<T>, mostMs = 2 * 3_600_000): Promise<T> => {
  const progress = { isDone: false };
  const finish = (): void => {
    progress.isDone = true;
  };
  work.then(finish, finish);
  if (!(await clock.advanceUntil(() => progress.isDone, mostMs))) throw new Error('the fleet stands still');
  return work;
};
