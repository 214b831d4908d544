// Hosts and their runners as the control plane sees them, as cheap as can be, for benchmarks with thousands of them: one object for all hosts,
// which take their instructions, start "runners" that announce themselves once, and say every few seconds what they have. What they cost is
// in the process that measures and not in what is measured.
import type { Ports } from '#libs/service/context.ts';
import { presenceKey, type Presence } from '#streams/buckets.ts';
import { hostConsumerName } from '#streams/consumers.ts';
import { jsonBytes } from '#streams/entry.ts';
import type { SpawnInstruction } from '#streams/host-instructions.ts';
import { hostPresenceKey, type HostPresence } from '#streams/host-views.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import { BOUNDARY } from '#test/support/control-plane.ts';

/** Dispose of it before the ports that it works on. */
export interface ManyHosts extends AsyncDisposable {
  /** Starts taken, in order. */
  readonly taken: readonly SpawnInstruction[];
  /** Every host says once more what it has. */
  announce(): Promise<void>;
  /** One runner says once more that it is there. */
  beat(spawn: SpawnInstruction): Promise<void>;
  /** Falls silent. Idempotent. */
  stop(): Promise<void>;
}

interface Options {
  readonly hosts: readonly string[];
  readonly capacity: number;
  readonly everyMs: number;
  /** Of a host's word, and of a runner's. */
  readonly hostTtlMs: number;
  readonly runnerTtlMs: number;
}

export const startManyHosts = async (
  ports: Ports,
  { hosts, capacity, everyMs, hostTtlMs, runnerTtlMs }: Options,
): Promise<ManyHosts> => {
  const ending = new AbortController();
  const { signal } = ending;
  const presence = ports.bucket('presence');
  const taken: SpawnInstruction[] = [];
  const running = new Map<string, SpawnInstruction[]>(hosts.map((host) => [host, []]));

  const sayHost = async (host: string): Promise<void> => {
    const now = ports.clock.now();
    const word: HostPresence = {
      host,
      bootId: 'boot',
      journalId: host,
      labels: [],
      capacity,
      providers: ['exec'],
      version: '0.1.0',
      contract: 2,
      platform: 'linux-x64',
      freeMemoryBytes: 1e9,
      totalMemoryBytes: 2e9,
      freeDiskBytes: 1e9,
      hasCgroups: false,
      buffered: 0,
      runners: (running.get(host) ?? []).map(({ spawnId, policy, agent }) => ({
        spawnId,
        policy,
        agent,
        pid: 1,
        state: 'running',
        startedAt: 1,
      })),
      startedAt: 1,
      seenAt: now,
    };
    await presence.put(hostPresenceKey(BOUNDARY, host), jsonBytes(word), { ttlMs: hostTtlMs });
  };

  const beat = async ({ agent, host, spawnId }: SpawnInstruction): Promise<void> => {
    const word: Presence = {
      agent,
      runnerId: `${agent}@${host}`,
      providers: ['exec'],
      version: '0.1.0',
      startedAt: 1,
      seenAt: ports.clock.now(),
      buffered: 0,
      spawnId,
      host,
      active: 0,
    };
    await presence.put(presenceKey(BOUNDARY, agent), jsonBytes(word), { ttlMs: runnerTtlMs });
  };

  const take = async (host: string): Promise<void> => {
    const queue = ports.queue('COMMANDS', hostConsumerName(BOUNDARY, host));
    for await (const batch of queue.batches({ max: 64, signal }))
      for (const delivery of batch) {
        const reading = decodeInstruction(delivery.entry);
        if (reading.kind === 'known' && reading.name === 'agent-spawn') {
          running.get(host)?.push(reading.data);
          taken.push(reading.data);
          await beat(reading.data);
        }
        delivery.ack();
      }
  };

  /** One after another, spread over the time. */
  const sayAll = async (): Promise<void> => {
    while (!signal.aborted)
      for (const host of hosts) {
        if (signal.aborted) return;
        await sayHost(host);
        await ports.clock.sleep(everyMs / hosts.length, signal);
      }
  };

  await Promise.all(hosts.map(sayHost));
  const loops = [sayAll(), ...hosts.map(take)];
  // Where something else breaks, the connection ends first.
  for (const loop of loops) loop.catch(() => undefined);
  const stop = async (): Promise<void> => {
    ending.abort();
    await Promise.all(loops);
  };
  return {
    taken,
    announce: async () => void (await Promise.all(hosts.map(sayHost))),
    beat,
    stop,
    [Symbol.asyncDispose]: stop,
  };
};
