// What is pushed and no consumer brings: runners and hosts that appear and fall silent, and what stood when this instance began. Each is
// one look at the policies that it concerns. Runs until its signal aborts; its supervisor starts it again after a fault.
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue, WatchEvent, WatchOptions } from '#libs/ports/key-value.ts';
import type { SteadyBroker } from '#libs/service/steady-broker.ts';
import { POSITION_KEY } from '#libs/projections/position.ts';
import { presenceKey, presenceSchema } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import type { Boundary } from '#streams/subjects.ts';
import { followBucket, isLive, type Directory, type Standing } from './directory.ts';
import type { HostBoard } from './host-board.ts';
import type { Keeper, Place } from './keeper.ts';

export interface LookoutParts {
  readonly bucket: (name: string) => KeyValue;
  readonly directory: Directory;
  readonly hosts: HostBoard;
  readonly keeper: Keeper;
  readonly clock: Clock;
  readonly steady: SteadyBroker;
}

/** Policies looked at at once. */
const WIDTH = 32;

const RUNNERS = ['*.*.runner.*'];
const HOSTS = ['*.*.host.*'];
const KINDS = 2;
/** Hundreds of hosts say every few seconds what they have: nobody waits for that, and who is in need of one asks (see evidence.ts). */
const HOSTS_LATE_MS = 1000;

/** Of `<tenant>.<project>.<kind>.<name>`. */
const parseKey = (key: string) => {
  const [tenant, project, kind, name, ...rest] = key.split('.');
  if (tenant === undefined || project === undefined || name === undefined || rest.length > 0)
    return undefined;
  return kind === 'runner' || kind === 'host' ? { boundary: { tenant, project }, kind, name } : undefined;
};

/** True when the word of a runner is one of the start that is known already: most are, and need not be read. */
const saysAgain = (value: Uint8Array | undefined, spawnId: string | null | undefined): boolean =>
  value !== undefined &&
  typeof spawnId === 'string' &&
  Buffer.from(value.buffer, value.byteOffset, value.byteLength).includes(`"spawnId":"${spawnId}"`);

/** Runs some at once, in the order in which they came; the same policy is asked for once while it waits. */
class Looks {
  readonly #keeper: Keeper;
  readonly #queue = new Map<string, { readonly place: Place; readonly cause: string }>();
  readonly #busy = new Set<Promise<void>>();
  #isOver = false;

  constructor(keeper: Keeper) {
    this.#keeper = keeper;
  }

  add(place: Place, cause: string): void {
    if (this.#isOver) return;
    this.#queue.set(`${place.boundary.tenant}.${place.boundary.project}.${place.policy}`, { place, cause });
    this.#fill();
  }

  async done(): Promise<void> {
    this.#isOver = true;
    this.#queue.clear();
    await Promise.all(this.#busy);
  }

  #fill(): void {
    for (const [key, { place, cause }] of this.#queue) {
      if (this.#busy.size >= WIDTH) return;
      this.#queue.delete(key);
      const work = this.#keeper.tryToConsider(place, { cause }).finally(() => {
        this.#busy.delete(work);
        this.#fill();
      });
      this.#busy.add(work);
    }
  }
}

/** A summary that says that something is under way, or should be: mail wakes by itself, a reset as well. */
const isUnsettled = ({ state }: Standing, mode: string | undefined): boolean =>
  state !== 'failed' && (state !== 'stopped' || mode !== 'on-demand');

