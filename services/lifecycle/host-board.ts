// The hosts in memory, from the bucket `hosts` and their presence: what a policy may be started on just now. A hint: a host that cannot
// take a start refuses it. Counts what was given to a host and is not shown by it yet, so that many starts at once are spread.
import type { Clock } from '#libs/ports/clock.ts';
import { hostPresenceSchema, hostViewSchema, type HostView } from '#streams/host-views.ts';
import { parseJson } from '#streams/entry.ts';
import type { PolicyConfig } from '#streams/policy-config.ts';
import { z } from 'zod';
import type { HostChoice } from '#streams/policy-commands.ts';
import type { Boundary } from '#streams/subjects.ts';
import { chooseHost, type HostFacts } from './host-choice.policy.ts';

/** How long a start that its host does not show counts as one. */
const GIVEN_MS = 60_000;

const NOTHING = { labels: [], providers: [], capacity: 0 };

/** What counts of a host's word: it is read some forty times a second where there are two hundred, each with fifty runners. */
const wordSchema = hostPresenceSchema
  .pick({ labels: true, providers: true, capacity: true, freeMemoryBytes: true })
  .extend({ runners: z.array(z.object({ spawnId: z.string() })) });
type HostWord = z.infer<typeof wordSchema>;

interface Known {
  view?: HostView | undefined;
  presence?: HostWord | undefined;
  /** Spawn ids given to it, with the time. */
  readonly given: Map<string, number>;
}

export class HostBoard {
  readonly #clock: Clock;
  readonly #boundaries = new Map<string, Map<string, Known>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes in a value of the bucket `hosts`. True: something may be possible that was not. */
  noteView(value: Uint8Array): { readonly boundary: Boundary } | undefined {
    const parsed = hostViewSchema.safeParse(parseJson(value));
    if (!parsed.success) return undefined;
    const { tenant, project, host } = parsed.data;
    this.#known({ tenant, project }, host).view = parsed.data;
    return { boundary: { tenant, project } };
  }

  /** Takes in what a host says of itself; undefined: it has fallen silent. True: there is more room than before. */
  notePresence(boundary: Boundary, host: string, value: Uint8Array | undefined): boolean {
    const known = this.#known(boundary, host);
    const before = this.#factsOf(host, known);
    const parsed = value === undefined ? undefined : wordSchema.safeParse(parseJson(value));
    known.presence = parsed?.success === true ? parsed.data : undefined;
    for (const { spawnId } of known.presence?.runners ?? []) known.given.delete(spawnId);
    const after = this.#factsOf(host, known);
    const roomOf = (facts: HostFacts): number => (facts.isOnline ? facts.capacity - facts.taken : 0);
    return roomOf(after) > roomOf(before);
  }

  /** The choice for a configuration, as far as is known here. */
  choose(boundary: Boundary, config: PolicyConfig): HostChoice {
    const hosts = this.#hosts(boundary);
    return chooseHost(
      config,
      [...hosts].map(([host, known]) => this.#factsOf(host, known)),
    );
  }

  /** A start was given to a host. */
  give(boundary: Boundary, host: string, spawnId: string): void {
    this.#known(boundary, host).given.set(spawnId, this.#clock.now());
  }

  /** It came to nothing. */
  takeBack(boundary: Boundary, host: string, spawnId: string): void {
    this.#hosts(boundary).get(host)?.given.delete(spawnId);
  }

  isOnline(boundary: Boundary, host: string): boolean {
    return this.#hosts(boundary).get(host)?.presence !== undefined;
  }

  #hosts({ tenant, project }: Boundary): Map<string, Known> {
    const key = `${tenant}.${project}`;
    const known = this.#boundaries.get(key) ?? new Map<string, Known>();
    this.#boundaries.set(key, known);
    return known;
  }

  #known(boundary: Boundary, host: string): Known {
    const hosts = this.#hosts(boundary);
    const known = hosts.get(host) ?? { given: new Map<string, number>() };
    hosts.set(host, known);
    return known;
  }

  #factsOf(host: string, known: Known): HostFacts {
    const { view, presence, given } = known;
    const oldest = this.#clock.now() - GIVEN_MS;
    for (const [spawnId, at] of given) if (at < oldest) given.delete(spawnId);
    const { labels, providers, capacity } = presence ?? view ?? NOTHING;
    return {
      host,
      isOnline: presence !== undefined && view?.state !== 'retired',
      isDraining: view?.isDraining === true,
      labels,
      providers,
      capacity,
      taken: given.size + (presence?.runners.length ?? 0),
      freeMemoryBytes: presence?.freeMemoryBytes ?? 0,
    };
  }
}
