// One write to a bucket: a value, or the marker that a key is deleted. A repeated attempt that finds its own value stored has
// succeeded (values that matter name their writer, so equal bytes are the same write).
import type { Fault } from '#libs/kernel/fault.ts';
import type { PutOutcome } from '#libs/ports/key-value.ts';
import type { CommitPolicy, Moment } from './commit-policy.ts';
import { actualSequence, type BrokerError, thrownFault } from './errors.ts';
import { isTombstone } from './key-entry.ts';
import { readFromLeader } from './leader-read.ts';
import { RetriedPublish, type WriteContext } from './retried-publish.ts';
import { headerBlock, headerLine } from './wire-headers.ts';

/** Named a marker, so that the broker does not announce the end of its stay as the expiry of a value. */
const DELETE = headerLine('KV-Operation', 'DEL') + headerLine('Nats-Marker-Reason', 'Remove');

export interface KeyChange {
  /** Of the stream behind the bucket. */
  readonly subject: string;
  readonly value: Uint8Array;
  readonly expectedRevision?: number;
  readonly ttlSeconds?: number;
  /** The key is deleted; the marker goes away after `ttlSeconds`, if given. */
  readonly isDelete?: boolean;
  /** An earlier attempt, as part of a batch, may have been stored. */
  readonly mayBeStored?: boolean;
}

export class KeyWrite extends RetriedPublish {
  readonly #change: KeyChange;
  readonly #resolve: (outcome: PutOutcome) => void;
  readonly #reject: (fault: Fault) => void;
  /** What the broker is asked to expect; differs from the caller's 0 when a marker is in the key's place. */
  #expected: number | undefined;

  constructor(
    context: WriteContext,
    change: KeyChange,
    caller: { readonly resolve: (outcome: PutOutcome) => void; readonly reject: (fault: Fault) => void },
  ) {
    super(context, change.subject, change.value);
    this.#change = change;
    this.#expected = change.expectedRevision;
    this.#resolve = caller.resolve;
    this.#reject = caller.reject;
  }

  send(): void {
    this.attempt();
  }

  protected override headers(): Uint8Array | undefined {
    const { isDelete, ttlSeconds } = this.#change;
    let lines = isDelete === true ? DELETE : '';
    if (ttlSeconds !== undefined) lines += headerLine('Nats-TTL', `${ttlSeconds}s`);
    if (this.#expected !== undefined)
      lines += headerLine('Nats-Expected-Last-Subject-Sequence', this.#expected);
    return lines === '' ? undefined : headerBlock(lines);
  }

  protected override succeed(seq: number): void {
    this.#resolve({ kind: 'stored', revision: seq });
  }

  protected override fail(fault: Fault): void {
    this.#reject(fault);
  }

  protected override conflict(refusal: BrokerError): void {
    const actual = actualSequence(refusal);
    const { expectedRevision } = this.#change;
    // Only a repeated attempt, or "must not exist", needs a look at what is there.
    if (actual !== undefined && this.#isFirst && expectedRevision !== 0)
      return this.#resolve({ kind: 'conflict', actualRevision: actual });
    this.#look().catch((error: unknown) =>
      this.#reject(thrownFault('KV', `write to ${this.#change.subject}`, error)),
    );
  }

  /** Nothing of it can be stored yet. */
  get #isFirst(): boolean {
    return this.tries === 1 && this.#change.mayBeStored !== true;
  }

  async #look(): Promise<void> {
    const { connection, stream, patience } = this.context;
    const { subject, expectedRevision, value, isDelete } = this.#change;
    const query = { last_by_subj: subject };
    const last = await readFromLeader(connection, { family: 'KV', stream, patience, query });
    const isOurs =
      !this.#isFirst &&
      last !== undefined &&
      last.seq > (this.#expected ?? 0) &&
      isTombstone(last) === (isDelete === true) &&
      Buffer.compare(last.body, value) === 0;
    if (isOurs) return this.#resolve({ kind: 'stored', revision: last.seq });
    const isAbsent = last === undefined || isTombstone(last);
    if (expectedRevision === 0 && isAbsent) {
      this.#expected = last?.seq ?? 0;
      return this.attempt();
    }
    this.#resolve({ kind: 'conflict', actualRevision: last?.seq ?? 0 });
  }
}

/** Most writes of one {@link writeMany} in flight. */
const WRITE_WINDOW = 512;
/** Fewer say more about one round trip than about a write; more wait for a place in the window. */
const LEAST_PROBE = 16;

/** Callbacks and one promise: a promise or two for each of hundreds of writes cost as much as the writes. */
class ManyWrites {
  readonly #context: WriteContext;
  readonly #changes: readonly KeyChange[];
  readonly #policy: CommitPolicy;
  readonly #started: Moment;
  readonly #outcomes: PutOutcome[] = [];
  readonly #end = Promise.withResolvers<readonly PutOutcome[]>();
  #inFlight = 0;
  #next = 0;
  #failure: Fault | undefined;

  constructor(context: WriteContext, changes: readonly KeyChange[], policy: CommitPolicy) {
    this.#context = context;
    this.#changes = changes;
    this.#policy = policy;
    this.#started = policy.now();
  }

  run(): Promise<readonly PutOutcome[]> {
    this.#launch();
    return this.#end.promise;
  }

  #launch(): void {
    while (this.#inFlight < WRITE_WINDOW && this.#failure === undefined) {
      const at = this.#next;
      const change = this.#changes[at];
      if (change === undefined) break;
      this.#next += 1;
      this.#inFlight += 1;
      const resolve = (outcome: PutOutcome): void => {
        this.#outcomes[at] = outcome;
        this.#ended();
      };
      new KeyWrite(this.#context, change, { resolve, reject: this.#failed }).send();
    }
    if (this.#inFlight > 0) return;
    if (this.#failure !== undefined) return this.#end.reject(this.#failure);
    const { length } = this.#changes;
    if (length >= LEAST_PROBE && length <= WRITE_WINDOW) this.#policy.observeSingles(this.#started, length);
    this.#end.resolve(this.#outcomes);
  }

  readonly #failed = (fault: Fault): void => {
    this.#failure ??= fault;
    this.#ended();
  };

  #ended(): void {
    this.#inFlight -= 1;
    this.#launch();
  }
}

/**
 * Writes independent changes, each with its own outcome, in order. After a fault nothing more is begun; it is thrown when what
 * is in flight has ended. `policy` is shown what they cost.
 */
export const writeMany = (
  context: WriteContext,
  changes: readonly KeyChange[],
  policy: CommitPolicy,
): Promise<readonly PutOutcome[]> => new ManyWrites(context, changes, policy).run();
