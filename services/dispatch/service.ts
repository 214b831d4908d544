// Dispatch — decides which waiting task goes to which free runner, within the limits, and asks the tasks service to hand it over; takes
// back what a runner that went away had not begun. Owns nothing: what it knows is folded from the log, and a hand-over that is not on
// the log was not made. Any number of instances may run. Does not create runs (see tasks).
import { duration, integer, list } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import { defineService } from '#libs/service/define-service.ts';
import { runDispatcher } from './dispatcher.ts';
import type { Limits } from './limits.policy.ts';
import { askTasksBy } from './ask-tasks.ts';

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
  recallAfterMs: duration({ min: 0 })
    .default(5000)
    .describe('How long a runner may be gone before tasks that it has not begun go to others.'),
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
              maxKeys: config.maxKnown,
              onTrouble: (fault) => logger.warn('a hand-over will be tried again', { error: fault }),
              onSetAside: (taskId) =>
                logger.error('a task cannot be handed over and is left aside', {
                  taskId,
                  remedy: `look at it with: fleetlog task show ${taskId}`,
                }),
              onUnreadable: ({ subject, seq }, problem) =>
                logger.error('an entry cannot be read and is passed over', { subject, seq, problem }),
              onReady: () => logger.info('dispatch has caught up'),
            },
            signal,
          ),
      },
    ];
  },
});
