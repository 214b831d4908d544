// One atomic batch of independent appends on its way. Stored: each gets its sequence. Refused: the broker does not say which
// entry was the reason, so the last entry of each subject is looked at, and those whose expectation does not hold or whose
// id is there already are singled out. Anything unclear (timeout, lost connection, half a batch) makes all of them suspect:
// they are sent again alone, with the same ids, so that a batch stored late cannot be stored twice.
import type { Msg } from '@nats-io/transport-node';
import { nuid } from '@nats-io/transport-node';
import { batchHeaders, checkSize, entryLines } from './entry-wire.ts';
import { classifyAnswer, thrownFault } from './errors.ts';
import { readFromLeader } from './leader-read.ts';
import type { WriteContext } from './retried-publish.ts';
import { parseAck } from './publish-ack.ts';
import type { ReplyHandler } from './reply-inbox.ts';
import type { SingleAppend } from './single-append.ts';

/**
 * How a batch ended for each of its appends: `settled` have their outcome, `innocent` and `suspect` must be sent again (the
 * latter alone), `left` did not fit in and was not sent.
 */
export interface BatchEnd {
  readonly kind: 'stored' | 'refused' | 'no-batches';
  readonly settled: readonly SingleAppend[];
  readonly innocent: readonly SingleAppend[];
  readonly suspect: readonly SingleAppend[];
  readonly left: readonly SingleAppend[];
}

/** The broker stages a batch in memory or on disk before it commits it. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024;

export class GroupBatch implements ReplyHandler {
  readonly #context: WriteContext;
  readonly #onEnd: (end: BatchEnd) => void;
  readonly #rejected: SingleAppend[] = [];
  #members: readonly SingleAppend[];
  #left: readonly SingleAppend[] = [];

  constructor(context: WriteContext, members: readonly SingleAppend[], onEnd: (end: BatchEnd) => void) {
    this.#context = context;
    this.#members = members;
    this.#onEnd = onEnd;
  }

  send(): void {
    const lines = this.#admit();
    const last = this.#members.length - 1;
    if (last < 0) return this.#end('stored', [], []);
    if (!this.#context.connection.connected) return queueMicrotask(() => this.onLost());
    const batchId = nuid.next();
    const { patience, connection } = this.#context;
    const { inbox } = connection;
    try {
      for (const [at, { entry }] of this.#members.entries()) {
        const headers = batchHeaders(lines[at] ?? '', { batchId, position: at + 1, isLast: at === last });
        if (at < last) inbox.publish(entry.subject, entry.body, headers);
        else inbox.send(entry.subject, entry.body, headers, { timeoutMs: patience.attemptMs, handler: this });
      }
    } catch {
      // The connection was closed, or the broker's limit has changed: each append finds out for itself.
      queueMicrotask(() => this.onLost());
    }
  }

  onReply(message: Msg): boolean {
    const ack = parseAck(message);
    if (ack.kind === 'stored' && ack.stream === this.#context.stream) this.#stored(ack.seq);
    else if (ack.kind !== 'error') this.#end('refused', [], this.#members);
    else {
      const kind = classifyAnswer(ack.error);
      if (kind === 'no-batches') this.#end('no-batches', [], this.#members);
      else if (kind === 'conflict' || kind === 'duplicate-in-batch') this.#singleOut();
      else this.#end('refused', [], this.#members);
    }
    return true;
  }

  onLost(): void {
    this.#end('refused', [], this.#members);
  }

  #stored(lastSeq: number): void {
    const firstSeq = lastSeq - this.#members.length + 1;
    for (const [at, member] of this.#members.entries()) member.succeed(firstSeq + at, false);
    this.#end('stored', [], []);
  }

  /** Refuses what can never be sent, and leaves out what does not fit. Returns the header lines of the rest. */
  #admit(): string[] {
    const most = this.#context.connection.nc.info?.max_payload ?? Number.POSITIVE_INFINITY;
    const admitted: SingleAppend[] = [];
    const lines: string[] = [];
    let bytes = 0;
    for (const [at, member] of this.#members.entries()) {
      if (bytes > MAX_BATCH_BYTES) {
        this.#left = this.#members.slice(at);
        break;
      }
      try {
        const text = entryLines(member.entry);
        bytes += checkSize(text, member.entry.body, most);
        lines.push(text);
        admitted.push(member);
      } catch (error) {
        member.fail(thrownFault('LOG', `append to ${member.entry.subject}`, error));
        this.#rejected.push(member);
      }
    }
    this.#members = admitted;
    return lines;
  }

  #singleOut(): void {
    Promise.all(this.#members.map((member) => this.#isOffender(member))).then(
      (verdicts) => this.#judge(verdicts),
      () => this.#end('refused', [], this.#members),
    );
  }

  #judge(verdicts: readonly boolean[]): void {
    const suspect = this.#members.filter((_, at) => verdicts[at] === true);
    const innocent = this.#members.filter((_, at) => verdicts[at] !== true);
    // Nobody to blame: an id further back than the last entry. Sent alone, each is told apart by the broker.
    if (suspect.length === 0) this.#end('refused', [], innocent);
    else this.#end('refused', innocent, suspect);
  }

  async #isOffender({ entry }: SingleAppend): Promise<boolean> {
    const { connection, stream, patience } = this.#context;
    const query = { last_by_subj: entry.subject };
    const last = await readFromLeader(connection, { family: 'LOG', stream, patience, query });
    if (entry.expectedSeq !== undefined && entry.expectedSeq !== (last?.seq ?? 0)) return true;
    return last?.headers['Nats-Msg-Id'] === entry.id;
  }

  #end(kind: BatchEnd['kind'], innocent: readonly SingleAppend[], suspect: readonly SingleAppend[]): void {
    const settled = kind === 'stored' ? [...this.#members, ...this.#rejected] : this.#rejected;
    this.#onEnd({ kind, settled, innocent, suspect, left: this.#left });
  }
}
