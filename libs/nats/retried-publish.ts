// One write on its way: sent, and sent again unchanged until the broker has answered or the time is over. Knows nothing of
// what is written; what a refusal means is for the class that extends it. Ends in exactly one call of `succeed` or `fail`.
//
// States: sent → answered. `sent` goes back to sent after a timeout, a lost connection, a moment without leader, or while
// another write on the subject is in flight.
import type { Fault } from '#libs/kernel/fault.ts';
import type { Msg } from '@nats-io/transport-node';
import type { Patience } from './broker-api.ts';
import { whyAway, type NatsConnectionHandle } from './connect.ts';
import { explainUnserved } from './explain-unserved.ts';
import {
  type AnswerKind,
  answerFault,
  type BrokerError,
  classifyAnswer,
  type FaultFamily,
  portFault,
  thrownFault,
} from './errors.ts';
import { parseAck } from './publish-ack.ts';
import type { Lost, ReplyHandler } from './reply-inbox.ts';

const FIRST_BUSY_MS = 1;
const SLOWEST_BUSY_MS = 100;
const AWAY_MS = 50;

export interface WriteContext {
  readonly connection: NatsConnectionHandle;
  readonly stream: string;
  readonly family: FaultFamily;
  readonly patience: Patience;
}

export abstract class RetriedPublish implements ReplyHandler {
  protected readonly context: WriteContext;
  readonly #subject: string;
  readonly #body: Uint8Array;
  readonly #deadline: number;
  #tries = 0;
  #lastTrouble = '';

  constructor(context: WriteContext, subject: string, body: Uint8Array) {
    this.context = context;
    this.#subject = subject;
    this.#body = body;
    this.#deadline = context.connection.clock.monotonicMs() + context.patience.withinMs;
  }

  /** How often it was sent. From the second time on, an earlier one may be stored. */
  protected get tries(): number {
    return this.#tries;
  }

  /** Header block of the next attempt. */
  protected abstract headers(): Uint8Array | undefined;
  protected abstract succeed(seq: number, duplicate: boolean): void;
  protected abstract fail(fault: Fault): void;
  /** An expected sequence did not hold. Ends in {@link attempt}, `succeed`, `fail`, or an outcome of its own. */
  protected abstract conflict(refusal: BrokerError): void;

  /** It was to follow another entry at once, and does not. Only for those who asked for that. */
  protected notNext(refusal: BrokerError): void {
    this.fail(answerFault(this.context.family, `write to ${this.#subject}`, refusal));
  }

  /** Sends it (again). */
  protected attempt(): void {
    this.#tries += 1;
    const { connection, patience, family } = this.context;
    try {
      const options = { timeoutMs: patience.attemptMs, handler: this };
      connection.inbox.send(this.#subject, this.#body, this.headers(), options);
    } catch (error) {
      this.fail(thrownFault(family, `write to ${this.#subject}`, error));
    }
  }

  onReply(message: Msg): boolean {
    const ack = parseAck(message);
    if (ack.kind === 'error') this.#refused(ack.error);
    else if (ack.kind === 'unserved') this.#unserved();
    else if (ack.stream === this.context.stream) this.succeed(ack.seq, ack.duplicate);
    else {
      const { family, stream } = this.context;
      this.fail(
        portFault(
          family,
          'REFUSED',
          `subject ${this.#subject} belongs to stream ${ack.stream}, not ${stream}`,
        ),
      );
    }
    return true;
  }

  onLost(reason: Lost): void {
    const { family, connection } = this.context;
    if (reason === 'forbidden')
      return this.fail(portFault(family, 'REFUSED', `no permission to publish to ${this.#subject}`));
    if (reason === 'closed')
      return this.fail(
        portFault(family, 'UNAVAILABLE', `write to ${this.#subject}: the connection is closed`),
      );
    if (reason === 'timeout') {
      this.#lastTrouble = 'the broker gave no answer';
      return this.#retry(0);
    }
    this.#lastTrouble = whyAway(connection);
    const leftMs = this.#deadline - connection.clock.monotonicMs();
    if (leftMs <= 0) return this.#expire();
    void connection
      .whenConnected({ withinMs: leftMs })
      .then((isUp) => (isUp ? this.attempt() : this.#expire()));
  }

  #refused(error: BrokerError): void {
    const kind: AnswerKind = classifyAnswer(error);
    this.#lastTrouble = error.description ?? kind;
    if (kind === 'conflict') this.conflict(error);
    else if (kind === 'not-next') this.notNext(error);
    else if (kind === 'busy') this.#retry(Math.min(FIRST_BUSY_MS * 2 ** this.#tries, SLOWEST_BUSY_MS));
    else if (kind === 'unavailable') this.#retry(AWAY_MS);
    else this.fail(answerFault(this.context.family, `write to ${this.#subject}`, error));
  }

  /** Nobody takes the subject: for good (no such stream, not its subject), or until there is a leader. */
  #unserved(): void {
    this.#lastTrouble = 'no stream takes the subject';
    explainUnserved(this.context, this.#subject).then(
      (fault) => (fault === undefined ? this.#retry(AWAY_MS) : this.fail(fault)),
      () => this.#retry(AWAY_MS),
    );
  }

  #retry(delayMs: number): void {
    const { clock } = this.context.connection;
    if (clock.monotonicMs() + delayMs >= this.#deadline) return this.#expire();
    if (delayMs === 0) this.attempt();
    else clock.timer(delayMs, () => this.attempt());
  }

  #expire(): void {
    const { connection } = this.context;
    // By now it may be known why.
    if (!connection.connected) this.#lastTrouble = whyAway(connection);
    const message = `write to ${this.#subject}: ${this.#lastTrouble}; it may or may not be stored`;
    this.fail(portFault(this.context.family, 'UNAVAILABLE', message));
  }
}
