// Sessions — owns the session aggregate: the first run of a session opens it, what programs say of their conversation is bound to it, people
// and keepers of storage say the rest; gives up the storage of sessions whose time is over; keeps what readers have seen (bucket `cursors`);
// and folds the summary (bucket `sessions`) from the transitions of sessions and runs. Any number of instances may run.
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { duration } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import type { Loop, ServiceContext } from '#libs/service/context.ts';
import { defineService } from '#libs/service/define-service.ts';
import { consumerLoop, projectionLoop, STEPS_TOGETHER } from '#libs/service/loops.ts';
import { reactorQueue } from '#libs/service/reactor-queue.ts';
import { ok } from '#libs/service/request-answer.ts';
import { scratchBucket } from '#streams/buckets.ts';
import { ACK_WAIT_MS, REACTORS_BUCKET, serviceConsumers, serviceReactors } from '#streams/consumers.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import { createBinding, decodeBoundConversation } from './binding.ts';
import { createCollector } from './collector.ts';
import { createCursors } from './cursors.ts';
import { createEvictions } from './evictions.ts';
import { createExpiringSessions } from './expiring-sessions.ts';
import { createOpening, decodeRunInSession } from './opening.ts';
import { createOrders } from './orders.ts';
import { sessionsProjection } from './projections.ts';
import { sessionRequests } from './requests.ts';
import { createSessionLog } from './session-log.ts';

const SessionsConfig = configSchema({
  collectMs: duration({ min: 1000 })
    .default(60_000)
    .describe('How often sessions whose time is over are looked for, to give up their storage.'),
  requestTimeoutMs: duration({ min: 100 })
    .default(5000)
    .describe('How long the owner of runs may take to answer; it is asked again and again.'),
});
type Context = ServiceContext<ConfigOf<typeof SessionsConfig>>;

/** Nobody waits for the session of a task, and it is open before its program speaks. */
const OPENS_AFTER_MS = 15;
/** How long an eviction waits for its summary; whoever asks gives up a little later. */
const EVICTION_MS = 4000;

/** What loops and requests of one instance share: the aggregate orders commands by subject, so there is one of it. */
const partsOf = (context: Context) => {
  const { clock, ids, requests, config, logger } = context;
  const log = context.log('TRANSITIONS');
  const sessionLog = createSessionLog({ log, clock, ids });
  const summaries = context.bucket('sessions');
  const opening = createOpening({
    sessionLog,
    requests: requests.client,
    timeoutMs: config.requestTimeoutMs,
  });
  const expiring = createExpiringSessions(summaries, clock);
  const evictions = createEvictions({ sessionLog, expiring, summaries, withinMs: EVICTION_MS });
  return {
    sessionLog,
    evictions,
    expiring,
    opening,
    binding: createBinding({ sessionLog, opening, log }),
    cursors: createCursors(context.bucket('cursors'), clock),
    collector: createCollector({
      evictions,
      expiring,
      leases: context.bucket('leases'),
      clock,
      owner: ids.ulid(),
      onTrouble: (sessionId, error) =>
        logger.warn('the storage of a session is left to the next round', { sessionId, error }),
    }),
  };
};

const known = new WeakMap<Context, ReturnType<typeof partsOf>>();

const sharedParts = (context: Context): ReturnType<typeof partsOf> => {
  const made = known.get(context) ?? partsOf(context);
  known.set(context, made);
  return made;
};

const loopsOf = (context: Context): Loop[] => {
  const { opening, binding, expiring, collector } = sharedParts(context);
  const { sessionBindings } = serviceConsumers;
  const { sessionOpenings } = serviceReactors;
  const deadLetters = createDeadLetters({ log: context.log('DEADLETTERS'), build: buildDeadLetter });
  return [
    consumerLoop(context, {
      name: sessionOpenings.name,
      queue: reactorQueue(context, sessionOpenings, REACTORS_BUCKET),
      decode: decodeRunInSession,
      lane: ({ run }) => run.sessionId,
      handle: async (created) => {
        // A runner is about to claim the attempt of a task, on the same stream: that goes first.
        if (created.run.task !== undefined) await context.clock.sleep(OPENS_AFTER_MS);
        return opening.handle(created);
      },
      deadLetters,
      // Each waits for one append, and the busier the broker the longer.
      limits: { ackWaitMs: ACK_WAIT_MS, width: 256 },
    }),
    consumerLoop(context, {
      name: sessionBindings.name,
      queue: context.queue(sessionBindings.stream, sessionBindings.name),
      decode: decodeBoundConversation,
      lane: ({ sessionId }) => sessionId,
      handle: (bound) => binding.handle(bound),
      deadLetters,
      limits: { ackWaitMs: ACK_WAIT_MS },
    }),
    projectionLoop(context, {
      projection: sessionsProjection,
      deadLetters,
      scratch: scratchBucket,
      limits: STEPS_TOGETHER,
    }),
    { name: 'expiring-sessions', run: (signal) => expiring.watch(signal) },
    { name: 'collector', run: (signal) => collector.run(context.config.collectMs, signal) },
  ];
};

export const sessions = defineService({
  name: 'sessions',
  config: SessionsConfig,
  loops: loopsOf,
  requests: (context) => {
    const { sessionLog, evictions, cursors, collector } = sharedParts(context);
    return sessionRequests({
      ...createOrders({ sessionLog, evictions, redactor: context.redactor }),
      collect: async (boundary, asked) => {
        const collected = await collector.collect({ boundary, ...asked });
        return ok({
          evicted: collected.sessions.map(({ sessionId, name, expiresAt }) => ({
            sessionId,
            name,
            expiresAt,
          })),
          hasMore: collected.hasMore,
        });
      },
      'mark-read': async (boundary, seen) => ok(await cursors.markRead(boundary, seen)),
    });
  },
});
