// One turn of a run as a state machine: what has happened → what to do next. Pure and total: an event that means nothing in a
// state changes nothing. The shell (turn.ts) does what it says and tells it what came of it.
//
// claiming    the run is asked for; nothing has been done yet
// confirming  the claim was asked for before (by us, maybe before a crash): the lease is renewed before anything is done under it
// preparing   the run is ours and in the journal; the workspace is made ready
// running     the program runs, or is being ended
// finishing   the program has ended; its result is being written to the buffer
// delivering  the result is on disk; the lease is kept until the log has it
// over        nothing is left to do
import type { StopReason, TurnFacts } from './providers/turn-facts.ts';

/** The right to work on a run. */
export interface Claim {
  readonly fence: number;
  readonly leaseMs: number;
}

/**
 * How a turn came to its end here. `refused`: the run was not ours to have; `reported`: its result is on disk; `lost`: somebody
 * else has the run now, so nothing more was said; `left`: stopped before anything was done, the next process goes on.
 */
export type TurnEnd = 'refused' | 'reported' | 'lost' | 'left';

export type TurnState =
  | { readonly phase: 'claiming'; readonly isCancelled: boolean }
  | { readonly phase: 'confirming'; readonly claim: Claim; readonly isCancelled: boolean }
  | { readonly phase: 'preparing'; readonly claim: Claim; readonly stop: StopReason | null }
  | {
      readonly phase: 'running';
      readonly claim: Claim;
      readonly stop: StopReason | null;
      /** The run is not ours any more: whatever the program still does is not told. */
      readonly isLost: boolean;
    }
  | { readonly phase: 'finishing'; readonly claim: Claim }
  | { readonly phase: 'delivering'; readonly claim: Claim }
  | { readonly phase: 'over'; readonly end: TurnEnd };

export type TurnEvent =
  /** `isRepeat`: the claim had been asked for before, so time may have passed since it was granted. */
  | { readonly kind: 'claim-granted'; readonly claim: Claim; readonly isRepeat: boolean }
  | { readonly kind: 'claim-refused' }
  | { readonly kind: 'renewed'; readonly cancelRequested: boolean }
  | { readonly kind: 'renewal-refused' }
  /** Not renewed in time: work must stop now, so that it has stopped when the lease is over. */
  | { readonly kind: 'lease-ending' }
  | { readonly kind: 'workspace-ready' }
  | { readonly kind: 'workspace-failed'; readonly problem: string; readonly isUnfit?: boolean }
  | { readonly kind: 'program-ended'; readonly facts: TurnFacts }
  | { readonly kind: 'result-stored' }
  | { readonly kind: 'result-delivered' }
  | { readonly kind: 'cancel' }
  /** The turn is to end; its run may go on with another one. */
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'shutdown' };

export type TurnEffect =
  /** Renew the lease and say what came of it. */
  | { readonly kind: 'confirm' }
  /** Write the claim to the journal, keep its lease, make the workspace ready. */
  | { readonly kind: 'prepare'; readonly claim: Claim }
  | { readonly kind: 'start' }
  /** End the program; `isUrgent`: the lease does not leave the usual time for it. */
  | { readonly kind: 'stop'; readonly reason: StopReason; readonly isUrgent: boolean }
  /** Report the result and take the turn out of the journal, in one transaction. */
  | { readonly kind: 'finish'; readonly facts: TurnFacts }
  /** Take the turn out of the journal without a word. */
  | { readonly kind: 'forget' };

export interface Step {
  readonly state: TurnState;
  readonly effects: readonly TurnEffect[];
}

export const INITIAL: TurnState = { phase: 'claiming', isCancelled: false };

const over = (end: TurnEnd, ...effects: TurnEffect[]): Step => ({ state: { phase: 'over', end }, effects });

/** Facts of a turn whose program was never started. */
const unstarted = (more: Partial<TurnFacts>): TurnFacts => ({
  closing: null,
  exit: null,
  startProblem: null,
  stopped: null,
  lastText: '',
  errorTail: '',
  usage: null,
  events: 0,
  leftovers: 0,
  ...more,
});

const finish = (claim: Claim, facts: TurnFacts): Step => ({
  state: { phase: 'finishing', claim },
  effects: [{ kind: 'finish', facts }],
});

type In<Phase extends TurnState['phase']> = Extract<TurnState, { readonly phase: Phase }>;
type React<Phase extends TurnState['phase']> = (state: In<Phase>, event: TurnEvent) => Step | undefined;

