// The way of every command: load → fold → decide → append at the expected sequence, again with a fresh history when
// another writer was faster. One command appends at most one event. A command repeated with the same id (after a lost
// answer, a crash, a redelivery) gives the answer of the first time, with the event and sequence that are in the log.
// Evidence that a command carries is judged again with it: where that may be wrong, `handleAt` ends the tries (see CommandHandler).
// Does not authorize, does not validate input, and keeps no receipts: a refusal is decided anew when it is repeated.
//
// Faults that surface: those of the log (`LOG_UNAVAILABLE`: the event may or may not be stored, repeat with the same id),
// `COMMAND_CONTENDED` (now: other writers won every try), `AGGREGATE_UNREADABLE` (never: an entry of the history cannot be
// decoded; nothing was decided). Whatever decider, codec or fold throw surfaces as it is.
import type { Decision } from '#libs/kernel/decider.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { AppendOutcome, StoredEntry } from '#libs/ports/event-log.ts';
import type {
  Appended,
  CommandHandler,
  CommandHandlerOptions,
  CommandOptions,
  CommandOutcome,
  EventContext,
  Known,
  Moved,
} from './command-handler.ts';
import {
  createHistoryCache,
  emptyHistory,
  extendHistory,
  type History,
  type HistoryCache,
} from './history-cache.ts';
import { createSubjectTurns } from './subject-turns.ts';

/** One command on its way. */
interface Work<Target, Command> {
  readonly target: Target;
  readonly command: Command;
  readonly subject: string;
  readonly context: EventContext<Target>;
  readonly begins: boolean;
  /** The only history that it is decided against; undefined: whatever is the newest. */
  readonly onlyAt?: number;
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
    const work = this.#workOf(target, command, options);
    // Moved from what nobody has named it cannot have.
    return this.#turns.take(work.subject, () => this.#carryOut(work)) as Promise<
      CommandOutcome<Event, State, Code>
    >;
  }

  handleAt(
    seq: number,
    target: Target,
    command: Command,
    options: CommandOptions,
  ): Promise<CommandOutcome<Event, State, Code> | Moved<State>> {
    const work = { ...this.#workOf(target, command, options), onlyAt: seq };
    return this.#turns.take(work.subject, () => this.#carryOut(work));
  }

  #workOf(target: Target, command: Command, options: CommandOptions): Work<Target, Command> {
    const { subjectOf, eventId, clock } = this.#options;
    const subject = subjectOf(target);
    const id = eventId === undefined ? options.id : eventId(options.id);
    // One time for all tries: a decision that is repeated after a conflict is the same decision on newer facts.
    const context = { target, subject, id, commandId: options.id, now: options.now ?? clock.now() };
    return { target, command, subject, context, begins: options.begins ?? false };
  }

  load(target: Target): Promise<Known<State>> {
    const subject = this.#options.subjectOf(target);
    return this.#turns.take(subject, async () => {
      const { state, seq } = await this.#caughtUp(subject);
      return { state, seq };
    });
  }

  remembered(target: Target): Known<State> | undefined {
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

  async #carryOut(work: Work<Target, Command>): Promise<CommandOutcome<Event, State, Code> | Moved<State>> {
    try {
      return await this.#tries(work);
    } catch (error) {
      // Whether something was stored is not known: the next command looks.
      this.#cache.drop(work.subject);
      throw error;
    }
  }

  async #tries(work: Work<Target, Command>): Promise<CommandOutcome<Event, State, Code> | Moved<State>> {
    const { clock, ids, decider } = this.#options;
    const { subject, context, onlyAt } = work;
    let history = await this.#known(work);
    for (let tries = 1; tries <= this.#maxTries; tries += 1) {
      const seq = history.ids.get(context.id);
      if (seq !== undefined) return this.#stored(subject, seq);
      if (onlyAt !== undefined && history.seq !== onlyAt)
        return { kind: 'moved', state: history.state, seq: history.seq };
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

  /** What to begin with: from memory, unless that is older than what the evidence was looked up for. */
  async #known({ subject, begins, onlyAt = 0 }: Work<Target, Command>): Promise<History<State>> {
    const known = this.#cache.get(subject);
    if (known !== undefined && known.seq >= onlyAt) return known;
    return begins ? emptyHistory(this.#options.decider.initial) : this.#caughtUp(subject);
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
      if (entry.seq !== seq) break;
      const event = this.#decode(entry);
      if (event === undefined) throw newerAnswer(subject, seq);
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

/** A newer version has answered, and can again: in the middle of an update it is the next one to be asked. */
const newerAnswer = (subject: string, seq: number): Fault =>
  new Fault({
    code: 'EVENT_NEWER',
    retry: 'later',
    message: `what was answered to this id, entry ${seq} of ${subject}, is of a type that this version does not know`,
    detail: { subject, seq },
  });

/** Builds the handler of one kind of aggregate. One instance per process and log: it caches and orders by subject. */
export const createCommandHandler = <Target, Command, Event, State, Code extends string>(
  options: CommandHandlerOptions<Target, Command, Event, State, Code>,
): CommandHandler<Target, Command, Event, State, Code> => new Handler(options);
