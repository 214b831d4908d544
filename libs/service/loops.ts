// Consumers and projections as the loops of a service: measured, logged, ended by the drain, restarted by the supervisor.
// Adds nothing to how they work (see libs/consumers and libs/projections).
import type { ConsumerEvent } from '#libs/consumers/consumer-event.ts';
import type { DeadLetters } from '#libs/consumers/dead-letters.ts';
import type { ConsumerOptions } from '#libs/consumers/consumer-options.ts';
import { runConsumer } from '#libs/consumers/run-consumer.ts';
import type { ProjectionEvent, ProjectionLimits } from '#libs/projections/parts.ts';
import type { Projection } from '#libs/projections/projection.ts';
import { parkPoison, runProjection } from '#libs/projections/run-projection.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import type { Loop, ServiceContext } from './context.ts';

/** What a started consumer or projection has in common. */
interface Running {
  readonly finished: Promise<void>;
  stop(): Promise<void>;
}

/** Runs until the signal aborts and it has stopped; throws what it called fatal. */
const runUntil = async (
  signal: AbortSignal,
  start: (onFatal: (error: unknown) => void) => Running,
): Promise<void> => {
  let failure: { readonly error: unknown } | undefined;
  const running = start((error) => {
    failure = { error };
  });
  const stop = (): void => void running.stop();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  await running.finished;
  signal.removeEventListener('abort', stop);
  if (failure !== undefined) throw failure.error;
};

/** The drain of a consumer ends before that of its service, so that what is undone is given back in time. */
const shareOfDrain = 0.8;

const logConsumerEvent = (logger: Logger, event: ConsumerEvent): void => {
  switch (event.kind) {
    case 'retrying': {
      const { entry, fault, waitMs } = event;
      logger.warn('entry will be tried again', {
        subject: entry.subject,
        seq: entry.seq,
        waitMs,
        error: fault,
      });
      return;
    }
    case 'parked': {
      const { entry, fault, reason, letterSeq } = event;
      logger.error('entry is parked', {
        subject: entry.subject,
        seq: entry.seq,
        reason,
        letterSeq,
        error: fault,
      });
      return;
    }
    case 'park-failed':
      logger.error('dead letter could not be stored', { seq: event.entry.seq, error: event.fault });
      return;
    case 'interrupted':
      logger.warn('queue is away', { waitMs: event.waitMs, error: event.fault });
      return;
    case 'given-back':
      logger.debug('entry is given back undone', { seq: event.entry.seq });
      return;
    case 'received':
    case 'skipped':
    case 'handled':
    case 'fatal':
      // Counted, or told by the supervisor.
      return;
  }
};

const countConsumerEvent = (
  context: Pick<ServiceContext, 'hooks'>,
  consumer: string,
  event: ConsumerEvent,
): void => {
  const hooks = context.hooks.consumer;
  if (event.kind === 'handled') {
    hooks.entry(consumer, event.result.kind === 'rejected' ? 'rejected' : 'handled', event.durationMs);
  } else if (event.kind === 'skipped' || event.kind === 'parked') hooks.entry(consumer, event.kind);
  else if (event.kind === 'retrying') hooks.entry(consumer, 'retried');
};

/** What the service says of a consumer; the rest comes from its context. */
export type ConsumerLoopOptions<Message> = Omit<
  ConsumerOptions<Message>,
  'service' | 'clock' | 'ids' | 'observe' | 'onFatal'
>;

/** A consumer as a loop, named as the consumer is. */
export const consumerLoop = <Message>(
  context: ServiceContext,
  options: ConsumerLoopOptions<Message>,
): Loop => {
  const logger = context.logger.child({ consumer: options.name });
  return {
    name: options.name,
    run: (signal) =>
      runUntil(signal, (onFatal) => {
        const consumer = runConsumer({
          ...options,
          service: context.name,
          clock: context.clock,
          ids: context.ids,
          onFatal,
          observe: (event) => {
            countConsumerEvent(context, options.name, event);
            if (event.kind === 'received') {
              context.hooks.consumer.backlog(options.name, event.pending, consumer.inHand());
            } else logConsumerEvent(logger, event);
          },
        });
        return {
          finished: consumer.finished,
          stop: () => consumer.stop(context.drainMs * shareOfDrain),
        };
      }),
  };
};

