// Runs — owns the run aggregate: answers its requests, turns reports into transitions, instructs runners, ends lost leases,
// sees to the time of questions, and folds the summaries `runs`, `activity` and `approvals`. Any number of instances may run. Does not run programs (see runner).
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { duration } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import type { Loop, ServiceContext } from '#libs/service/context.ts';
import { defineService, type ServedRequest } from '#libs/service/define-service.ts';
import { heard } from '#libs/service/heard.ts';
import { consumerLoop, projectionLoop, STEPS_TOGETHER } from '#libs/service/loops.ts';
import { reactorQueue } from '#libs/service/reactor-queue.ts';
import { scratchBucket } from '#streams/buckets.ts';
import { agentOfAdvisory, RUNNER_CONNECTIONS } from '#streams/broker-events.ts';
import { ACK_WAIT_MS, REACTORS_BUCKET, serviceConsumers, serviceReactors } from '#streams/consumers.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import { answerApprovalRequest } from './answers.ts';
import { createApprovalDeadlines } from './approval-deadlines.ts';
import { createClaims } from './claims.ts';
import { createInstructions, decodeInstructingTransition } from './instructions.ts';
import { createLateResults } from './late-results.ts';
import { createLostInstructions } from './lost-instructions.ts';
import { createLeases } from './leases.ts';
import { createLostLeases } from './lost-leases.ts';
import { createLostRunners, type LostRunners } from './lost-runners.ts';
import { activityProjection, approvalsProjection, runsProjection } from './projections.ts';
import { decodeTurnReport, handleTurnReport } from './reports.ts';
import { runRequests } from './requests.ts';
import { createRunLog } from './run-log.ts';
import { createSessionCheck } from './session-check.ts';
import { createSteadyBroker } from '#libs/service/steady-broker.ts';
import { createUnfinishedRuns } from './unfinished-runs.ts';
import { unstickRequest } from './unstick.ts';

const RunsConfig = configSchema({
  sweepMs: duration({ min: 1000 })
    .default(10_000)
    .describe(
      'How often unfinished runs are checked for a lost lease that no watch has told of, and for a lost instruction.',
    ),
  disconnectGraceMs: duration({ min: 0 })
    .default(400)
    .describe(
      'How long the ended connection of a runner may stay away before the runs of tasks that it holds go to others.',
    ),
});
type RunsConfig = ConfigOf<typeof RunsConfig>;

/** After a pause of the broker, or of this process, everybody has so long to speak: longer than a busy runner may be silent. */
const STEADY_MS = 2500;

/**
 * Entries worked on at once: each waits for one append, and the busier this process the longer. After a restart with 10,000 runs pending
 * 64 took 12 s to instruct them all, and 256 take 8.
 */
const WIDTH = 256;

/** What loops and requests of one instance share: the aggregate orders commands by subject, so there is one of it. */
const partsOf = (context: ServiceContext<RunsConfig>) => {
  const { clock, ids, redactor } = context;
  const runLog = createRunLog({ log: context.log('TRANSITIONS'), clock, ids });
  const leases = createLeases(context.bucket('leases'), clock);
  const instructions = createInstructions({ runLog, commands: context.log('COMMANDS'), clock });
  const deadLetters = createDeadLetters({ log: context.log('DEADLETTERS'), build: buildDeadLetter });
  const deadlines = createApprovalDeadlines({
    runLog,
    bucket: context.bucket('leases'),
    clock,
    onTrouble: (runId, fault) =>
      context.logger.warn('a question whose time is over is left to the sweep', { runId, error: fault }),
  });
  const events = context.log('EVENTS');
  const handleReport = handleTurnReport({ runLog, leases, deadlines, events, redactor, clock });
  const lostLeases = createLostLeases({
    runLog,
    leases,
    instructions,
    lateResults: createLateResults({ events, handle: handleReport }),
    clock,
    bucket: context.bucket('leases'),
    onTrouble: (runId, fault) =>
      context.logger.warn('lost lease is left to the sweep', { runId, error: fault }),
  });
  const unfinished = createUnfinishedRuns(
    { log: context.log('TRANSITIONS'), kv: context.bucket('runs') },
    () => steady.isNeededNow(),
  );
  const steady = createSteadyBroker(context.bucket('presence'), clock, {
    forMs: STEADY_MS,
    isNeeded: () => unfinished.held().length > 0,
  });
  const lostRunners = createLostRunners({
    runLog,
    leases,
    unfinished,
    look: (boundary, runId) => lostLeases.look(boundary, runId),
    presence: context.bucket('presence'),
    steady,
    clock,
    graceMs: context.config.disconnectGraceMs,
    onGone: (agent, why, count) =>
      context.logger.warn('runs of tasks are taken back from a runner that is gone', {
        agent,
        why,
        runs: count,
      }),
    onTrouble: (agent, fault) =>
      context.logger.warn('the runs of a runner that is gone are left to their leases', {
        agent,
        error: fault,
      }),
  });
  const watched = { lostLeases, unfinished, handleReport, steady, lostRunners };
  return { clock, runLog, leases, deadlines, events, instructions, deadLetters, redactor, ...watched };
};
type RunsParts = ReturnType<typeof partsOf>;