const prepare = (claim: Claim, isCancelled: boolean): Step => ({
  state: { phase: 'preparing', claim, stop: isCancelled ? 'cancel' : null },
  effects: [{ kind: 'prepare', claim }],
});

const claiming: React<'claiming'> = (state, event) => {
  if (event.kind === 'claim-refused') return over('refused', { kind: 'forget' });
  if (event.kind === 'shutdown') return over('left');
  if (event.kind === 'cancel') return { state: { ...state, isCancelled: true }, effects: [] };
  if (event.kind !== 'claim-granted') return undefined;
  const { claim, isRepeat } = event;
  if (!isRepeat) return prepare(claim, state.isCancelled);
  return {
    state: { phase: 'confirming', claim, isCancelled: state.isCancelled },
    effects: [{ kind: 'confirm' }],
  };
};

const confirming: React<'confirming'> = (state, event) => {
  if (event.kind === 'renewed') return prepare(state.claim, state.isCancelled || event.cancelRequested);
  if (event.kind === 'renewal-refused') return over('lost', { kind: 'forget' });
  if (event.kind === 'shutdown') return over('left');
  if (event.kind === 'cancel') return { state: { ...state, isCancelled: true }, effects: [] };
  return undefined;
};

/** Why work that has not begun, or is going on, has to stop. */
const stopReasonOf = (event: TurnEvent): StopReason | undefined => {
  if (event.kind === 'cancel' || (event.kind === 'renewed' && event.cancelRequested)) return 'cancel';
  if (event.kind === 'lease-ending') return 'lease';
  if (event.kind === 'interrupt') return 'interrupt';
  return event.kind === 'shutdown' ? 'shutdown' : undefined;
};

const preparing: React<'preparing'> = (state, event) => {
  const { claim } = state;
  if (event.kind === 'renewal-refused') return over('lost', { kind: 'forget' });
  if (event.kind === 'workspace-failed') {
    const { problem, isUnfit = false } = event;
    return finish(claim, unstarted({ startProblem: problem, isUnfit }));
  }
  if (event.kind === 'workspace-ready') {
    // A stop that came before the program was started is honoured by not starting it.
    if (state.stop !== null) return finish(claim, unstarted({ stopped: state.stop }));
    return {
      state: { phase: 'running', claim, stop: null, isLost: false },
      effects: [{ kind: 'start' }],
    };
  }
  const stop = stopReasonOf(event);
  return stop === undefined ? undefined : { state: { ...state, stop: state.stop ?? stop }, effects: [] };
};

const running: React<'running'> = (state, event) => {
  if (event.kind === 'program-ended')
    return state.isLost ? over('lost', { kind: 'forget' }) : finish(state.claim, event.facts);
  if (event.kind === 'renewal-refused')
    return {
      state: { ...state, isLost: true, stop: state.stop ?? 'lease' },
      effects: [{ kind: 'stop', reason: 'lease', isUrgent: true }],
    };
  const reason = stopReasonOf(event);
  if (reason === undefined) return undefined;
  // A second reason matters only when it is more urgent than the first.
  if (state.stop !== null && reason !== 'lease') return undefined;
  return {
    state: { ...state, stop: state.stop ?? reason },
    effects: [{ kind: 'stop', reason, isUrgent: reason === 'lease' }],
  };
};

const finishing: React<'finishing'> = ({ claim }, event) =>
  event.kind === 'result-stored' ? { state: { phase: 'delivering', claim }, effects: [] } : undefined;

const delivering: React<'delivering'> = (_state, event) => {
  // Whether the lease still holds matters no more to us: the result is on disk, and the owner decides when it arrives.
  if (event.kind === 'result-delivered' || event.kind === 'renewal-refused' || event.kind === 'shutdown')
    return over('reported');
  return undefined;
};

const REACT: { readonly [Phase in TurnState['phase']]: React<Phase> } = {
  claiming,
  confirming,
  preparing,
  running,
  finishing,
  delivering,
  over: () => undefined,
};

/** The next state and what to do. */
export const step = (state: TurnState, event: TurnEvent): Step => {
  // The table has the reaction of each phase; the compiler cannot follow the pairing through a union.
  const react = REACT[state.phase] as React<TurnState['phase']>;
  return react(state, event) ?? { state, effects: [] };
};
