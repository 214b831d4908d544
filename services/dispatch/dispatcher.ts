// One life of a dispatcher: takes the state of the fleet up from the summaries and the log, then follows the log and the presence of
// runners, and hands tasks over as they can go. Everything is pushed; nothing is polled. Ends when the signal aborts, or with the
// first fault; its supervisor starts the next life. Any number of dispatchers may live at once: each hand-over is fenced.
import type { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { presenceSchema } from '#streams/buckets.ts';
import type { WaitingLine } from '#streams/dispatch-requests.ts';
import { parseJson } from '#streams/entry.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { AskTasks } from './ask-tasks.ts';
import type { Departures } from './departures.ts';
import { FleetLog } from './fleet-log.ts';
import { Hall } from './hall.ts';
import type { Limits } from './limits.policy.ts';
import type { RunnerFacts } from './runners.policy.ts';
import { readSummaries } from './summaries.ts';
import { explainWaiting } from './why.policy.ts';

export interface DispatcherParts {
  /** The log of TRANSITIONS. */
  readonly log: EventLog;
  readonly bucket: (name: string) => KeyValue;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly ask: AskTasks;
  readonly limits: Limits;
  readonly recallAfterMs: number;
  readonly departures: Pick<Departures, 'follow'>;
  readonly maxKeys: number;
  readonly onTrouble: (fault: Fault) => void;
  readonly onSetAside: (taskId: string) => void;
  readonly onUnreadable: (entry: StoredEntry, problem: string) => void;
  /** From now on what can go goes; `explain` says why the rest does not. */
  readonly onReady: (explain: Explain) => void;
}

/** Why the first tasks of the queues (or of one) wait. */
export type Explain = (boundary: Boundary, queue?: string) => readonly WaitingLine[];

/** The agent of a presence key (`<tenant>.<project>.runner.<agent>`), or undefined. */
const parsePresenceKey = (
  key: string,
): { readonly boundary: Boundary; readonly agent: string } | undefined => {
  const [tenant, project, kind, agent, ...rest] = key.split('.');
  if (tenant === undefined || project === undefined || agent === undefined) return undefined;
  return kind === 'runner' && rest.length === 0 ? { boundary: { tenant, project }, agent } : undefined;
};

const keyOf = ({ tenant, project }: Boundary, agent: string): string => `${tenant}.${project}.${agent}`;

const factsOf = (value: Uint8Array): RunnerFacts | undefined => {
  const parsed = presenceSchema.safeParse(parseJson(value));
  if (!parsed.success) return undefined;
  const { providers, labels = [], slots = 1, machine, host: managedBy, account, startedAt } = parsed.data;
  return {
    providers,
    labels,
    slots,
    startedAt,
    ...(machine && { host: { ...machine, name: managedBy ?? machine.name } }),
    ...(account !== undefined && { account }),
  };
};

class Dispatcher {
  readonly #parts: DispatcherParts;
  readonly #fleet: FleetLog;
  readonly #halls = new Map<string, Hall>();
  readonly #ending = new AbortController();
  readonly #failure = Promise.withResolvers<never>();
  readonly #presence = Promise.withResolvers<void>();
  readonly #name: string;
  /** Whose connection has ended while its last word counts, by boundary and agent. */
  readonly #left = new Map<
    string,
    { readonly boundary: Boundary; readonly agent: string; readonly facts: RunnerFacts }
  >();
  /** Nothing is decided before the past is known and who is there. */
  #isReady = false;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.#name = `dispatch-${parts.ids.ulid()}`;
    this.#failure.promise.catch(() => undefined);
    this.#fleet = new FleetLog({
      log: parts.log,
      onUnreadable: parts.onUnreadable,
      onApplied: ({ boundary, assignedTo }) => {
        if (!this.#isReady) return;
        const hall = this.#hall(boundary);
        if (assignedTo !== undefined) hall.watchAbsence(assignedTo);
        hall.wake();
      },
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#ending.abort();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const living = this.#live(this.#ending.signal);
    try {
      await Promise.race([living, this.#failure.promise]);
    } finally {
      signal.removeEventListener('abort', stop);
      stop();
      this.#fleet.end();
      await Promise.allSettled([living, ...[...this.#halls.values()].map((hall) => hall.stopped())]);
    }
  }

  async #live(signal: AbortSignal): Promise<void> {
    await this.#fleet.restore(await readSummaries(this.#parts, signal));
    if (signal.aborted) return;
    this.#parts.departures.follow(
      { gone: (agent) => this.#noteGone(agent), back: (agent) => this.#noteBack(agent) },
      signal,
    );
    const living = Promise.all([this.#fleet.follow(signal), this.#watchPresence(signal)]);
    await Promise.race([Promise.all([this.#fleet.known, this.#presence.promise]), living]);
    if (signal.aborted) return void (await living);
    this.#isReady = true;
    this.#parts.onReady((boundary, queue) =>
      explainWaiting(this.#fleet.board(boundary), this.#parts.limits, queue),
    );
    for (const boundary of this.#fleet.boundaries()) {
      const hall = this.#hall(boundary);
      for (const { agent } of this.#fleet.board(boundary).active()) hall.watchAbsence(agent);
      hall.wake();
    }
    await living;
  }

  async #watchPresence(signal: AbortSignal): Promise<void> {
    for await (const event of this.#parts.bucket('presence').watch({ signal })) {
      if (event.kind === 'current') {
        this.#presence.resolve();
        continue;
      }
      const place = parsePresenceKey(event.kind === 'put' ? event.entry.key : event.key);
      if (place === undefined) continue;
      const facts = event.kind === 'put' ? factsOf(event.entry.value) : undefined;
      this.#note(place, facts);
    }
  }

  #note(
    { boundary, agent }: { readonly boundary: Boundary; readonly agent: string },
    facts: RunnerFacts | undefined,
  ): void {
    const { runners } = this.#fleet.board(boundary);
    this.#left.delete(keyOf(boundary, agent));
    if (facts === undefined) runners.gone(agent);
    else runners.present(agent, facts);
    if (!this.#isReady) return;
    const hall = this.#hall(boundary);
    if (facts === undefined) hall.watchAbsence(agent);
    else hall.wake();
  }

  /** Its last word would count for long yet: it is not believed while it is away. */
  #noteGone(agent: string): void {
    for (const boundary of this.#fleet.boundaries()) {
      const { runners } = this.#fleet.board(boundary);
      const facts = runners.factsOf(agent);
      if (facts === undefined) continue;
      runners.gone(agent);
      this.#left.set(keyOf(boundary, agent), { boundary, agent, facts });
      if (this.#isReady) this.#hall(boundary).recallFrom(agent);
    }
  }

  #noteBack(agent: string): void {
    for (const one of this.#left.values()) if (one.agent === agent) this.#note(one, one.facts);
  }

  #hall(boundary: Boundary): Hall {
    const key = `${boundary.tenant}.${boundary.project}`;
    const known = this.#halls.get(key);
    if (known !== undefined) return known;
    const { ask, limits, clock, ids, recallAfterMs, onTrouble, onSetAside } = this.#parts;
    const made = new Hall({
      boundary,
      board: this.#fleet.board(boundary),
      limits,
      ask,
      dispatcher: this.#name,
      clock,
      ids,
      recallAfterMs,
      reached: (seq) => this.#fleet.reached(seq),
      signal: this.#ending.signal,
      onTrouble,
      onSetAside,
      onFailure: this.#failure.reject,
    });
    this.#halls.set(key, made);
    return made;
  }
}

/** Lives until the signal aborts. Faults: those of log, buckets and requests that waiting here does not help. */
export const runDispatcher = (parts: DispatcherParts, signal: AbortSignal): Promise<void> =>
  new Dispatcher(parts).run(signal);
