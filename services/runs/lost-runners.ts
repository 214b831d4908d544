// Takes the runs of tasks back from runners that are gone, long before their leases would be over: a connection that has ended and does not
// come back, or a busy runner that falls silent. It only takes the lease key away, at the fence that it has seen: what that means is
// decided as for any lost lease (lost-leases.ts), and a runner that was alive after all is fenced off. Runs that are no attempts of tasks are left
// to their leases: nobody else can do them, and their runner may come back.
//
// connection ended ─ graceMs ─→ gone, unless one was made meanwhile
// silent: its presence key expired ─→ gone, if the broker has answered this process without a pause since its last word (steady-broker.ts)
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { presenceSchema, presenceKey, type Presence } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import type { AgentPlace, Boundary } from '#streams/subjects.ts';
import type { Leases } from './leases.ts';
import { isHeld } from './run-state.policy.ts';
import type { RunLog } from './run-log.ts';
import { Graces } from '#libs/service/graces.ts';
import type { SteadyBroker } from '#libs/service/steady-broker.ts';
import type { UnfinishedRuns } from './unfinished-runs.ts';

interface Parts {
  readonly runLog: RunLog;
  readonly leases: Leases;
  readonly unfinished: Pick<UnfinishedRuns, 'held'>;
  /** Looks after a run whose lease is gone. */
  readonly look: (boundary: Boundary, runId: string) => Promise<void>;
  /** The bucket of that name. */
  readonly presence: KeyValue;
  readonly steady: SteadyBroker;
  readonly clock: Clock;
  /** How long an ended connection may stay away. */
  readonly graceMs: number;
  readonly onGone: (agent: string, why: string, runs: number) => void;
  readonly onTrouble: (agent: string, fault: Fault) => void;
}

export interface LostRunners {
  /** The broker says that a runner's connection was made. */
  connected(agent: string): void;
  /** The broker says that a runner's connection has ended. */
  disconnected(agent: string): void;
  /** Follows the presence of runners until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
}

/** The last word of a runner, and when it came to this process (monotonic ms). */
interface Word {
  readonly presence: Presence;
  readonly heardMs: number;
}

/** The agent of a presence key (`<tenant>.<project>.runner.<agent>`), or undefined. */
const placeOf = (key: string): AgentPlace | undefined => {
  const [tenant, project, kind, agent, ...rest] = key.split('.');
  if (tenant === undefined || project === undefined || agent === undefined) return undefined;
  return kind === 'runner' && rest.length === 0 ? { tenant, project, agent } : undefined;
};

const presenceOf = (value: Uint8Array): Presence | undefined =>
  presenceSchema.safeParse(parseJson(value)).data;

class RunnerWatch implements LostRunners {
  readonly #parts: Parts;
  readonly #graces: Graces;
  /** Who was heard of since this process listens: about others an expired key says nothing. */
  readonly #heard = new Map<string, Word>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#graces = new Graces(
      parts.clock,
      parts.graceMs,
      (agent) => void this.#tryToTake(agent, 'its connection to the broker has ended'),
    );
  }

  connected(agent: string): void {
    this.#graces.end(agent);
  }

  disconnected(agent: string): void {
    this.#graces.begin(agent);
  }

  async watch(signal: AbortSignal): Promise<void> {
    this.#heard.clear();
    const stop = (): void => this.#graces.clear();
    signal.addEventListener('abort', stop, { once: true });
    for await (const event of this.#parts.presence.watch({ signal })) {
      if (event.kind === 'current') continue;
      const key = event.kind === 'put' ? event.entry.key : event.key;
      const place = placeOf(key);
      if (place === undefined) continue;
      const told = event.kind === 'put' ? presenceOf(event.entry.value) : undefined;
      const last = this.#heard.get(key);
      const heardMs = this.#parts.clock.monotonicMs();
      if (told !== undefined) this.#heard.set(key, { presence: told, heardMs });
      else this.#heard.delete(key);
      if (event.kind === 'expired' && last !== undefined) void this.#suspect(place, last);
    }
  }

  /** It has not said a word for its time. When the broker was away, everybody was silent: then each gets its time once more. */
  async #suspect(place: AgentPlace, { presence: { runnerId }, heardMs }: Word): Promise<void> {
    const { steady, presence } = this.#parts;
    try {
      if (
        !(await steady.wasSteady(heardMs)) &&
        (await presence.get(presenceKey(place, place.agent))) !== undefined
      )
        return;
      await this.#take(place.agent, 'it has not been heard of', (other) => other === runnerId);
    } catch (error) {
      this.#parts.onTrouble(place.agent, toFault(error));
    }
  }

  async #tryToTake(agent: string, why: string): Promise<void> {
    try {
      await this.#take(agent, why, () => true);
    } catch (error) {
      // The leases of its runs are over in time.
      this.#parts.onTrouble(agent, toFault(error));
    }
  }

  async #take(agent: string, why: string, isItself: (runnerId: string) => boolean): Promise<void> {
    const { unfinished, runLog, leases, look, onGone } = this.#parts;
    let taken = 0;
    for (const { boundary, runId, agent: holder } of unfinished.held()) {
      if (holder !== agent) continue;
      const { state: run } = await runLog.load({ boundary, runId, actor: 'service:runs' });
      if (run?.created.task === undefined || !isHeld(run) || !isItself(run.runnerId ?? '')) continue;
      // Before its runs: whoever hands them out again must not give them to it.
      await this.#forget({ ...boundary, agent }, run.runnerId ?? '');
      await leases.remove(boundary, runId, run.claims);
      await look(boundary, runId);
      taken += 1;
    }
    if (taken > 0) onGone(agent, why, taken);
  }

  /** It is not there, and says so again if it is. */
  async #forget(place: AgentPlace, runnerId: string): Promise<void> {
    const { presence } = this.#parts;
    const key = presenceKey(place, place.agent);
    const entry = await presence.get(key);
    if (entry === undefined || presenceOf(entry.value)?.runnerId !== runnerId) return;
    await presence.delete(key, { expectedRevision: entry.revision });
  }
}

export const createLostRunners = (parts: Parts): LostRunners => new RunnerWatch(parts);
