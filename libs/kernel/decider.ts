// The shape of every rule of the system: a pure decision over a folded history, and the fold itself.
// Nothing here reads a clock, makes an id or does I/O; what a decision needs comes in through the command and the context.
import { rejection, type Rejection } from './rejection.ts';

/** What the shell hands to a decision. Chosen once per command, so that a retried decision is the same decision. */
export interface DecisionContext {
  /** Epoch ms; becomes the event's `ce-time` unless the event happened elsewhere. */
  readonly now: number;
}

/**
 * One decision appends exactly one event whose data carries all that it changed (architecture §1.8);
 * `unchanged` is the idempotent answer of a terminal or already satisfied state: nothing is appended.
 */
export type Decision<Event, Code extends string> =
  | { readonly kind: 'accepted'; readonly event: Event }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'rejected'; readonly rejection: Rejection<Code> };

/** A decider: `decide` never throws for any command in any reachable state, `evolve` is total over every released event. */
export interface Decider<Command, Event, State, Code extends string> {
  readonly initial: State;
  readonly decide: (command: Command, state: State, context: DecisionContext) => Decision<Event, Code>;
  readonly evolve: (state: State, event: Event) => State;
}

/** The decision to append `event`. */
export const accept = <Event>(event: Event): Decision<Event, never> => ({ kind: 'accepted', event });

/** The decision that the state already is as asked for. */
export const unchanged: Decision<never, never> = { kind: 'unchanged' };

/** The decision to refuse, with a code from streams/rejections.ts. */
export const reject = <Code extends string>(
  code: Code,
  message: string,
  detail?: Readonly<Record<string, unknown>>,
): Decision<never, Code> => ({ kind: 'rejected', rejection: rejection(code, message, detail) });

/** Folds a history into a state, oldest first. */
export const fold = <Event, State>(
  decider: { readonly initial: State; readonly evolve: (state: State, event: Event) => State },
  events: Iterable<Event>,
): State => {
  let state = decider.initial;
  for (const event of events) state = decider.evolve(state, event);
  return state;
};
