// The way of every command: load → fold → decide → append at the expected sequence, again with a fresh history when
// another writer was faster. One command appends at most one event. A command repeated with the same id (after a lost
// answer, a crash, a redelivery) gives the answer of the first time, with the event and sequence that are in the log.
// Does not authorize, does not validate input, and keeps no receipts: a refusal is decided anew when it is repeated.
//
// Faults that surface: those of the log (`LOG_UNAVAILABLE`: the event may or may not be stored, repeat with the same id),
// `COMMAND_CONTENDED` (now: other writers won every try), `AGGREGATE_UNREADABLE` (never: an entry of the history cannot be
// decoded; nothing was decided). Whatever decider, codec or fold throw surfaces as it is.
import type { Decider, Decision, DecisionContext } from '#libs/kernel/decider.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Rejection } from '#libs/kernel/rejection.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { AppendOutcome, EventLog, Headers, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import {
  createHistoryCache,
  emptyHistory,
  extendHistory,
  type History,
  type HistoryCache,
} from './history-cache.ts';
import { createSubjectTurns } from './subject-turns.ts';

/** What is known of the event that is being written. */
interface EventContext<Target> extends DecisionContext {
  readonly target: Target;
  readonly subject: string;
  /** The event's id: its `Nats-Msg-Id`, and what its envelope should carry as `ce-id`. */
  readonly id: string;
  /** Id of the command, as given to `handle`. */
  readonly commandId: string;
}

export interface CommandHandlerOptions<Target, Command, Event, State, Code extends string> {
  /** The stream that holds the aggregates. */
  readonly log: EventLog;
  readonly decider: Decider<Command, Event, State, Code>;
  /** The one literal subject of the aggregate. */
  readonly subjectOf: (target: Target) => string;
  /** Headers (without `Nats-Msg-Id`) and body of an event. Pure. */
  readonly encode: (
    event: Event,
    context: EventContext<Target>,
  ) => { readonly headers: Headers; readonly body: Uint8Array };
  /** The event of an entry, or undefined for an entry that changes nothing. Throws for what cannot be read. */
  readonly decodeEntry: (entry: StoredEntry) => Event | undefined;
  readonly clock: Clock;
  readonly ids: Ids;
  /** The event's id, from the command's alone (so that a repeat is the same append); default: the command's id itself. */
  readonly eventId?: (commandId: string) => string;
  /** Folded histories kept in memory; 0 keeps none. Default 10,000. */
  readonly cacheSize?: number;
  /** Bytes of events that the kept histories were folded from, together; default 64 MiB. */
  readonly cacheBytes?: number;
  /** Tries before other writers have won; default 8. */
  readonly maxTries?: number;
}

interface CommandOptions {
  /** Fixed where the command was made; the same for every repeat. At most 255 bytes. */
  readonly id: string;
  /** What the decision takes as the present time, epoch ms; default: the clock's. */
  readonly now?: number;
  /**
   * The aggregate most likely does not exist yet: it is not read first. What is decided for an empty one is proven as everything is, by
   * the append or by a look before a refusal is believed.
   */
  readonly begins?: boolean;
}

/** `seq` is the sequence of the event; for `unchanged` and `rejected` that of the last entry that was looked at. */
type CommandOutcome<Event, State, Code extends string> =
  | {
      readonly kind: 'accepted';
      readonly event: Event;
      readonly seq: number;
      /** True when the event had been stored before this call: nothing was appended now. */
      readonly repeated: boolean;
    }
  | { readonly kind: 'unchanged'; readonly state: State; readonly seq: number }
  | { readonly kind: 'rejected'; readonly rejection: Rejection<Code>; readonly seq: number };

export interface CommandHandler<Target, Command, Event, State, Code extends string> {
  /** Commands on one target are taken in the order of the calls. */
  handle(
    target: Target,
    command: Command,
    options: CommandOptions,
  ): Promise<CommandOutcome<Event, State, Code>>;
  /** The state as the log has it now, folded; nothing is decided. */
  load(target: Target): Promise<{ readonly state: State; readonly seq: number }>;
  /** The state as this process saw it last, without a read; undefined: not in memory. May be old: only for what is proven later. */
  remembered(target: Target): { readonly state: State; readonly seq: number } | undefined;
  /** Takes note of an event that was appended past this handler, in a batch with others, so that what comes next need not read it. */
  noteAppended(target: Target, appended: Appended<Event>): Promise<void>;
}