class Lookout {
  readonly #parts: LookoutParts;
  readonly #looks: Looks;
  /** By key of its presence: which start a runner said it is. */
  readonly #runners = new Map<string, string | null>();
  /** When each of them spoke last, by the clock that never jumps. */
  readonly #spoke = new Map<string, number>();
  readonly #known = {
    policies: Promise.withResolvers<void>(),
    agents: Promise.withResolvers<void>(),
    hosts: Promise.withResolvers<void>(),
  };

  readonly #beganMs: number;
  /** Kinds of words of which what there was at the start is in. */
  #heard = 0;

  constructor(parts: LookoutParts) {
    this.#parts = parts;
    this.#beganMs = parts.clock.monotonicMs();
    this.#looks = new Looks(parts.keeper);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { bucket } = this.#parts;
    const ending = new AbortController();
    const stop = (): void => ending.abort();
    signal.addEventListener('abort', stop, { once: true });
    ending.signal.addEventListener('abort', () => {
      for (const { resolve } of Object.values(this.#known)) resolve();
    });
    if (signal.aborted) stop();
    const { signal: over } = ending;
    const follow = (name: string, note: (event: WatchEvent) => void): Promise<void> =>
      followBucket(bucket(name), { signal: over }, (event) => {
        if (event.kind !== 'put' || event.entry.key !== POSITION_KEY) note(event);
      });
    const hear = (options: Pick<WatchOptions, 'keys' | 'lateMs'>): Promise<void> =>
      followBucket(bucket('presence'), { ...options, signal: over }, (event) => this.#notePresence(event));
    const watches = [
      follow('policies', (event) =>
        event.kind === 'current' ? this.#known.policies.resolve() : this.#notePolicy(event),
      ),
      follow('hosts', (event) => this.#noteHostView(event)),
      follow('agents', (event) => this.#noteAgent(event)),
    ];
    const all = this.#ready().then(() =>
      over.aborted
        ? undefined
        : Promise.all([hear({ keys: RUNNERS }), hear({ keys: HOSTS, lateMs: HOSTS_LATE_MS })]),
    );
    try {
      await Promise.all([...watches, all].map((watch) => watch.finally(stop)));
    } finally {
      stop();
      await Promise.allSettled([...watches, all]);
      signal.removeEventListener('abort', stop);
      await this.#looks.done();
    }
  }

  /** Resolves when it is known whom a runner concerns. */
  async #ready(): Promise<void> {
    const { policies, agents, hosts } = this.#known;
    await Promise.all([policies.promise, agents.promise, hosts.promise]);
  }

  /** Its runner may have said its word, or a host may have come, before it was known here whom that concerns. */
  #notePolicy(event: WatchEvent): void {
    const { directory } = this.#parts;
    const place = directory.notePolicy(event);
    if (place === undefined || event.kind !== 'put') return;
    const cause = `policy${event.entry.revision}`;
    if (this.#runners.has(presenceKey(place.boundary, place.agent))) this.#looks.add(place, cause);
    const now = directory.standingOf(place);
    if (now?.state === 'waiting-for-host') this.#wakeWaiting(place.boundary, cause, now);
  }

  #noteHostView(event: WatchEvent): void {
    if (event.kind === 'current') return this.#known.hosts.resolve();
    if (event.kind !== 'put') return;
    const noted = this.#parts.hosts.noteView(event.entry.value);
    if (noted !== undefined) this.#wakeWaiting(noted.boundary, `host${event.entry.revision}`);
  }

  #noteAgent(event: WatchEvent): void {
    if (event.kind === 'current') return this.#known.agents.resolve();
    const { directory, hosts, steady } = this.#parts;
    const now = directory.noteAgent(event);
    if (directory.hasLive) steady.isNeededNow();
    if (now === undefined) return;
    if (now.host !== null && !isLive(now) && hosts.over(now.boundary, now.host, now.policy, now.sinceAt))
      this.#wakeWaiting(now.boundary, `over${now.seq}`);
    // A host may have come between the decision to wait for one and its summary.
    if (now.state === 'waiting-for-host') this.#wakeWaiting(now.boundary, `waits${now.seq}`, now);
  }

  #notePresence(event: WatchEvent): void {
    if (event.kind === 'current') return void ((this.#heard += 1) >= KINDS && this.#sweep());
    // Ten thousand runners say a word every few seconds: what most of them say is known, and nothing is made of it.
    if (event.kind === 'put' && saysAgain(event.entry.value, this.#runners.get(event.entry.key)))
      return void this.#spoke.set(event.entry.key, this.#parts.clock.monotonicMs());
    const key = event.kind === 'put' ? event.entry.key : event.key;
    const at = event.kind === 'put' ? event.entry.revision : event.revision;
    const place = parseKey(key);
    if (place === undefined) return;
    const value = event.kind === 'put' ? event.entry.value : undefined;
    if (place.kind === 'host') this.#noteHost(place.boundary, place.name, { value, at });
    else
      this.#noteRunner(place.boundary, {
        key,
        agent: place.name,
        value,
        at,
        isExpired: event.kind === 'expired',
      });
  }

  /** What happened while nobody watched: everything that is under way is looked at once. */
  #sweep(): void {
    const { directory, clock } = this.#parts;
    for (const now of directory.standings()) {
      const config = directory.configOf(now);
      if (!isUnsettled(now, config?.mode)) continue;
      const cause = `start${now.seq}.${clock.now()}`;
      const key = presenceKey(now.boundary, config?.agent ?? now.policy);
      // Nobody knows why it is not to be seen: the broker may have come back just now, as this instance.
      if (now.state === 'running' && !this.#runners.has(key)) void this.#suspect(now, { key, at: cause });
      else this.#looks.add(now, cause);
    }
  }

  #noteHost(
    boundary: Boundary,
    host: string,
    { value, at }: { readonly value: Uint8Array | undefined; readonly at: number },
  ): void {
    const { hosts, directory } = this.#parts;
    if (!directory.hasWaiting) hosts.notePresence(boundary, host, value);
    else if (hosts.noteRoom(boundary, host, value)) this.#wakeWaiting(boundary, `host${host}.${at}`);
    // Stops that its word would have ended are over with it.
    if (value === undefined)
      for (const now of directory.standings())
        if (now.state === 'stopping') this.#looks.add(now, `silent${host}.${at}`);
  }

  /** Looks at those that wait and would be taken now, no more than there is room for. */
  #wakeWaiting(boundary: Boundary, cause: string, only?: Standing): void {
    const { directory, hosts } = this.#parts;
    for (const now of only === undefined ? directory.waiting() : [only]) {
      if (now.boundary.tenant !== boundary.tenant || now.boundary.project !== boundary.project) continue;
      const config = directory.configOf(now);
      const mayBeTaken = (): boolean =>
        hosts.unheard(boundary).length > 0 ||
        (config !== undefined && hosts.choose(boundary, config).kind === 'host');
      if (mayBeTaken()) this.#looks.add(now, cause);
    }
  }

  #noteRunner(
    boundary: Boundary,
    seen: {
      readonly key: string;
      readonly agent: string;
      readonly value: Uint8Array | undefined;
      readonly at: number;
      /** Its word did not come in time. */
      readonly isExpired: boolean;
    },
  ): void {
    if (seen.value !== undefined) this.#spoke.set(seen.key, this.#parts.clock.monotonicMs());
    const parsed = seen.value === undefined ? undefined : presenceSchema.safeParse(parseJson(seen.value));
    if (parsed?.success === true) {
      const spawnId = parsed.data.spawnId ?? null;
      // It says so every few seconds: only a new one is news.
      if (this.#runners.has(seen.key) && this.#runners.get(seen.key) === spawnId) return;
      this.#runners.set(seen.key, spawnId);
    } else this.#runners.delete(seen.key);
    for (const policy of this.#parts.directory.of(boundary, seen.agent)) {
      const place = { boundary, policy };
      if (seen.isExpired) void this.#suspect(place, seen);
      else this.#looks.add(place, `runner${seen.at}`);
    }
  }

  /** A word that did not come in its time says something only if the broker was there to take it: after a pause everybody gets that time again. */
  async #suspect(
    place: Place,
    { key, at }: { readonly key: string; readonly at: number | string },
  ): Promise<void> {
    const spokeMs = this.#spoke.get(key) ?? this.#beganMs;
    this.#spoke.delete(key);
    const isMeant = await this.#parts.steady.wasSteady(spokeMs);
    if (isMeant || !this.#runners.has(key)) this.#looks.add(place, `runner${at}`);
  }
}

/** Follows until the signal aborts. Faults: those of the buckets. */
export const runLookout = (parts: LookoutParts, signal: AbortSignal): Promise<void> =>
  new Lookout(parts).run(signal);
