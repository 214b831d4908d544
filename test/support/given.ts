// Given–when–then for deciders: a history is folded, a command decided, and the decision compared with what is expected.
// Each example also checks what holds for every decider: the decision does not change the state that it was made from.
import { fold, type Decider, type Decision } from '#libs/kernel/decider.ts';
import { expect } from 'vitest';

/** What a test may claim of one decision. */
interface Outcome<Event, State, Code extends string> {
  /** Exactly this event is appended. Further examples can go on from the state after it. */
  then(event: Event): State;
  /** An event is appended that has at least these properties. */
  thenLike(event: Partial<Event>): State;
  /** Nothing is appended: the state already is as asked for. */
  thenUnchanged(): void;
  /** The command is refused with this code. */
  thenRejected(code: Code): void;
  /** For claims beyond these. */
  readonly decision: Decision<Event, Code>;
}

export interface Given<Command, Event, State, Code extends string> {
  /** Decides a command at a time (epoch ms; default 1,000,000). */
  when(command: Command, context?: { readonly now?: number }): Outcome<Event, State, Code>;
  /** The folded history. */
  readonly state: State;
}

const DEFAULT_NOW_MS = 1_000_000;

/** Folds a history, oldest first. */
export const given = <Command, Event, State, Code extends string>(
  decider: Decider<Command, Event, State, Code>,
  ...history: readonly Event[]
): Given<Command, Event, State, Code> => {
  const state = fold(decider, history);
  return {
    state,
    when: (command, { now = DEFAULT_NOW_MS } = {}) => {
      const before = structuredClone(state);
      const decision = decider.decide(command, state, { now });
      expect(state, 'a decision leaves its state alone').toEqual(before);
      const accepted = (): Event => {
        if (decision.kind !== 'accepted') return expect.unreachable(`no event: ${JSON.stringify(decision)}`);
        return decision.event;
      };
      return {
        decision,
        // oxlint-disable-next-line unicorn/no-thenable -- the word of given–when–then; an outcome is never awaited
        then: (event) => {
          expect(accepted()).toEqual(event);
          return decider.evolve(state, accepted());
        },
        thenLike: (event) => {
          expect(accepted()).toMatchObject(event);
          return decider.evolve(state, accepted());
        },
        thenUnchanged: () => expect(decision).toEqual({ kind: 'unchanged' }),
        thenRejected: (code) => expect(decision).toMatchObject({ kind: 'rejected', rejection: { code } }),
      };
    },
  };
};