const parts = new WeakMap<ServiceContext<RunsConfig>, RunsParts>();

const sharedParts = (context: ServiceContext<RunsConfig>): RunsParts => {
  const known = parts.get(context);
  if (known !== undefined) return known;
  const made = partsOf(context);
  parts.set(context, made);
  return made;
};

const workLoops = (context: ServiceContext<RunsConfig>): Loop[] => {
  const { instructions, deadLetters, handleReport } = sharedParts(context);
  const { runReports } = serviceConsumers;
  const { runInstructions } = serviceReactors;
  return [
    consumerLoop(context, {
      name: runReports.name,
      queue: context.queue(runReports.stream, runReports.name),
      decode: decodeTurnReport,
      lane: ({ runId }) => runId,
      handle: (report) => handleReport(report),
      deadLetters,
      limits: { ackWaitMs: ACK_WAIT_MS, width: WIDTH },
      // Which instance is preferred does not matter; that it is one keeps the reports of a run in order.
      priority: Math.floor(context.ids.random() * 10),
    }),
    consumerLoop(context, {
      name: runInstructions.name,
      queue: reactorQueue(context, runInstructions, REACTORS_BUCKET),
      decode: decodeInstructingTransition,
      lane: ({ event }) => event.runId,
      handle: (transition) => instructions.handle(transition),
      deadLetters,
      limits: { ackWaitMs: ACK_WAIT_MS, width: WIDTH },
    }),
    projectionLoop(context, {
      projection: runsProjection,
      deadLetters,
      scratch: scratchBucket,
      limits: STEPS_TOGETHER,
    }),
    projectionLoop(context, { projection: activityProjection, deadLetters, scratch: scratchBucket }),
    projectionLoop(context, { projection: approvalsProjection, deadLetters, scratch: scratchBucket }),
  ];
};

const leaseLoops = (context: ServiceContext<RunsConfig>): Loop[] => {
  const shared = sharedParts(context);
  const { clock, runLog, deadlines, instructions, unfinished, lostLeases } = shared;
  const lostInstructions = createLostInstructions({
    runLog,
    instructions,
    commands: context.log('COMMANDS'),
    clock,
    onTrouble: (runId, fault) =>
      context.logger.warn('lost instruction is left to the next sweep', { runId, error: fault }),
  });
  const { sweepMs } = context.config;
  return [
    { name: 'unfinished-runs', run: (signal) => unfinished.watch(signal) },
    { name: 'steady-broker', run: (signal) => shared.steady.run(signal) },
    { name: 'lost-runners', run: (signal) => shared.lostRunners.watch(signal) },
    { name: 'lost-leases', run: (signal) => lostLeases.watch(signal) },
    { name: 'lease-sweep', run: (signal) => lostLeases.sweep(unfinished, sweepMs, signal) },
    { name: 'approval-deadlines', run: (signal) => deadlines.watch(signal) },
    { name: 'approval-sweep', run: (signal) => deadlines.sweep(unfinished, sweepMs, signal) },
    { name: 'instruction-sweep', run: (signal) => lostInstructions.sweep(unfinished, sweepMs, signal) },
  ];
};

/** What the broker says of runners' connections, told to every instance: `group` is its own. */
const connectionNews = (lostRunners: LostRunners, group: string): readonly ServedRequest[] => {
  const { made, ended } = RUNNER_CONNECTIONS;
  const ear = { group, read: agentOfAdvisory };
  return [
    heard({ ...ear, subject: made.heardAt }, (agent) => lostRunners.connected(agent)),
    heard({ ...ear, subject: ended.heardAt }, (agent) => lostRunners.disconnected(agent)),
  ];
};

export const runs = defineService({
  name: 'runs',
  config: RunsConfig,
  loops: (context) => [...workLoops(context), ...leaseLoops(context)],
  requests: (context) => {
    const shared = sharedParts(context);
    const { clock, runLog, leases, deadlines, events, redactor, instructions } = shared;
    const claims = createClaims({ runLog, leases, clock });
    const answerApproval = answerApprovalRequest({ runLog, deadlines, events, redactor, clock });
    const presence = context.bucket('presence');
    const unstick = unstickRequest({ ...shared, presence, commands: context.log('COMMANDS') });
    return [
      ...runRequests({
        runLog,
        instructions,
        checkSession: createSessionCheck(context.log('TRANSITIONS'), context.bucket('sessions')),
        claims,
        answerApproval,
        unstick,
        presence,
        redactor,
        clock,
      }),
      ...connectionNews(shared.lostRunners, `runs-${context.ids.ulid()}`),
    ];
  },
});
