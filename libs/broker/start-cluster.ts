// Several brokers of one machine as one JetStream cluster, for tests of what only a cluster does (elections, stale reads, lost leaders).
// Ready means: every member sees the others and the cluster has a leader. No production set-up: routes are not authenticated.
import { Fault } from '#libs/kernel/fault.ts';
import { findFreePort } from './free-port.ts';
import type { Broker, StartBrokerOptions } from './broker.ts';
import { startBroker } from './start-broker.ts';

export interface StartClusterOptions extends Omit<
  StartBrokerOptions,
  'cluster' | 'serverName' | 'clientPort' | 'monitorPort'
> {
  /** @default 3 */
  readonly nodes?: number;
}

/** A member; kill, pause and restart it like any broker. Its name is what leaders are reported by. */
interface ClusterNode {
  readonly name: string;
  readonly broker: Broker;
}

export interface BrokerCluster extends AsyncDisposable {
  readonly nodes: readonly ClusterNode[];
  /** Every member's client URL, for the client's `servers`. */
  readonly urls: readonly string[];
  /** Resolves when every running member is in step and the cluster has a leader. Fault `BROKER_CLUSTER_NOT_READY` after `withinMs`. */
  ready(withinMs?: number): Promise<void>;
  stop(): Promise<void>;
}

const READY_WITHIN_MS = 60_000;
const LOOK_MS = 25;
const ATTEMPTS = 4;

/** Whether this member serves JetStream and is caught up with a leader; false also when nobody answers. */
const isInStep = async (monitorUrl: string): Promise<boolean> => {
  try {
    const health = await fetch(`${monitorUrl}/healthz`, { signal: AbortSignal.timeout(1000) });
    await health.body?.cancel();
    const state = await fetch(`${monitorUrl}/jsz`, { signal: AbortSignal.timeout(1000) });
    const body = await state.text();
    return health.ok && /"leader":\s*"[^"]+"/.test(body);
  } catch {
    return false;
  }
};

const waitReady = async (
  nodes: readonly ClusterNode[],
  options: StartClusterOptions,
  withinMs: number,
): Promise<void> => {
  const deadline = options.clock.monotonicMs() + withinMs;
  for (;;) {
    const running = nodes.filter(({ broker }) => broker.pid() !== undefined);
    const states = await Promise.all(running.map(({ broker }) => isInStep(broker.monitorUrl)));
    if (states.every(Boolean)) return;
    if (options.clock.monotonicMs() > deadline) {
      const behind = running.filter((_, index) => states[index] !== true).map(({ name }) => name);
      throw new Fault({
        code: 'BROKER_CLUSTER_NOT_READY',
        retry: 'later',
        message: `The cluster has no leader or is not in step after ${withinMs} ms (${behind.join(', ')}).`,
        detail: { behind },
      });
    }
    await options.clock.sleep(LOOK_MS);
  }
};

const startNodes = async (options: StartClusterOptions, host: string): Promise<readonly ClusterNode[]> => {
  const ports: number[] = [];
  for (let node = 0; node < (options.nodes ?? 3); node += 1) ports.push(await findFreePort(host));
  const routes = ports.map((port) => `nats-route://${host}:${port}`);
  const starts = await Promise.allSettled(
    ports.map(async (port, index): Promise<ClusterNode> => {
      const name = `n${index + 1}`;
      const broker = await startBroker({
        ...options,
        serverName: name,
        dataDir: `${options.dataDir}-${name}`,
        cluster: { name: 'fleetlog', port, routes },
      });
      return { name, broker };
    }),
  );
  const nodes = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const failure = starts.find((start) => start.status === 'rejected');
  if (failure === undefined) return nodes;
  await Promise.all(nodes.map(({ broker }) => broker.stop()));
  throw failure.reason;
};

/**
 * Starts the members on `<dataDir>-n1`, `<dataDir>-n2`, … and resolves when the cluster has a leader. Faults as {@link startBroker}, and
 * `BROKER_CLUSTER_NOT_READY`; after any of them nothing runs.
 */
export const startCluster = async (options: StartClusterOptions): Promise<BrokerCluster> => {
  const host = options.host ?? '127.0.0.1';
  for (let attempt = 1; ; attempt += 1) {
    try {
      const nodes = await startNodes(options, host);
      const stop = async (): Promise<void> => {
        await Promise.all(nodes.map(({ broker }) => broker.stop()));
      };
      await waitReady(nodes, options, READY_WITHIN_MS).catch(async (error: unknown) => {
        await stop();
        throw error;
      });
      return {
        nodes,
        urls: nodes.map(({ broker }) => broker.url),
        ready: (withinMs = READY_WITHIN_MS) => waitReady(nodes, options, withinMs),
        stop,
        [Symbol.asyncDispose]: stop,
      };
    } catch (error) {
      const isRace = error instanceof Fault && error.code === 'BROKER_PORT_IN_USE';
      if (!isRace || attempt === ATTEMPTS) throw error;
    }
  }
};
