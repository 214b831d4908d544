// Entries of different subjects one after another, in one write: all are sent at once, and each asks the broker to be stored right behind the one
// before it (by that one's id, which is checked beside its own expectation). So what follows an entry that was refused is refused, too. Where another
// writer came in between, what is left waits for what is before it and is sent again, as single appends do. In a cluster, where an entry is not
// looked at before the one in front of it has been agreed on, they wait for one another from the start.
import type { AppendOutcome, NewEntry } from '#libs/ports/event-log.ts';
import { appendInOrder } from '#libs/ports/append-in-order.ts';
import { entryHeaders, followingHeaders } from './entry-wire.ts';
import { actualSequence, type BrokerError, thrownFault } from './errors.ts';
import type { Fault } from '#libs/kernel/fault.ts';
import { reconcile } from './reconcile.ts';
import { RetriedPublish, type WriteContext } from './retried-publish.ts';

/** Its outcome; undefined: it was refused because what it was to follow was not there, and it does not wait for that any more. */
type Ending = AppendOutcome | undefined;

class LinkedAppend extends RetriedPublish {
  readonly #entry: NewEntry;
  readonly #ending = Promise.withResolvers<Ending>();
  /** Of the entry that it follows; undefined: that one is stored, or there is none. */
  #afterId: string | undefined;
  #isGivenUp = false;
  #isRefused = false;

  constructor(context: WriteContext, entry: NewEntry, afterId: string | undefined) {
    super(context, entry.subject, entry.body);
    this.#entry = entry;
    this.#afterId = afterId;
    this.#ending.promise.catch(() => undefined);
  }

  get ending(): Promise<Ending> {
    return this.#ending.promise;
  }

  send(): void {
    this.attempt();
  }

  /** What it follows is stored. */
  release(): void {
    this.#afterId = undefined;
    if (!this.#isRefused) return;
    this.#isRefused = false;
    this.attempt();
  }

  /** What it follows is not stored, and never will be. */
  giveUp(): void {
    this.#isGivenUp = true;
    if (this.#isRefused) this.#ending.resolve(undefined);
  }

  protected override headers(): Uint8Array {
    return this.#afterId === undefined
      ? entryHeaders(this.#entry)
      : followingHeaders(this.#entry, this.#afterId);
  }

  protected override succeed(seq: number, duplicate: boolean): void {
    this.#ending.resolve({ kind: 'appended', seq, duplicate });
  }

  protected override fail(fault: Fault): void {
    this.#ending.reject(fault);
  }

  protected override notNext(): void {
    if (this.#isGivenUp) this.#ending.resolve(undefined);
    else if (this.#afterId === undefined) this.attempt();
    else this.#isRefused = true;
  }

  protected override conflict(refusal: BrokerError): void {
    reconcile(this.context, this.#entry, actualSequence(refusal)).then(
      this.#ending.resolve,
      (reason: unknown) => this.fail(thrownFault('LOG', `append to ${this.#entry.subject}`, reason)),
    );
  }
}

const linked = async (
  context: WriteContext,
  entries: readonly NewEntry[],
): Promise<readonly AppendOutcome[]> => {
  const appends = entries.map((entry, at) => new LinkedAppend(context, entry, entries[at - 1]?.id));
  for (const append of appends) append.send();
  const outcomes: AppendOutcome[] = [];
  try {
    for (const [at, append] of appends.entries()) {
      const outcome = await append.ending;
      if (outcome === undefined) break;
      outcomes.push(outcome);
      if (outcome.kind === 'conflict') break;
      appends[at + 1]?.release();
    }
    return outcomes;
  } finally {
    for (const left of appends.slice(outcomes.length)) left.giveUp();
    // Their subjects are free when nothing of them is under way any more.
    await Promise.allSettled(appends.map(({ ending }) => ending));
  }
};

/** See the port. The entries' subjects have to be free of other appends of this log. */
export const appendLinked = (
  context: WriteContext,
  entries: readonly NewEntry[],
): Promise<readonly AppendOutcome[]> => {
  if (!context.connection.isClustered) return linked(context, entries);
  const append = async (entry: NewEntry): Promise<AppendOutcome> => {
    const single = new LinkedAppend(context, entry, undefined);
    single.send();
    return (await single.ending) as AppendOutcome;
  };
  return appendInOrder(append, entries);
};
