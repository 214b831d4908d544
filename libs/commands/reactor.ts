// Reactors: what follows from an event in other aggregates. At least once in, exactly once out: every entry that a reactor
// appends has an id derived from the event that caused it, so a repeated delivery appends nothing new, and a delivery that
// comes after the log's duplicate window looks for its own entry first. Used as the handler of a consumer.
// Does not decide: a reaction is a pure function of one event.
import { Fault } from '#libs/kernel/fault.ts';
import { type Handled, ok } from '#libs/consumers/disposition.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, Headers, StoredEntry } from '#libs/ports/event-log.ts';

/** One entry that follows from an event. */
export interface Reaction {
  /** Name of the log in {@link ReactorHandlerOptions.logs}. */
  readonly log: string;
  readonly subject: string;
  readonly body: Uint8Array;
  /** Where the subject has a single writer or must be empty (0). Leave it out where several events write to one subject. */
  readonly expectedSeq?: number;
  /** What a conflict with `expectedSeq` means: `done` – someone has done it already; `fail` (default) – park the event. */
  readonly onConflict?: 'done' | 'fail';
}

/** What the headers of a reaction are built from. */
interface ReactionContext {
  /** The derived id: `<source event id>:<reactor>`, with `:<n>` from the second reaction of one event on. */
  readonly id: string;
  /** Id of the event that caused it. */
  readonly causation: string;
  readonly source: StoredEntry;
}

export interface Reactor<Event> {
  /** Part of every derived id: it never changes. */
  readonly name: string;
  /** The entries that follow from an event, always the same ones in the same order. Pure. */
  readonly react: (event: Event, source: StoredEntry) => readonly Reaction[];
  /** Headers of a reaction, without `Nats-Msg-Id`. Pure. */
  readonly headers: (event: Event, reaction: Reaction, context: ReactionContext) => Headers;
}

export interface ReactorHandlerOptions<Event> {
  readonly reactor: Reactor<Event>;
  readonly logs: Readonly<Record<string, EventLog>>;
  readonly clock: Clock;
  /** Duplicate window of the logs: events older than half of it are looked up before they are appended. Default 120,000 ms. */
  readonly duplicateWindowMs?: number;
}

/** The identity function, for inference of the event type. */
export const defineReactor = <Event>(reactor: Reactor<Event>): Reactor<Event> => reactor;

const MESSAGE_ID = 'Nats-Msg-Id';

/** The id by which an entry causes others: its dedup id, or its place when it has none. */
const sourceIdOf = (stream: string, entry: StoredEntry): string =>
  entry.headers[MESSAGE_ID] ?? `${stream}:${entry.seq}`;

const isStoredAlready = async (
  log: EventLog,
  reaction: Reaction,
  wanted: { readonly id: string; readonly sinceMs: number },
): Promise<boolean> => {
  const { id, sinceMs } = wanted;
  // Nothing that follows from the event can be older than the event itself.
  const entries = log.replay({ from: { atMs: sinceMs }, subjects: [reaction.subject] });
  for await (const entry of entries) if (entry.headers[MESSAGE_ID] === id) return true;
  return false;
};

/** Clocks of two logs on different brokers may differ by this much. */
const CLOCK_SKEW_MS = 5000;

/**
 * The handler of a consumer of `stream`. Reactions of one event are appended in order; a fault leaves the rest to the
 * repeated delivery. Throws the logs' faults, `REACTION_CONFLICTED` (never) and `REACTOR_LOG_UNKNOWN` (never).
 */
export const createReactorHandler = <Event>(
  stream: string,
  options: ReactorHandlerOptions<Event>,
): ((event: Event, context: { readonly entry: StoredEntry }) => Promise<Handled>) => {
  const { reactor, logs, clock } = options;
  const windowMs = options.duplicateWindowMs ?? 120_000;

  const append = async (reaction: Reaction, event: Event, context: ReactionContext): Promise<void> => {
    const log = logs[reaction.log];
    if (log === undefined)
      throw new Fault({
        code: 'REACTOR_LOG_UNKNOWN',
        retry: 'never',
        message: `reactor ${reactor.name} has no log named ${reaction.log}`,
      });
    const { id, source } = context;
    const sinceMs = source.storedAt - CLOCK_SKEW_MS;
    const isOld = clock.now() - source.storedAt > windowMs / 2;
    if (isOld && (await isStoredAlready(log, reaction, { id, sinceMs }))) return;
    const { subject, body, expectedSeq } = reaction;
    const headers = reactor.headers(event, reaction, context);
    const outcome = await log.append({
      subject,
      id,
      headers,
      body,
      ...(expectedSeq === undefined ? {} : { expectedSeq }),
    });
    if (outcome.kind === 'appended' || reaction.onConflict === 'done') return;
    throw new Fault({
      code: 'REACTION_CONFLICTED',
      retry: 'never',
      message: `${id} expected ${subject} at ${outcome.expectedSeq}; it is at ${outcome.actualSeq}`,
      detail: { subject, expectedSeq: outcome.expectedSeq, actualSeq: outcome.actualSeq },
    });
  };

  return async (event, { entry }) => {
    const causation = sourceIdOf(stream, entry);
    let at = 0;
    for (const reaction of reactor.react(event, entry)) {
      at += 1;
      const id = at === 1 ? `${causation}:${reactor.name}` : `${causation}:${reactor.name}:${at}`;
      await append(reaction, event, { id, causation, source: entry });
    }
    return ok;
  };
};
