// What a command handler is: what it is made of, what it is told with a command, what comes of one. The way of a command is
// handle-command.ts.
import type { Decider, DecisionContext } from '#libs/kernel/decider.ts';
import type { Rejection } from '#libs/kernel/rejection.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, Headers, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';

/** What is known of the event that is being written. */
export interface EventContext<Target> extends DecisionContext {
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

export interface CommandOptions {
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
export type CommandOutcome<Event, State, Code extends string> =
  | {
      readonly kind: 'accepted';
      readonly event: Event;
      readonly seq: number;
      /** True when the event had been stored before this call: nothing was appended now. */
      readonly repeated: boolean;
    }
  | { readonly kind: 'unchanged'; readonly state: State; readonly seq: number }
  | { readonly kind: 'rejected'; readonly rejection: Rejection<Code>; readonly seq: number };

/** An aggregate, and the sequence of the last entry that it was folded from. */
export interface Known<State> {
  readonly state: State;
  readonly seq: number;
}

/** The history has gone on since what was looked up: nothing was decided, and this is what it is now. */
export interface Moved<State> extends Known<State> {
  readonly kind: 'moved';
}

export interface CommandHandler<Target, Command, Event, State, Code extends string> {
  /** Commands on one target are taken in the order of the calls. */
  handle(
    target: Target,
    command: Command,
    options: CommandOptions,
  ): Promise<CommandOutcome<Event, State, Code>>;
  /**
   * The same for a command that carries what was looked up elsewhere for the aggregate as it was at `seq` (of `load` or `remembered`):
   * evidence of one state says nothing of the next. Decided only if that is still its last entry; else look again, under the same id.
   */
  handleAt(
    seq: number,
    target: Target,
    command: Command,
    options: CommandOptions,
  ): Promise<CommandOutcome<Event, State, Code> | Moved<State>>;
  /** The state as the log has it now, folded; nothing is decided. */
  load(target: Target): Promise<Known<State>>;
  /** The state as this process saw it last, without a read; undefined: not in memory. May be old: only for what is proven later. */
  remembered(target: Target): Known<State> | undefined;
  /** Takes note of an event that was appended past this handler, in a batch with others, so that what comes next need not read it. */
  noteAppended(target: Target, appended: Appended<Event>): Promise<void>;
}

/** An event that the log has taken at `seq`, `afterSeq` being the last of its subject before. */
export interface Appended<Event> {
  readonly event: Event;
  readonly id: string;
  readonly seq: number;
  readonly afterSeq: number;
  /** Of its body. */
  readonly bytes: number;
}
