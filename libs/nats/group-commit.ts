// Decides how appends to different subjects reach the stream: alone and pipelined, or together in one atomic batch (one
// sync for all). Each keeps its own expectation and its own outcome; a batch that is refused is taken apart. Order per
// subject is not its business (see append-lanes.ts): of each subject it holds at most one append that has a place in its order.
//
// What happens to a ready append: sent at once while singles are cheaper; held while a batch is in flight, or while enough
// are under way that a batch is cheaper and too few wait for one. Natural batching: nothing ever waits for a timer.
import { CommitPolicy, type GroupCommitMode, MAX_BATCH, PROBE_SIZE } from './commit-policy.ts';
import { GroupBatch } from './group-batch.ts';
import type { WriteContext } from './retried-publish.ts';
import type { SingleAppend } from './single-append.ts';

/** Most singles in flight: beyond, the broker would answer the last ones after their time is over. */
const MAX_SINGLES = 1_024;

export class GroupCommit {
  readonly #context: WriteContext;
  readonly #policy: CommitPolicy;
  readonly #onSettled: (operation: SingleAppend) => void;
  #ready: SingleAppend[] = [];
  #singlesInFlight = 0;
  #isBatchInFlight = false;
  #isProbing = false;
  #isFlushPlanned = false;
  #isWithoutBatches = false;

  constructor(context: WriteContext, mode: GroupCommitMode, onSettled: (operation: SingleAppend) => void) {
    this.#context = context;
    this.#policy = new CommitPolicy(mode, context.connection.clock);
    this.#onSettled = onSettled;
  }

  /** Takes an append whose turn on its subject has come. */
  add(operation: SingleAppend): void {
    this.#ready.push(operation);
    this.#planFlush();
  }

  readonly #flush = (): void => {
    this.#isFlushPlanned = false;
    const waiting = this.#ready.length;
    if (waiting === 0 || this.#isBatchInFlight || this.#isProbing) return;
    const threshold = this.#isWithoutBatches ? Number.POSITIVE_INFINITY : this.#policy.threshold;
    if (waiting + this.#singlesInFlight < threshold)
      this.#sendSingles(this.#take(MAX_SINGLES - this.#singlesInFlight));
    else if (this.#policy.wantsProbe) this.#probe();
    else if (waiting >= threshold) this.#sendBatch(this.#take(MAX_BATCH), true);
  };

  readonly #singleSettled = (operation: SingleAppend): void => {
    this.#policy.observeSingle(this.#singlesInFlight);
    this.#singlesInFlight -= 1;
    if (this.#singlesInFlight === 0) this.#isProbing = false;
    this.#onSettled(operation);
    if (this.#ready.length > 0) this.#planFlush();
  };

  #planFlush(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    // After the promises that are settled now have been seen by their callers: what they append next goes along, in one
    // write to the socket.
    process.nextTick(this.#flush);
  }

  #take(most: number): SingleAppend[] {
    if (most <= 0) return [];
    if (most >= this.#ready.length) {
      const all = this.#ready;
      this.#ready = [];
      return all;
    }
    return this.#ready.splice(0, most);
  }

  #sendSingles(operations: readonly SingleAppend[]): void {
    this.#singlesInFlight += operations.length;
    for (const operation of operations) operation.send(this.#singleSettled);
  }

  #probe(): void {
    this.#isProbing = true;
    const operations = this.#take(PROBE_SIZE);
    this.#policy.beginProbe(operations.length);
    this.#sendSingles(operations);
  }

  #sendBatch(operations: readonly SingleAppend[], mayTryAgain: boolean): void {
    this.#isBatchInFlight = true;
    const startedMs = this.#context.connection.clock.monotonicMs();
    const batch = new GroupBatch(this.#context, operations, (end) => {
      if (end.kind === 'stored')
        this.#policy.observeBatch(
          this.#context.connection.clock.monotonicMs() - startedMs,
          end.settled.length,
        );
      if (end.kind === 'no-batches') this.#isWithoutBatches = true;
      for (const operation of end.settled) this.#onSettled(operation);
      if (end.left.length > 0) this.#ready = [...end.left, ...this.#ready];
      this.#goOn(end.innocent, mayTryAgain);
      this.#sendSingles(end.suspect);
    });
    batch.send();
  }

  /** After a batch: what was refused without being the reason for it may go together once more. */
  #goOn(innocent: readonly SingleAppend[], mayTryAgain: boolean): void {
    if (mayTryAgain && innocent.length >= this.#policy.threshold) return this.#sendBatch(innocent, false);
    this.#sendSingles(innocent);
    this.#isBatchInFlight = false;
    if (this.#isFlushPlanned) return;
    // One turn of the event loop, so that callers who just got their outcome can join the next batch.
    this.#isFlushPlanned = true;
    setImmediate(this.#flush);
  }
}
