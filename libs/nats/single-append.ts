// One append of the log, alone or as a member of a group batch, with its one outcome. Does not decide when it is sent (see
// group-commit.ts).
import type { Fault } from '#libs/kernel/fault.ts';
import type { AppendOutcome, NewEntry } from '#libs/ports/event-log.ts';
import type { LaneOperation } from './append-lanes.ts';
import { entryHeaders } from './entry-wire.ts';
import { actualSequence, type BrokerError, thrownFault } from './errors.ts';
import { reconcile } from './reconcile.ts';
import { RetriedPublish, type WriteContext } from './retried-publish.ts';

/** How the caller of an append hears of its end. */
export interface AppendCaller {
  readonly resolve: (outcome: AppendOutcome) => void;
  readonly reject: (fault: Fault) => void;
}

export class SingleAppend extends RetriedPublish implements LaneOperation {
  readonly entry: NewEntry;
  readonly lanes: readonly string[];
  blockers = 0;
  readonly #caller: AppendCaller;
  #onSettled: ((operation: SingleAppend) => void) | undefined;

  constructor(context: WriteContext, entry: NewEntry, caller: AppendCaller) {
    super(context, entry.subject, entry.body);
    this.entry = entry;
    const isFree = entry.inAnyOrder === true && entry.expectedSeq === undefined;
    this.lanes = isFree ? [] : [entry.subject];
    this.#caller = caller;
  }

  /** Sends it alone. `onSettled` is called when it has its outcome. */
  send(onSettled: (operation: SingleAppend) => void): void {
    this.#onSettled = onSettled;
    this.attempt();
  }

  protected override headers(): Uint8Array {
    return entryHeaders(this.entry);
  }

  /** Stored; also called for the member of a batch. */
  override succeed(seq: number, duplicate: boolean): void {
    this.#settle({ kind: 'appended', seq, duplicate });
  }

  /** Failed; also called for the member of a batch. */
  override fail(fault: Fault): void {
    this.#caller.reject(fault);
    this.#onSettled?.(this);
  }

  protected override conflict(refusal: BrokerError): void {
    reconcile(this.context, this.entry, actualSequence(refusal)).then(
      (outcome) => this.#settle(outcome),
      (reason: unknown) => this.fail(thrownFault('LOG', `append to ${this.entry.subject}`, reason)),
    );
  }

  #settle(outcome: AppendOutcome): void {
    this.#caller.resolve(outcome);
    this.#onSettled?.(this);
  }
}
