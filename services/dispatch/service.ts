// Dispatch — decides which waiting task goes to which free runner, within the limits, and asks the tasks service to hand it over; takes
// back what a runner that went away had not begun. Owns nothing: what it knows is folded from the log, and a hand-over that is not on
// the log was not made. Any number of instances may run. Does not create runs (see tasks).
import { duration, integer, list, size } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { defineService, type ServedRequest } from '#libs/service/define-service.ts';
import { ok } from '#libs/service/request-answer.ts';
import { serveRequest } from '#libs/service/serve-request.ts';
import { DISPATCH_REQUESTS, MOST_LINES } from '#streams/dispatch-requests.ts';
import { controlPlaneOf, requestFilter } from '#streams/subjects.ts';
import { runDispatcher, type Explain } from './dispatcher.ts';
import type { Limits } from './limits.policy.ts';
import { askTasksBy } from './ask-tasks.ts';
import { createDepartures, type Departures } from './departures.ts';

const MIB = 1024 * 1024;
const NAME = '[a-z0-9][a-z0-9_-]{0,63}';
const limitOf = (what: string, example: string) =>
  list({ pattern: new RegExp(`^${what}=\\d{1,6}$`), expects: `such as ${example}` });

const DispatchConfig = configSchema({
  fleetLimit: integer({ min: 0 })
    .default(0)
    .describe('Tasks under way at once, of each tenant and project; 0: as many as there are free runners.'),
  queueLimit: integer({ min: 0 })
    .default(0)
    .describe('The same of each queue that queueLimits does not name; 0: no limit.'),
  queueLimits: limitOf(NAME, 'fix=2').default([]).describe('The same of queues by name; 0 pauses the queue.'),
  laneLimits: limitOf(`${NAME}/${NAME}`, 'fix/slow=1')
    .default([])
    .describe('The same of lanes of queues; 0 pauses the lane.'),
  agentLimits: limitOf(NAME, 'builder-1=1')
    .default([])
    .describe('Runs of an agent at once, where its runner would do more; 0: it gets no tasks.'),
  providerLimits: limitOf(NAME, 'claude=3')
    .default([])
    .describe('Tasks under way at once by provider; 0 pauses it.'),
  hostLimit: integer({ min: 0 })
    .default(0)
    .describe(
      'Runs at once on each machine that hostLimits does not name, over all runners there; 0: no limit.',
    ),
  hostLimits: limitOf(NAME, 'build-box=4')
    .default([])
    .describe('The same of machines by name; 0: it gets no tasks.'),
  hostMemoryFloorBytes: size({ min: 0 })
    .default(128 * MIB)
    .describe(
      'Memory that has to stay free on a machine that gets a task, as its runners measure it; 0: none.',
    ),
  taskMemoryBytes: size({ min: 0 })
    .default(256 * MIB)
    .describe(
      'Memory that a task is expected to need, until a measurement shows what it does; 0: not known.',
    ),
  hostDiskFloorBytes: size({ min: 0 })
    .default(256 * MIB)
    .describe('Disk that has to be free on a machine that gets a task; 0: none.'),
  recallAfterMs: duration({ min: 0 })
    .default(5000)
    .describe('How long a runner may be gone before tasks that it has not begun go to others.'),
  disconnectGraceMs: duration({ min: 0 })
    .default(400)
    .describe(
      'How long the ended connection of a runner may stay away before it gets no more tasks and those that it has not begun go to others.',
    ),
  requestTimeoutMs: duration({ min: 100 })
    .default(5000)
    .describe('How long the owner of tasks may take to answer.'),
  maxKnown: integer({ min: 1000 })
    .default(1_000_000)
    .describe('Tasks, and runs, whose summaries are read at the start.'),
});
type DispatchSettings = ConfigOf<typeof DispatchConfig>;

const byName = (given: readonly string[]): ReadonlyMap<string, number> =>
  new Map(
    given.map((text) => {
      const [name = '', most] = text.split('=');
      return [name, Number(most)];
    }),
  );

const limitsOf = (config: DispatchSettings): Limits => ({
  ...(config.fleetLimit > 0 && { fleet: config.fleetLimit }),
  ...(config.queueLimit > 0 && { eachQueue: config.queueLimit }),
  queues: byName(config.queueLimits),
  lanes: byName(config.laneLimits),
  agents: byName(config.agentLimits),
  providers: byName(config.providerLimits),
  ...(config.hostLimit > 0 && { eachHost: config.hostLimit }),
  hosts: byName(config.hostLimits),
  hostMemoryFloorBytes: config.hostMemoryFloorBytes,
  taskMemoryBytes: config.taskMemoryBytes,
  hostDiskFloorBytes: config.hostDiskFloorBytes,
});

type Context = ServiceContext<DispatchSettings>;

/** Of each instance, who can say why tasks wait; absent before it has caught up. */
const explainers = new WeakMap<Context, Explain>();

/** Of each instance. */
const departures = new WeakMap<Context, Departures>();

const departuresOf = (context: Context): Departures => {
  const known = departures.get(context) ?? createDepartures(context.clock, context.config.disconnectGraceMs);
  departures.set(context, known);
  return known;
};

const explain = (context: Context): ServedRequest =>
  serveRequest({
    subject: requestFilter('dispatch', 'explain'),
    askerOf: controlPlaneOf,
    schema: DISPATCH_REQUESTS.explain.request,
    handle: async (boundary, { queue }) => {
      const known = explainers.get(context);
      if (known === undefined)
        throw new Fault({ code: 'VIEW_BEHIND', retry: 'later', message: 'dispatch has not caught up yet' });
      const lines = known(boundary, queue);
      return ok({ lines: lines.slice(0, MOST_LINES), hasMore: lines.length > MOST_LINES });
    },
  });

export const dispatch = defineService({
  name: 'dispatch',
  config: DispatchConfig,
  loops: (context) => {
    const { clock, ids, config, logger, requests } = context;
    return [
      {
        name: 'dispatcher',
        run: (signal) =>
          runDispatcher(
            {
              log: context.log('TRANSITIONS'),
              bucket: (name) => context.bucket(name),
              clock,
              ids,
              ask: askTasksBy(requests.client, config.requestTimeoutMs),
              limits: limitsOf(config),
              recallAfterMs: config.recallAfterMs,
              departures: departuresOf(context),
              maxKeys: config.maxKnown,
              onTrouble: (fault) => logger.warn('a hand-over will be tried again', { error: fault }),
              onSetAside: (taskId) =>
                logger.error('a task cannot be handed over and is left aside', {
                  taskId,
                  remedy: `look at it with: fleetlog task show ${taskId}`,
                }),
              onUnreadable: ({ subject, seq }, problem) =>
                logger.error('an entry cannot be read and is passed over', { subject, seq, problem }),
              onReady: (known) => {
                explainers.set(context, known);
                logger.info('dispatch has caught up');
              },
            },
            signal,
          ),
      },
    ];
  },
  requests: (context) => [explain(context), ...departuresOf(context).news(`dispatch-${context.ids.ulid()}`)],
});
