// Tasks — owns the task aggregate: answers its requests, hands over what dispatch decides (fenced against a second dispatcher), causes
// and ends the runs of attempts, moves tasks by what their runs do, and folds the summary `tasks`. Any number of instances may run.
// Does not choose agents (see dispatch) and does not run programs.
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { duration } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { defineService } from '#libs/service/define-service.ts';
import { consumerLoop, projectionLoop, STEPS_TOGETHER } from '#libs/service/loops.ts';
import { reactorQueue } from '#libs/service/reactor-queue.ts';
import { scratchBucket } from '#streams/buckets.ts';
import { ACK_WAIT_MS, REACTORS_BUCKET, serviceConsumers, serviceReactors } from '#streams/consumers.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import { createAssign } from './assignments.ts';
import { createAttempts, decodeAttemptTransition } from './attempts.ts';
import type { HandOverParts } from './hand-over.ts';
import { createOrders } from './orders.ts';
import { tasksProjection } from './projections.ts';
import { taskRequests } from './requests.ts';
import { createRunNews } from './run-news.ts';
import { createSessionCheck } from './session-check.ts';
import { createSingleGrants, decodeSingleGrant } from './single-grant.ts';
import { createTaskLog } from './task-log.ts';

const TasksConfig = configSchema({
  requestTimeoutMs: duration({ min: 100 })
    .default(5000)
    .describe('How long the owner of runs may take to answer; it is asked again and again.'),
});
type Context = ServiceContext<ConfigOf<typeof TasksConfig>>;

/** What loops and requests of one instance share: the aggregate orders commands by subject, so there is one of it. */
const partsOf = (context: Context) => {
  const { clock, ids, requests, config } = context;
  const log = context.log('TRANSITIONS');
  const taskLog = createTaskLog({ log, clock, ids });
  const timeoutMs = config.requestTimeoutMs;
  const attempts = createAttempts({ taskLog, requests: requests.client, timeoutMs, clock });
  const onHandingOver: HandOverParts['onHandingOver'] = (causation, handedOver) =>
    attempts.beginSoon(causation, handedOver);
  const handOver = { taskLog, log, clock, onHandingOver };
  return { ...handOver, attempts, singles: createSingleGrants(handOver) };
};

const known = new WeakMap<Context, ReturnType<typeof partsOf>>();

const sharedParts = (context: Context): ReturnType<typeof partsOf> => {
  const made = known.get(context) ?? partsOf(context);
  known.set(context, made);
  return made;
};

export const tasks = defineService({
  name: 'tasks',
  config: TasksConfig,
  loops: (context) => {
    const { taskLog, singles, attempts } = sharedParts(context);
    const { taskAttempts } = serviceConsumers;
    const { taskRuns, taskGrants } = serviceReactors;
    const deadLetters = createDeadLetters({ log: context.log('DEADLETTERS'), build: buildDeadLetter });
    const news = createRunNews({ taskLog, log: context.log('TRANSITIONS') });
    return [
      consumerLoop(context, {
        name: taskAttempts.name,
        queue: context.queue(taskAttempts.stream, taskAttempts.name),
        decode: decodeAttemptTransition,
        lane: ({ event }) => event.taskId,
        handle: (transition) => attempts.handle(transition),
        deadLetters,
        limits: { ackWaitMs: ACK_WAIT_MS },
      }),
      consumerLoop(context, {
        name: taskGrants.name,
        queue: reactorQueue(context, taskGrants, REACTORS_BUCKET),
        decode: decodeSingleGrant,
        lane: ({ granted }) => granted.taskId,
        handle: (grant) => singles.handle(grant),
        deadLetters,
        limits: { ackWaitMs: ACK_WAIT_MS },
      }),
      consumerLoop(context, {
        name: taskRuns.name,
        queue: reactorQueue(context, taskRuns, REACTORS_BUCKET),
        decode: (entry) => news.decode(entry),
        lane: ({ event }) => event.runId,
        handle: (entry) => news.handle(entry),
        deadLetters,
        limits: { ackWaitMs: ACK_WAIT_MS },
      }),
      projectionLoop(context, {
        projection: tasksProjection,
        deadLetters,
        scratch: scratchBucket,
        limits: STEPS_TOGETHER,
      }),
    ];
  },
  requests: (context) => {
    const shared = sharedParts(context);
    const { redactor } = context;
    const checkSession = createSessionCheck(shared.log, context.bucket('sessions'));
    return taskRequests({
      ...createOrders({ ...shared, redactor, checkSession }),
      assign: createAssign(shared),
    });
  },
});
