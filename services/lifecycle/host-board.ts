// The hosts in memory, from the bucket `hosts` and their presence: what a policy may be started on just now. A hint: a host that cannot
// take a start refuses it. Counts what was given to a host and is not shown by it yet, so that many starts at once are spread.
// Two hundred hosts with fifty runners each say their word some forty times a second: a word is read when somebody wants to know.
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

/** What counts of a host's word. */
const wordSchema = hostPresenceSchema
  .pick({ labels: true, providers: true, capacity: true, freeMemoryBytes: true, startedAt: true })
  .extend({ runners: z.array(z.object({ spawnId: z.string() })) });
type HostWord = z.infer<typeof wordSchema>;

/** A start that the host does not show yet. */
interface Given {
  readonly policy: string;
  readonly at: number;
}

/** One host. Nothing is computed before it is asked for. */
class Known {
  readonly #host: string;
  #view: HostView | undefined;
  /** Its last word, and what it says; not read yet: `unread`. */
  #bytes: Uint8Array | undefined;
  #word: HostWord | 'unread' | undefined;
  /** By spawn id what was given to it, oldest first. */
  readonly #given = new Map<string, Given>();
  #facts: HostFacts | undefined;
  /** When its process was being stopped, by its own report; 0: not that is known. */
  #leftAt = 0;

  constructor(host: string) {
    this.#host = host;
  }

  set view(view: HostView) {
    this.#view = view;
    this.#facts = undefined;
  }

  hear(bytes: Uint8Array | undefined): void {
    // A window on a larger buffer, and kept until somebody wants to know.
    this.#bytes = bytes === undefined ? undefined : new Uint8Array(bytes);
    this.#word = bytes === undefined ? undefined : 'unread';
    this.#facts = undefined;
    // What it shows now may be gone with its next word.
    if (this.#given.size > 0) this.#read();
  }

  /** Its process ends its runners, for it is being stopped; the next one is another. */
  leaving(at: number): void {
    this.#leftAt = Math.max(this.#leftAt, at);
    this.#facts = undefined;
  }

  give(spawnId: string, given: Given): void {
    this.#given.set(spawnId, given);
    this.#facts = undefined;
  }

  takeBack(spawnId: string): void {
    this.#given.delete(spawnId);
    this.#facts = undefined;
  }

  /** What the policy was given until then has ended. True: it counted still. */
  over({ policy, at: untilMs }: Given): boolean {
    let counted = false;
    for (const [spawnId, given] of this.#given) {
      if (given.policy !== policy || given.at > untilMs) continue;
      this.takeBack(spawnId);
      counted = true;
    }
    return counted;
  }

  get isOnline(): boolean {
    return this.#read() !== undefined;
  }

  get isUnheard(): boolean {
    return this.#word === undefined && (this.#view?.state === 'online' || this.#view?.state === 'draining');
  }

  facts(now: number): HostFacts {
    for (const [spawnId, { at }] of this.#given) {
      if (at >= now - GIVEN_MS) break;
      this.takeBack(spawnId);
    }
    return this.shown();
  }

  /** As it counted last: what has run out since counts still. */
  shown(): HostFacts {
    this.#facts ??= this.#look();
    return this.#facts;
  }

  #read(): HostWord | undefined {
    if (this.#word !== 'unread') return this.#word;
    this.#word = wordSchema.safeParse(parseJson(this.#bytes ?? new Uint8Array())).data;
    this.#bytes = undefined;
    for (const { spawnId } of this.#word?.runners ?? []) this.#given.delete(spawnId);
    return this.#word;
  }

  #look(): HostFacts {
    const word = this.#read();
    const view = this.#view;
    const { labels, providers, capacity } = word ?? view ?? NOTHING;
    return {
      host: this.#host,
      isOnline: word !== undefined && view?.state !== 'retired',
      isLeaving: word !== undefined && word.startedAt <= this.#leftAt,
      isDraining: view?.isDraining === true,
      labels,
      providers,
      capacity,
      taken: this.#given.size + (word?.runners.length ?? 0),
      freeMemoryBytes: word?.freeMemoryBytes ?? 0,
    };
  }
}

const roomOf = ({ isOnline, isLeaving, capacity, taken }: HostFacts): number =>
  isOnline && !isLeaving ? capacity - taken : 0;

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

  /** Takes in what a host says of itself; undefined: it has fallen silent. */
  notePresence(boundary: Boundary, host: string, value: Uint8Array | undefined): void {
    this.#known(boundary, host).hear(value);
  }

  /** The same, for who waits for a host. True: there is more room than before. */
  noteRoom(boundary: Boundary, host: string, value: Uint8Array | undefined): boolean {
    const known = this.#known(boundary, host);
    const before = roomOf(known.shown());
    known.hear(value);
    return roomOf(known.facts(this.#clock.now())) > before;
  }

  /** The choice for a configuration, as far as is known here. */
  choose(boundary: Boundary, config: PolicyConfig): HostChoice {
    const now = this.#clock.now();
    return chooseHost(
      config,
      Array.from(this.#hosts(boundary).values(), (known) => known.facts(now)),
    );
  }

  /** The process of a host that was there until then is being stopped: it is given nothing more, until another one is heard of. */
  leaving(boundary: Boundary, host: string, at: number): void {
    this.#known(boundary, host).leaving(at);
  }

  /** A start was given to a host. */
  give(boundary: Boundary, host: string, start: { readonly spawnId: string; readonly policy: string }): void {
    this.#known(boundary, host).give(start.spawnId, { policy: start.policy, at: this.#clock.now() });
  }

  /**
   * The policy has had nobody there since then: a start that was over before its host's next word is in none of them, for words come
   * together. True: there is more room than before.
   */
  over(boundary: Boundary, host: string, policy: string, sinceMs: number): boolean {
    return this.#hosts(boundary).get(host)?.over({ policy, at: sinceMs }) === true;
  }

  /** It came to nothing. */
  takeBack(boundary: Boundary, host: string, spawnId: string): void {
    this.#hosts(boundary).get(host)?.takeBack(spawnId);
  }

  /** Names of hosts that are online on record and whose word has not come yet: words come together, a little late. */
  unheard(boundary: Boundary): readonly string[] {
    return [...this.#hosts(boundary)].flatMap(([host, known]) => (known.isUnheard ? [host] : []));
  }

  isOnline(boundary: Boundary, host: string): boolean {
    return this.#hosts(boundary).get(host)?.isOnline === true;
  }

  #hosts({ tenant, project }: Boundary): Map<string, Known> {
    const key = `${tenant}.${project}`;
    const known = this.#boundaries.get(key) ?? new Map<string, Known>();
    this.#boundaries.set(key, known);
    return known;
  }

  #known(boundary: Boundary, host: string): Known {
    const hosts = this.#hosts(boundary);
    const known = hosts.get(host) ?? new Known(host);
    hosts.set(host, known);
    return known;
  }
}
