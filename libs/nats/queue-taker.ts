// One taker of a durable consumer: keeps up to two batches on this side (one being worked on, one waiting), pulls anew after
// restarts and changes of leader, and gives back what it did not hand out.
//
// States: taking → (leaving) → left. `taking` survives the loss of the broker; it ends with the signal, or with a fault when the
// consumer is not there or does not accept the pulls.
import type { Fault } from '#libs/kernel/fault.ts';
import type { Delivery, TakeOptions } from '#libs/ports/work-queue.ts';
import type { Msg } from '@nats-io/transport-node';
import { askApi, type Patience } from './broker-api.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { NatsDelivery } from './delivery.ts';
import { answerFault, classifyAnswer, portFault } from './errors.ts';
import { type FeedTrouble, PullFeed } from './pull-feed.ts';
import { deliveryFacts } from './raw-message.ts';

const EXPIRES_MS = 30_000;
const LOOK_AGAIN_MS = 250;
const LOOK_PATIENCE: Patience = { attemptMs: 1_000, withinMs: 1_000 };

interface TakerParts {
  readonly stream: string;
  readonly consumer: string;
  readonly group?: string;
}

const closed = ({ stream, consumer }: TakerParts): Fault =>
  portFault(
    'QUEUE',
    'UNAVAILABLE',
    `take from consumer ${consumer} of stream ${stream}: the connection is closed`,
  );

export class QueueTaker {
  readonly #connection: NatsConnectionHandle;
  readonly #parts: TakerParts;
  readonly #options: TakeOptions;
  readonly #forgetConnectivity: () => void;
  #buffer: Delivery[] = [];
  #feed: PullFeed;
  #wake: (() => void) | undefined;
  #failure: Fault | undefined;
  #isLeaving = false;
  #isLooking = false;
  #left: Promise<void> | undefined;

  constructor(connection: NatsConnectionHandle, parts: TakerParts, options: TakeOptions) {
    this.#connection = connection;
    this.#parts = parts;
    this.#options = options;
    this.#feed = this.#createFeed(parts.group);
    if (connection.isClosed) this.#fail(closed(parts));
    else this.#feed.start();
    this.#forgetConnectivity = connection.onConnectivity((isConnected) => {
      if (isConnected) this.#feed.restart();
      else if (connection.isClosed) this.#fail(closed(parts));
    });
    options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** The next batch, or undefined when the signal has aborted. */
  async next(): Promise<readonly Delivery[] | undefined> {
    const { signal, max } = this.#options;
    for (;;) {
      if (signal.aborted) return undefined;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#buffer.length > 0)
        return this.#buffer.splice(0, max).sort((a, b) => a.entry.seq - b.entry.seq);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** The caller has ended this many deliveries. */
  done(count: number): void {
    this.#feed.release(count);
  }

  /** Ends; what was not handed out is given back. */
  leave(): Promise<void> {
    this.#left ??= this.#giveBack();
    return this.#left;
  }

  readonly #onAbort = (): void => {
    void this.leave();
    this.#rouse();
  };

  async #giveBack(): Promise<void> {
    this.#isLeaving = true;
    this.#options.signal.removeEventListener('abort', this.#onAbort);
    this.#forgetConnectivity();
    for (const delivery of this.#buffer.splice(0)) delivery.retry(0);
    await this.#feed.drain();
  }

  #createFeed(group: string | undefined): PullFeed {
    const { stream, consumer } = this.#parts;
    const { max, priority } = this.#options;
    return new PullFeed({
      connection: this.#connection,
      stream,
      consumer,
      capacity: max * 2,
      expiresMs: EXPIRES_MS,
      ...(group === undefined ? {} : { group, priority: priority ?? 0 }),
      onMessage: (message) => this.#receive(message),
      onTrouble: (trouble, message) => this.#onTrouble(trouble, message),
    });
  }

  #receive(message: Msg): void {
    const facts = deliveryFacts(message);
    if (facts === undefined) return;
    const delivery = new NatsDelivery(this.#connection.nc, message, facts);
    // On its way when the taker left.
    if (this.#isLeaving) return delivery.retry(0);
    this.#buffer.push(delivery);
    if (this.#wake !== undefined) this.#rouse();
  }

  #onTrouble(trouble: FeedTrouble, message: string): void {
    if (this.#isLeaving || this.#isLooking) return;
    if (trouble === 'silent') return this.#feed.restart();
    void this.#mend(trouble, message);
  }

  async #mend(trouble: FeedTrouble, message: string): Promise<void> {
    const { signal } = this.#options;
    this.#isLooking = true;
    try {
      await this.#look(trouble, message);
    } catch {
      // The broker does not say: it has no leader, or this user may not ask.
      await this.#connection.clock.sleep(LOOK_AGAIN_MS, signal);
    }
    this.#isLooking = false;
    if (!this.#isLeaving && this.#failure === undefined) this.#feed.restart();
  }

  /** Finds out what is wrong: fails for good, mends it, or rejects (or waits) when it is a matter of time. */
  async #look(trouble: FeedTrouble, message: string): Promise<void> {
    const { stream, consumer } = this.#parts;
    const what = `take from consumer ${consumer} of stream ${stream}`;
    const answer = await askApi(this.#connection, {
      family: 'QUEUE',
      what,
      subject: `$JS.API.CONSUMER.INFO.${stream}.${consumer}`,
      body: '',
      patience: LOOK_PATIENCE,
      signal: this.#options.signal,
    });
    if (answer.kind === 'error') {
      const kind = classifyAnswer(answer.error);
      if (kind === 'consumer-missing' || kind === 'stream-missing')
        this.#fail(answerFault('QUEUE', what, answer.error));
      return;
    }
    const config = answer.value['config'] as { readonly priority_groups?: readonly string[] } | undefined;
    const group = config?.priority_groups?.[0];
    if (trouble === 'refused' && group !== undefined && /priority group/i.test(message)) {
      this.#feed.stop();
      this.#feed = this.#createFeed(group);
      this.#feed.start();
    } else if (trouble === 'refused') this.#fail(portFault('QUEUE', 'REFUSED', `${what}: ${message}`));
    else await this.#connection.clock.sleep(LOOK_AGAIN_MS, this.#options.signal);
  }

  #fail(fault: Fault): void {
    this.#failure = fault;
    this.#rouse();
  }

  #rouse(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}