/** What the service says of a projection; log, bucket and the rest come from its context. */
export interface ProjectionLoopOptions<Event, State extends object> {
  readonly projection: Projection<Event, State>;
  readonly deadLetters: DeadLetters;
  /**
   * The name of the empty bucket beside a live one. With it a bucket that an older version has folded, or that is ahead of its log, is folded
   * anew at the start, while readers go on with the old one; without it somebody has to ask for that.
   */
  readonly scratch?: (bucket: string) => string;
  readonly limits?: Partial<ProjectionLimits>;
}

const logProjectionEvent = (logger: Logger, event: ProjectionEvent): void => {
  switch (event.kind) {
    case 'active':
      logger.info('projection is active', { fromSeq: event.fromSeq });
      return;
    case 'standby':
      logger.info('projection stands by', { reason: event.reason });
      return;
    case 'lost-tail':
      logger.warn('bucket lost its tail and is folded again', { fromSeq: event.seq });
      return;
    case 'rebuilding':
      logger.warn('bucket is folded anew from the log', { why: event.why.code });
      return;
    case 'rebuilt':
      logger.info('bucket was folded anew', { seq: event.seq, keys: event.keys, written: event.written });
      return;
    case 'poison': {
      const { entry, stage, error } = event.poison;
      logger.error('entry cannot be folded', { subject: entry.subject, seq: entry.seq, stage, error });
      return;
    }
    case 'newer':
      logger.warn(
        'entries of a newer version are passed over: the version that knows them folds the bucket anew',
        {
          type: event.type,
          subject: event.entry.subject,
          seq: event.entry.seq,
        },
      );
      return;
    case 'healed':
      logger.warn('value was unreadable and is folded again', { bucketKey: event.key });
      return;
    case 'interrupted':
      logger.warn('projection is interrupted', { waitMs: event.waitMs, error: event.fault });
      return;
    case 'batch':
    case 'position':
      return;
  }
};

/**
 * What follows one thing that is asked for comes within this time; the position is then written once and not after each of its steps, among which
 * somebody waits for the next.
 */
const POSITION_MS = 15;

/** The same of the keys, for a summary of such steps: the first is shown at once, those that follow it together. */
export const STEPS_TOGETHER: Partial<ProjectionLimits> = { paceMs: POSITION_MS };

/** A projection as a loop, named as the projection is. */
export const projectionLoop = <Event, State extends object>(
  context: ServiceContext,
  options: ProjectionLoopOptions<Event, State>,
): Loop => {
  const { projection, deadLetters, scratch, limits } = options;
  const logger = context.logger.child({ projection: projection.name });
  const hooks = context.hooks.projection;
  const observe = (event: ProjectionEvent): void => {
    if (event.kind === 'batch') {
      hooks.batch(projection.name, event.entries, event.keys, event.durationMs);
      hooks.lag(projection.name, event.lagMs);
    } else if (event.kind === 'position') hooks.position(projection.name, event.seq);
    else logProjectionEvent(logger, event);
  };
  const onPoison = parkPoison(deadLetters, {
    projection: projection.name,
    stream: projection.stream,
    service: context.name,
    clock: context.clock,
  });
  return {
    name: projection.name,
    run: (signal) =>
      runUntil(signal, (onFatal) =>
        runProjection({
          projection,
          log: context.log(projection.stream),
          kv: context.bucket(projection.bucket),
          clock: context.clock,
          ids: context.ids,
          onPoison,
          onFatal,
          observe,
          ...(scratch === undefined ? {} : { scratch: context.bucket(scratch(projection.bucket)) }),
          limits: { positionMs: POSITION_MS, ...limits },
        }),
      ),
  };
};
