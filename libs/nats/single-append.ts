// One append on its way: sent, and sent again with the same id until the broker has answered or the time is over.
// Ends in exactly one outcome or fault. Does not decide when it is sent (see group-commit.ts).
//
// States: waiting (in its lane or for company) → sent → settled. `sent` goes back to sent after a timeout, a lost
// connection, a moment without leader, or while another write on the subject is in flight.
import type { Fault } from '#libs/kernel/fault.ts';
import type { AppendOutcome, NewEntry } from '#libs/ports/event-log.ts';
import type { Msg } from '@nats-io/transport-node';
import type { LaneOperation } from './append-lanes.ts';
import type { LogContext } from './log-context.ts';
import { entryHeaders, refused } from './entry-wire.ts';
import { actualSequence, answerFault, type BrokerError, classifyAnswer, portFault, thrownFault } from './errors.ts';
import { parseAck } from './publish-ack.ts';
import { reconcile } from './reconcile.ts';
import type { Lost, ReplyHandler } from './reply-inbox.ts';

const BUSY_MS = 2;
const AWAY_MS = 50;
const SLOWEST_MS = 500;

export class SingleAppend implements LaneOperation, ReplyHandler {
  readonly entry: NewEntry;
  readonly lanes: readonly string[];
  blockers = 0;
  readonly #context: LogContext;
  readonly #resolve: (outcome: AppendOutcome) => void;
  readonly #reject: (fault: Fault) => void;
  readonly #deadline: number;
  #onSettled: ((operation: SingleAppend) => void) | undefined;
  #tries = 0;
  #lastTrouble = '';

  constructor(
    context: LogContext,
    entry: NewEntry,
    settle: { readonly resolve: (outcome: AppendOutcome) => void; readonly reject: (fault: Fault) => void },
  ) {
    this.entry = entry;
    this.lanes = [entry.subject];
    this.#context = context;
    this.#resolve = settle.resolve;
    this.#reject = settle.reject;
    this.#deadline = context.clock.monotonicMs() + context.patience.withinMs;
  }

  /** Sends it alone. `onSettled` is called when it has its outcome. */
  send(onSettled: (operation: SingleAppend) => void): void {
    this.#onSettled = onSettled;
    this.#attempt();
  }

  /** It was stored as part of a batch. */
  stored(seq: number): void {
    this.#resolve({ kind: 'appended', seq, duplicate: false });
  }

  fail(fault: Fault): void {
    this.#reject(fault);
  }

  onReply(message: Msg): boolean {
    const ack = parseAck(message);
    if (ack.kind === 'stored') this.#settleStored(ack);
    else if (ack.kind === 'unserved') this.#unserved();
    else this.#refused(ack.error);
    return true;
  }

  onLost(reason: Lost): void {
    if (reason === 'forbidden' || reason === 'closed')
      return this.#end(() => this.#reject(this.#context.lostFault(this.entry.subject, reason)));
    this.#lastTrouble = reason === 'timeout' ? 'the broker gave no answer' : 'the connection was lost';
    if (reason === 'timeout') this.#retry(0);
    else this.#afterReconnect();
  }

  #settleStored(ack: { readonly stream: string; readonly seq: number; readonly duplicate: boolean }): void {
    const { stream } = this.#context;
    if (ack.stream !== stream)
      return this.#end(() =>
        this.#reject(refused(`subject ${this.entry.subject} belongs to stream ${ack.stream}, not ${stream}`)),
      );
    this.#end(() => this.#resolve({ kind: 'appended', seq: ack.seq, duplicate: ack.duplicate }));
  }

  #attempt(): void {
    this.#tries += 1;
    try {
      const { inbox, patience } = this.#context;
      const headers = entryHeaders(this.entry);
      inbox.send(this.entry.subject, this.entry.body, headers, { timeoutMs: patience.attemptMs, handler: this });
    } catch (error) {
      const fault = thrownFault('LOG', `append to ${this.entry.subject}`, error);
      this.#end(() => this.#reject(fault));
    }
  }

  #refused(error: BrokerError): void {
    const kind = classifyAnswer(error);
    this.#lastTrouble = error.description ?? kind;
    if (kind === 'conflict') this.#settleBy(reconcile(this.#context, this.entry, actualSequence(error)));
    else if (kind === 'busy') this.#retry(Math.min(BUSY_MS * 2 ** Math.min(this.#tries, 6), SLOWEST_MS));
    else if (kind === 'unavailable') this.#retry(AWAY_MS);
    else this.#end(() => this.#reject(answerFault('LOG', `append to ${this.entry.subject}`, error)));
  }

  /** Nobody takes the subject: for good (no such stream, not its subject), or until there is a leader. */
  #unserved(): void {
    this.#lastTrouble = 'no stream takes the subject';
    this.#context.explainUnserved(this.entry.subject).then(
      (fault) => (fault === undefined ? this.#retry(AWAY_MS) : this.#end(() => this.#reject(fault))),
      () => this.#retry(AWAY_MS),
    );
  }

  #settleBy(work: Promise<AppendOutcome>): void {
    work.then(
      (outcome) => this.#end(() => this.#resolve(outcome)),
      (error: unknown) => this.#end(() => this.#reject(thrownFault('LOG', 'append', error))),
    );
  }

  #retry(delayMs: number): void {
    const { clock } = this.#context;
    if (clock.monotonicMs() + delayMs >= this.#deadline) return this.#expire();
    if (delayMs === 0) this.#attempt();
    else clock.timer(delayMs, () => this.#attempt());
  }

  #afterReconnect(): void {
    const { clock, connection } = this.#context;
    const leftMs = this.#deadline - clock.monotonicMs();
    if (leftMs <= 0) return this.#expire();
    void connection.whenConnected({ withinMs: leftMs }).then((isUp) => (isUp ? this.#attempt() : this.#expire()));
  }

  #expire(): void {
    const { entry } = this;
    const message = `append to ${entry.subject}: ${this.#lastTrouble}; it may or may not be stored, retry with id ${entry.id}`;
    this.#end(() => this.#reject(portFault('LOG', 'UNAVAILABLE', message)));
  }

  #end(settle: () => void): void {
    settle();
    this.#onSettled?.(this);
  }
}