/** An event that the log has taken at `seq`, `afterSeq` being the last of its subject before. */
interface Appended<Event> {
  readonly event: Event;
  readonly id: string;
  readonly seq: number;
  readonly afterSeq: number;
  /** Of its body. */
  readonly bytes: number;
}

/** One command on its way. */
interface Work<Target, Command> {
  readonly target: Target;
  readonly command: Command;
  readonly subject: string;
  readonly context: EventContext<Target>;
  readonly begins: boolean;
}

const MESSAGE_ID = 'Nats-Msg-Id';
const CACHE_BYTES = 64 * 1024 * 1024;
/** Longest wait between two tries; the first repeat comes at once. */
const MAX_PAUSE_MS = 40;

class Handler<Target, Command, Event, State, Code extends string> implements CommandHandler<
  Target,
  Command,
  Event,
  State,
  Code
> {
  readonly #options: CommandHandlerOptions<Target, Command, Event, State, Code>;
  readonly #cache: HistoryCache<State>;
  readonly #turns = createSubjectTurns();
  readonly #maxTries: number;

  constructor(options: CommandHandlerOptions<Target, Command, Event, State, Code>) {
    this.#options = options;
    this.#cache = createHistoryCache(options.cacheSize ?? 10_000, options.cacheBytes ?? CACHE_BYTES);
    this.#maxTries = options.maxTries ?? 8;
  }

  handle(
    target: Target,
    command: Command,
    options: CommandOptions,
  ): Promise<CommandOutcome<Event, State, Code>> {
    const { subjectOf, eventId, clock } = this.#options;
    const subject = subjectOf(target);
    const id = eventId === undefined ? options.id : eventId(options.id);
    // One time for all tries: a decision that is repeated after a conflict is the same decision on newer facts.
    const context = { target, subject, id, commandId: options.id, now: options.now ?? clock.now() };
    const work = { target, command, subject, context, begins: options.begins ?? false };
    return this.#turns.take(subject, () => this.#carryOut(work));
  }

  load(target: Target): Promise<{ readonly state: State; readonly seq: number }> {
    const subject = this.#options.subjectOf(target);
    return this.#turns.take(subject, async () => {
      const { state, seq } = await this.#caughtUp(subject);
      return { state, seq };
    });
  }

  remembered(target: Target): { readonly state: State; readonly seq: number } | undefined {
    return this.#cache.get(this.#options.subjectOf(target));
  }

  noteAppended(target: Target, { event, afterSeq, ...next }: Appended<Event>): Promise<void> {
    const subject = this.#options.subjectOf(target);
    return this.#turns.take(subject, async () => {
      const history = this.#cache.get(subject);
      if (history?.seq !== afterSeq) return;
      const state = this.#options.decider.evolve(history.state, event);
      this.#cache.set(subject, extendHistory(history, { ...next, state }));
    });
  }

  async #carryOut(work: Work<Target, Command>): Promise<CommandOutcome<Event, State, Code>> {
    try {
      return await this.#tries(work);
    } catch (error) {
      // Whether something was stored is not known: the next command looks.
      this.#cache.drop(work.subject);
      throw error;
    }
  }

  async #tries(work: Work<Target, Command>): Promise<CommandOutcome<Event, State, Code>> {
    const { clock, ids, decider } = this.#options;
    const { subject, context, begins } = work;
    let history =
      this.#cache.get(subject) ?? (begins ? emptyHistory(decider.initial) : await this.#caughtUp(subject));
    for (let tries = 1; tries <= this.#maxTries; tries += 1) {
      const seq = history.ids.get(context.id);
      if (seq !== undefined) return this.#stored(subject, seq);
      const decision = decider.decide(work.command, history.state, { now: context.now });
      const outcome =
        decision.kind === 'accepted'
          ? await this.#append(work, history, decision.event)
          : await this.#proveRefusal(work, history, decision);
      if (outcome !== undefined) return outcome;
      if (tries > 1) await clock.sleep(ids.random() * Math.min(MAX_PAUSE_MS, 2 ** tries));
      history = await this.#caughtUp(subject);
    }
    throw new Fault({
      code: 'COMMAND_CONTENDED',
      retry: 'now',
      message: `other writers of ${subject} won ${this.#maxTries} tries in a row`,
      detail: { subject },
    });
  }

  async #append(
    { subject, context }: Work<Target, Command>,
    history: History<State>,
    event: Event,
  ): Promise<CommandOutcome<Event, State, Code> | undefined> {
    const { log, encode, decider } = this.#options;
    const { headers, body } = encode(event, context);
    const { id } = context;
    const outcome: AppendOutcome = await log.append({ subject, id, headers, body, expectedSeq: history.seq });
    if (outcome.kind === 'conflict') return undefined;
    const { seq } = outcome;
    if (outcome.duplicate) return this.#stored(subject, seq);
    const state = decider.evolve(history.state, event);
    this.#cache.set(subject, extendHistory(history, { state, seq, id, bytes: body.byteLength }));
    return { kind: 'accepted', event, seq, repeated: false };
  }

  /** The event that is in the log; what was decided now may differ from it (another time, another state). */
  async #stored(subject: string, seq: number): Promise<CommandOutcome<Event, State, Code>> {
    this.#cache.drop(subject);
    for await (const entry of this.#options.log.read(subject, seq)) {
      const event = entry.seq === seq ? this.#decode(entry) : undefined;
      if (event === undefined) break;
      return { kind: 'accepted', event, seq, repeated: true };
    }
    throw new Fault({
      code: 'EVENT_MISSING',
      retry: 'never',
      message: `entry ${seq} should be an event of ${subject}, and is not: the id was used elsewhere`,
      detail: { subject, seq },
    });
  }

  /**
   * A refusal appends nothing that would prove the history to be the newest: the log is asked before it is believed.
   * Undefined when the history is old. A repeat of a command that was accepted so long ago that its id is not remembered
   * is found in the log, too.
   */
  async #proveRefusal(
    { subject, context }: Work<Target, Command>,
    history: History<State>,
    decision: Exclude<Decision<Event, Code>, { readonly kind: 'accepted' }>,
  ): Promise<CommandOutcome<Event, State, Code> | undefined> {
    const { log } = this.#options;
    const { seq, state } = history;
    if (((await log.last(subject))?.seq ?? 0) !== seq) return undefined;
    if (history.forgets) {
      for await (const entry of log.read(subject))
        if (entry.headers[MESSAGE_ID] === context.id) return this.#stored(subject, entry.seq);
    }
    return decision.kind === 'unchanged'
      ? { kind: 'unchanged', state, seq }
      : { kind: 'rejected', rejection: decision.rejection, seq };
  }

  /** Folds what the log has beyond the cached history, or all of it. */
  async #caughtUp(subject: string): Promise<History<State>> {
    const { log, decider } = this.#options;
    let history = this.#cache.get(subject) ?? emptyHistory(decider.initial);
    // Out while it grows: the map of ids is changed in place.
    this.#cache.drop(subject);
    for await (const entry of log.read(subject, history.seq + 1)) {
      const event = this.#decode(entry);
      const state = event === undefined ? history.state : decider.evolve(history.state, event);
      const { seq, headers, body } = entry;
      history = extendHistory(history, { state, seq, id: headers[MESSAGE_ID], bytes: body.byteLength });
    }
    this.#cache.set(subject, history);
    return history;
  }

  #decode(entry: StoredEntry): Event | undefined {
    try {
      return this.#options.decodeEntry(entry);
    } catch (cause) {
      const { seq, subject } = entry;
      throw new Fault({
        code: 'AGGREGATE_UNREADABLE',
        retry: 'never',
        message: `entry ${seq} of ${subject} cannot be read`,
        detail: { subject, seq },
        cause,
      });
    }
  }
}

/** Builds the handler of one kind of aggregate. One instance per process and log: it caches and orders by subject. */
export const createCommandHandler = <Target, Command, Event, State, Code extends string>(
  options: CommandHandlerOptions<Target, Command, Event, State, Code>,
): CommandHandler<Target, Command, Event, State, Code> => new Handler(options);
