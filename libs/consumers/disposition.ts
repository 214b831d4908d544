// The one table of what becomes of an entry after a try. Pure; the loop only carries it out.
//
// | outcome of the try                          | within its limit       | limit used up          |
// |---------------------------------------------|------------------------|------------------------|
// | handled: ok, accepted, unchanged            | ack                    |                        |
// | handled: rejected (a value)                 | ack, counted           |                        |
// | undecodable                                 | park `undecodable`     |                        |
// | Fault `now` (the state was seen to move)    | run again at once      | as an unexpected error |
// | Fault `later` (a dependency is away)        | wait, not counted      | never parks            |
// | Fault `never`                               | park `refused-for-good`|                        |
// | any other error (a defect)                  | wait, counted          | park `attempts-used-up`|
// | InvariantBroken                             | fatal, no ack          | park `invariant-broken`|
//
// "Unreachable is not refused": a declared `later` fault keeps its entry for ever and never parks. What is counted is
// counted while the entry is in hand; only a broken invariant goes by the number of deliveries, because it ends the process.
import { Fault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { Rejection } from '#libs/kernel/rejection.ts';

/** What a handler answers. The outcome of a command handler (libs/commands) can be returned as it is. */
export type Handled =
  | { readonly kind: 'ok' | 'accepted' | 'unchanged' }
  /** Understood and refused by a rule: done, and counted. */
  | { readonly kind: 'rejected'; readonly rejection: Rejection };

/** The answer of a handler that has nothing to tell. */
export const ok: Handled = { kind: 'ok' };

export type TryOutcome =
  | { readonly kind: 'handled'; readonly result: Handled }
  | { readonly kind: 'undecodable'; readonly error: unknown }
  | { readonly kind: 'failed'; readonly error: unknown };

/** Tries of one entry so far, including the one just made. */
export interface Tries {
  /** Deliveries by the queue; 1 at the first. */
  readonly deliveries: number;
  /** `now` faults in a row. */
  readonly inARow: number;
  /** Failures that count against the entry, without the one just made. */
  readonly counted: number;
}

export interface TryLimits {
  /** Counted failures before an entry parks. */
  readonly maxAttempts: number;
  /** Runs again at once, in a row, before a `now` fault counts as a failure. */
  readonly maxImmediate: number;
}

/** Why an entry was parked; also a subject token of the dead letter. */
export type ParkReason = 'undecodable' | 'refused-for-good' | 'attempts-used-up' | 'invariant-broken';

export type Disposition =
  | { readonly kind: 'ack' }
  | { readonly kind: 'again' }
  | { readonly kind: 'wait'; readonly counts: boolean }
  | { readonly kind: 'park'; readonly reason: ParkReason }
  | { readonly kind: 'fatal' };

const ofFailure = (error: unknown, tries: Tries, limits: TryLimits): Disposition => {
  if (error instanceof InvariantBroken)
    return tries.deliveries >= limits.maxAttempts
      ? { kind: 'park', reason: 'invariant-broken' }
      : { kind: 'fatal' };
  if (error instanceof Fault && error.code !== 'UNEXPECTED_ERROR') {
    if (error.retry === 'never') return { kind: 'park', reason: 'refused-for-good' };
    if (error.retry === 'later') return { kind: 'wait', counts: false };
    if (tries.inARow <= limits.maxImmediate) return { kind: 'again' };
  }
  return tries.counted + 1 >= limits.maxAttempts
    ? { kind: 'park', reason: 'attempts-used-up' }
    : { kind: 'wait', counts: true };
};

/** Looks up the table above. */
export const disposition = (outcome: TryOutcome, tries: Tries, limits: TryLimits): Disposition => {
  if (outcome.kind === 'handled') return { kind: 'ack' };
  if (outcome.kind === 'undecodable' && !(outcome.error instanceof InvariantBroken))
    return { kind: 'park', reason: 'undecodable' };
  return ofFailure(outcome.error, tries, limits);
};
