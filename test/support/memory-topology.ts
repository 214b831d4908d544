// A broker's topology in memory, as strict and as destructive as a real one: it refuses what cannot be changed, and it deletes
// entries when a limit says so. Tests see by its content whether a plan was harmless.
import { Fault } from '#libs/kernel/fault.ts';
import type { ActualTopology, ServerFacts, TopologyDriver } from '#libs/topology/driver.ts';
import { isDeepStrictEqual } from 'node:util';
import type { ConsumerSettings, StreamSettings } from '#libs/topology/settings.ts';

interface MemoryEntry {
  readonly subject: string;
  readonly bytes: number;
  /** Epoch ms. */
  readonly storedAt: number;
}

export interface MemoryStream {
  readonly settings: StreamSettings;
  readonly entries: readonly MemoryEntry[];
}

export interface MemoryConsumer {
  readonly settings: ConsumerSettings;
  readonly delivered: number;
}

export interface MemoryTopologyOptions {
  readonly nowMs: number;
  readonly server?: Partial<ServerFacts>;
  readonly streams?: readonly MemoryStream[];
  readonly consumers?: readonly MemoryConsumer[];
  /** Called before each change; a throw is the answer of the broker. Awaited: the place to let others go first. */
  readonly before?: (call: string) => Promise<void>;
}

const refuse = (message: string): Fault =>
  new Fault({ code: 'TOPOLOGY_REFUSED', retry: 'never', message, detail: { brokerCode: 10052 } });
const taken = (what: string): Fault =>
  new Fault({ code: 'TOPOLOGY_TAKEN', retry: 'now', message: `${what} is there with other settings` });

const FIXED_OF_STREAM = ['storage', 'retention'] as const;
const ONLY_ON = ['allowSchedules', 'allowMessageTtl', 'denyDelete', 'denyPurge'] as const;
const FIXED_OF_CONSUMER = ['deliver', 'ack', 'priorityGroup'] as const;

/** What is left of the entries under these settings, oldest first. */
const kept = (
  entries: readonly MemoryEntry[],
  settings: StreamSettings,
  nowMs: number,
): readonly MemoryEntry[] => {
  const bySubject = new Map<string, number>();
  let bytes = 0;
  let count = 0;
  const left: MemoryEntry[] = [];
  for (const entry of entries.toReversed()) {
    const ofSubject = (bySubject.get(entry.subject) ?? 0) + 1;
    bySubject.set(entry.subject, ofSubject);
    if (settings.maxMessagesPerSubject >= 0 && ofSubject > settings.maxMessagesPerSubject) continue;
    if (settings.maxAgeMs > 0 && nowMs - entry.storedAt > settings.maxAgeMs) continue;
    if (settings.maxBytes >= 0 && bytes + entry.bytes > settings.maxBytes) break;
    if (settings.maxMessages >= 0 && count + 1 > settings.maxMessages) break;
    bytes += entry.bytes;
    count += 1;
    left.unshift(entry);
  }
  return left;
};

/** The driver, and what the broker holds. */
export class MemoryTopology implements TopologyDriver {
  readonly #options: MemoryTopologyOptions;
  readonly streams = new Map<string, MemoryStream>();
  readonly consumers = new Map<string, MemoryConsumer>();
  readonly calls: string[] = [];

  constructor(options: MemoryTopologyOptions) {
    this.#options = options;
    // What is beyond a stream's own limits would not be there.
    for (const { settings, entries } of options.streams ?? [])
      this.streams.set(settings.name, { settings, entries: kept(entries, settings, options.nowMs) });
    for (const consumer of options.consumers ?? [])
      this.consumers.set(`${consumer.settings.stream}/${consumer.settings.name}`, consumer);
  }

  async read(): Promise<ActualTopology> {
    return {
      server: { version: '2.15.1', isClustered: false, storageLimitBytes: null, ...this.#options.server },
      streams: [...this.streams.values()].map(({ settings, entries }) => ({
        settings,
        entries: entries.length,
        bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0),
        oldestAt: entries[0]?.storedAt ?? null,
      })),
      consumers: [...this.consumers.values()],
    };
  }

  async createStream(settings: StreamSettings): Promise<void> {
    await this.#called(`create stream ${settings.name}`);
    const present = this.streams.get(settings.name);
    if (present !== undefined && !isDeepStrictEqual(present.settings, settings)) throw taken(settings.name);
    this.#checkReplicas(settings);
    if (present === undefined) this.streams.set(settings.name, { settings, entries: [] });
  }

  async updateStream(settings: StreamSettings): Promise<void> {
    await this.#called(`update stream ${settings.name}`);
    const present = this.streams.get(settings.name);
    if (present === undefined) throw taken(settings.name);
    const from = present.settings;
    for (const field of FIXED_OF_STREAM)
      if (from[field] !== settings[field]) throw refuse(`cannot change ${field}`);
    for (const field of ONLY_ON)
      if (from[field] && !settings[field]) throw refuse(`cannot turn off ${field}`);
    this.#checkReplicas(settings);
    this.streams.set(settings.name, {
      settings,
      entries: kept(present.entries, settings, this.#options.nowMs),
    });
  }

  async createConsumer(settings: ConsumerSettings): Promise<void> {
    const key = `${settings.stream}/${settings.name}`;
    await this.#called(`create consumer ${key}`);
    if (!this.streams.has(settings.stream)) throw refuse(`no stream ${settings.stream}`);
    const present = this.consumers.get(key);
    if (present !== undefined && !isDeepStrictEqual(present.settings, settings)) throw taken(key);
    if (present === undefined) this.consumers.set(key, { settings, delivered: 0 });
  }

  async updateConsumer(settings: ConsumerSettings): Promise<void> {
    const key = `${settings.stream}/${settings.name}`;
    await this.#called(`update consumer ${key}`);
    const present = this.consumers.get(key);
    if (present === undefined) throw taken(key);
    for (const field of FIXED_OF_CONSUMER)
      if (present.settings[field] !== settings[field]) throw refuse(`cannot change ${field}`);
    this.consumers.set(key, { ...present, settings });
  }

  async deleteConsumer(stream: string, name: string): Promise<void> {
    await this.#called(`delete consumer ${stream}/${name}`);
    this.consumers.delete(`${stream}/${name}`);
  }

  async #called(call: string): Promise<void> {
    await this.#options.before?.(call);
    this.calls.push(call);
  }

  #checkReplicas({ replicas }: StreamSettings): void {
    if (replicas > 1 && this.#options.server?.isClustered !== true)
      throw refuse('replicas > 1 not supported');
  }
}
