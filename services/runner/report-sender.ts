// Carries buffered reports to EVENTS in order: few one by one, many as one atomic batch. Bodies over the inline limit go to the object
// store first; the entry then carries an excerpt and the digest. Adds the number of the buffer; everything else was fixed at enqueue.
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { BufferedRecord, Sender, SendOutcome, StoredMark } from '#libs/outbox/outbox.ts';
import type { Blobs } from '#libs/ports/blobs.ts';
import type { EventLog, NewEntry, StoredEntry } from '#libs/ports/event-log.ts';
import { INLINE_BODY_LIMIT_BYTES } from '#streams/envelope.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { excerptOf } from './excerpt.ts';

/** Up to this many are sent one by one: measured on one server, an atomic batch has a fixed cost of about this many single appends. */
const FEW = 6;
const DELIVERED: SendOutcome = { kind: 'delivered', duplicate: false };

/** Loss of contact is a fault of class `later`. Anything that is no fault is a defect of ours: it counts, so that it cannot block the buffer for ever. */
const outcomeOf = (error: unknown): SendOutcome => {
  if (error instanceof InvariantBroken) throw error;
  const { code, message, retry } = toFault(error);
  // A stream that is not there yet refuses nothing: it is provisioned, or it is not.
  const isAway =
    error instanceof Fault && (retry !== 'never' || code === 'LOG_MISSING' || code === 'BLOBS_MISSING');
  return isAway ? { kind: 'unreachable', message } : { kind: 'refused', code, message };
};

export interface SenderParts {
  readonly log: EventLog;
  readonly blobs: Blobs;
  /** Every subject that the buffer's records go to; nobody else writes there. */
  readonly subjects: readonly string[];
  /** Names the buffer; asked when something is sent. */
  readonly bufferId: () => string;
}

const markOf = ({ headers }: StoredEntry): StoredMark => ({
  sourceSeq: Number(headers['Fleet-Source-Seq'] ?? 0),
  id: headers['Nats-Msg-Id'] ?? '',
});

class ReportSender implements Sender {
  readonly #parts: SenderParts;
  /** Whether what is sent may have been stored by an attempt whose answer was lost, in this process or the one before. */
  #isInDoubt = true;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  async send(batch: readonly BufferedRecord[], signal?: AbortSignal): Promise<readonly SendOutcome[]> {
    const outcomes = await (batch.length > FEW && !this.#isInDoubt
      ? this.#sendTogether(batch, signal)
      : this.#sendSingly(batch, signal));
    this.#isInDoubt = outcomes.some(({ kind }) => kind === 'unreachable');
    return outcomes;
  }

  /**
   * A publish that the broker stores only after this answer, and an answer from a replica that lags, are a matter of seconds: against
   * those the ids help.
   */
  async lastStored(): Promise<readonly StoredMark[]> {
    const { log, subjects } = this.#parts;
    try {
      const entries = await Promise.all(subjects.map((subject) => log.lastSeen(subject)));
      return entries.filter((entry) => entry !== undefined).map(markOf);
    } catch (error) {
      // Whoever may not ask can still send, and then the ids must do.
      if (outcomeOf(error).kind === 'refused') return [];
      throw error;
    }
  }

  async #sendTogether(
    batch: readonly BufferedRecord[],
    signal: AbortSignal | undefined,
  ): Promise<readonly SendOutcome[]> {
    try {
      const entries: NewEntry[] = [];
      for (const record of batch) entries.push(await this.#entryOf(record));
      const { kind } = await this.#parts.log.appendTogether(entries);
      if (kind === 'appended') return batch.map(() => DELIVERED);
    } catch (error) {
      const outcome = outcomeOf(error);
      if (outcome.kind === 'unreachable') return batch.map(() => outcome);
    }
    // One of them is refused, or some were stored before: each alone tells which.
    return this.#sendSingly(batch, signal);
  }

  /** One after another, up to the first that is not delivered. */
  async #sendSingly(
    batch: readonly BufferedRecord[],
    signal: AbortSignal | undefined,
  ): Promise<readonly SendOutcome[]> {
    const outcomes: SendOutcome[] = [];
    let isStopped = false;
    for (const record of batch) {
      const outcome: SendOutcome =
        isStopped || signal?.aborted === true ? { kind: 'held' } : await this.#sendOne(record);
      outcomes.push(outcome);
      if (outcome.kind !== 'delivered') isStopped = true;
    }
    return outcomes;
  }

  async #sendOne(record: BufferedRecord): Promise<SendOutcome> {
    try {
      const outcome = await this.#parts.log.append(await this.#entryOf(record));
      if (outcome.kind === 'appended') return { kind: 'delivered', duplicate: outcome.duplicate };
      return { kind: 'refused', code: 'LOG_CONFLICT', message: 'a conflict, though nothing was expected' };
    } catch (error) {
      return outcomeOf(error);
    }
  }

  async #entryOf({ subject, id, headers, body, sourceSeq }: BufferedRecord): Promise<NewEntry> {
    const numbered = {
      ...headers,
      'Fleet-Source-Seq': String(sourceSeq),
      'Fleet-Source-Buffer': this.#parts.bufferId(),
    };
    if (body.byteLength <= INLINE_BODY_LIMIT_BYTES) return { subject, id, headers: numbered, body };
    const digest = await this.#parts.blobs.put(body);
    const excerpt = jsonBytes(excerptOf(parseJson(body)));
    return { subject, id, headers: { ...numbered, 'ce-dataref': `blob:${digest}` }, body: excerpt };
  }
}

/** The sender of a runner's buffer. */
export const createReportSender = (parts: SenderParts): Sender => new ReportSender(parts);
