// What a consumer is given, what it promises, and its limits. Runs nothing (see run-consumer.ts).
import type { Clock } from '#libs/ports/clock.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { WorkQueue } from '#libs/ports/work-queue.ts';
import type { BackoffPolicy } from './backoff.ts';
import type { ConsumerEvent } from './consumer-event.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { Handled, TryLimits } from './disposition.ts';
import type { HandlerContext } from './in-hand.ts';

export interface ConsumerLimits extends TryLimits {
  /** Most entries in hand at once; default 256. */
  readonly maxInHand: number;
  /** Most handlers that run at once; default 32. */
  readonly width: number;
  /** Most entries in hand of a lane whose head waits for its retry; those behind are given back, so that other lanes go on. Default 32. */
  readonly maxHeldInLane: number;
  /** The ack wait of the durable consumer; entries in hand are extended three times as often. Default 30,000 ms. */
  readonly ackWaitMs: number;
  /** Waits between tries; default 200 ms doubling to 30 s. */
  readonly backoff: BackoffPolicy;
  /** How long {@link RunningConsumer.stop} lets work finish; default 10,000 ms. */
  readonly drainMs: number;
}

export const CONSUMER_DEFAULTS: ConsumerLimits = {
  maxInHand: 256,
  width: 32,
  maxHeldInLane: 32,
  ackWaitMs: 30_000,
  maxAttempts: 10,
  maxImmediate: 5,
  backoff: { baseMs: 200, maxMs: 30_000 },
  drainMs: 10_000,
};

export interface ConsumerOptions<Message> {
  /** Name of the durable consumer: part of dead-letter ids, so it never changes. */
  readonly name: string;
  /** The service it belongs to; default: the name. */
  readonly service?: string;
  readonly queue: WorkQueue;
  /** Pure. Undefined: not for this consumer (acknowledged). Anything thrown parks the entry as `undecodable`. */
  readonly decode: (entry: StoredEntry) => Message | undefined;
  /** Messages of one lane are handled one after another, in stream order. */
  readonly lane: (message: Message, entry: StoredEntry) => string;
  readonly handle: (message: Message, context: HandlerContext) => Promise<Handled>;
  readonly deadLetters: DeadLetters;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly limits?: Partial<ConsumerLimits>;
  /** Prioritized queues only: lower wins. */
  readonly priority?: number;
  readonly observe?: (event: ConsumerEvent) => void;
  /** An invariant broke, or the queue does not exist: end the process. Called once. */
  readonly onFatal: (error: unknown) => void;
}

export type ConsumerState = 'running' | 'stopping' | 'stopped' | 'failed';

export interface RunningConsumer {
  readonly name: string;
  readonly state: () => ConsumerState;
  /** Entries taken and neither acknowledged, parked nor given back. */
  readonly inHand: () => number;
  /** Resolves when nothing is in hand. */
  readonly drained: () => Promise<void>;
  /** Stops taking, finishes what is in hand within `drainMs` (0: at once), gives back the rest. Repeatable; never rejects. */
  readonly stop: (drainMs?: number) => Promise<void>;
  /** Resolves when the consumer is stopped or failed. */
  readonly finished: Promise<void>;
}
