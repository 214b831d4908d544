// Lifecycle — owns the policy aggregate: keeps the agents that policies want, on hosts, and says why when it cannot. Answers what people
// ask of policies, follows hosts, runners, mail and timers, instructs hosts, and folds `policies` and `agents`. Driven by what happens and
// by timers in the broker: it never goes through all policies but once, when it begins. Any number of instances may run. Starts no process
// itself (see host).
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { ok } from '#libs/consumers/disposition.ts';
import { decimal, duration, integer } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import type { Loop, ServiceContext } from '#libs/service/context.ts';
import { defineService } from '#libs/service/define-service.ts';
import { consumerLoop, projectionLoop } from '#libs/service/loops.ts';
import { scratchBucket } from '#streams/buckets.ts';
import { createSteadyBroker } from '#libs/service/steady-broker.ts';
import { ACK_WAIT_MS, serviceConsumers } from '#streams/consumers.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import { Directory } from './directory.ts';
import { createEvidence } from './evidence.ts';
import { createFirstWords } from './first-words.ts';
import { HostBoard } from './host-board.ts';
import { createInstructions, decodePolicyTransition } from './instructions.ts';
import { createMailForwarding, decodePolicyMail, handlePolicyMail } from './policy-mail.ts';
import { createKeeper } from './keeper.ts';
import { runLookout } from './lookout.ts';
import { policyRequests } from './orders.ts';
import { ACTOR, createPolicyLog, policyAt } from './policy-log.ts';
import { createPolicyTimers, decodeRing, PACED } from './policy-timers.ts';
import { agentsProjection, policiesProjection } from './projections.ts';
import { decodePolicyReport, handlePolicyReport, laneOf } from './reports.ts';
import { createStartPace } from './start-pace.ts';
import { callsForRemedy, createRemedies } from './remedies.ts';
import { createUpdateSlots } from './update-slots.ts';
import { decodeHostUpdate, handleHostUpdate } from './host-updates.ts';
import { createTurnHealth } from './turn-health.ts';

const LifecycleConfig = configSchema({
  startsPerSecond: decimal({ min: 0.01, max: 10_000 })
    .default(20)
    .describe('Agents that one instance starts in a second, in the long run: a large apply is spread.'),
  startBurst: integer({ min: 1, max: 10_000 })
    .default(50)
    .describe('Agents that it starts at once before that.'),
  updatesAtOnce: integer({ min: 1, max: 1000 })
    .default(2)
    .describe('Agents that are started anew for an update at once, in the whole deployment.'),
  requestTimeoutMs: duration({ min: 100 })
    .default(5000)
    .describe('How long the owner of runs may take to answer; it is asked again and again.'),
  turnTimeoutMs: duration({ min: 1000, max: 86_400_000 })
    .default(1_800_000)
    .describe('Hard limit of the turn that a policy’s prompt begins.'),
});
type Context = ServiceContext<ConfigOf<typeof LifecycleConfig>>;

/** After a pause of the broker: an idle runner says every five seconds that it is there. */
const TIME_TO_SPEAK_MS = 7000;
const STEADY_EVERY_MS = 1000;

/** What loops and requests of one instance share: the aggregate orders commands by subject, so there is one of it. */
const partsOf = (context: Context) => {
  const { clock, ids, config } = context;
  const policyLog = createPolicyLog({ log: context.log('TRANSITIONS'), clock, ids });
  const hosts = new HostBoard(clock);
  const directory = new Directory();
  const keeper = createKeeper({
    policyLog,
    hosts,
    evidence: createEvidence({
      presence: context.bucket('presence'),
      events: context.log('EVENTS'),
      messages: context.log('MESSAGES'),
      hosts,
      turns: createTurnHealth({
        events: context.log('EVENTS'),
        leases: context.bucket('leases'),
        approvals: context.bucket('approvals'),
      }),
    }),
    timers: createPolicyTimers(context.log('TIMERS')),
    slots: createUpdateSlots({
      leases: context.bucket('leases'),
      load: async (place) => (await policyLog.load({ ...place, actor: ACTOR })).state,
      clock,
      count: config.updatesAtOnce,
    }),
    pace: createStartPace({ perSecond: config.startsPerSecond, burst: config.startBurst }),
    clock,
    ids,
    onTrouble: (policy, fault) =>
      context.logger.warn('a policy is looked at again later', { policy, error: fault }),
  });
  const instructions = createInstructions({ commands: context.log('COMMANDS') });
  const firstWords = createFirstWords({
    client: context.requests.client,
    timeoutMs: config.requestTimeoutMs,
    turnTimeoutMs: config.turnTimeoutMs,
  });
  const forwarding = createMailForwarding({
    client: context.requests.client,
    messages: context.log('MESSAGES'),
    timeoutMs: config.requestTimeoutMs,
  });
  const remedies = createRemedies({
    client: context.requests.client,
    timeoutMs: config.requestTimeoutMs,
    onRefused: (policy, what, why) => context.logger.warn('a remedy was refused', { policy, what, why }),
  });
  return { policyLog, hosts, directory, keeper, instructions, firstWords, forwarding, remedies };
};
type Parts = ReturnType<typeof partsOf>;

const known = new WeakMap<Context, Parts>();

const sharedParts = (context: Context): Parts => {
  const made = known.get(context) ?? partsOf(context);
  known.set(context, made);
  return made;
};

/** What is said to agents: apart from their life, so that a service that is away holds up nothing else. */
const wordLoops = (context: Context, deadLetters: ReturnType<typeof createDeadLetters>): Loop[] => {
  const { policyLog, keeper, firstWords, forwarding, remedies } = sharedParts(context);
  const { lifecycleWelcome, lifecycleMail } = serviceConsumers;
  const limits = { ackWaitMs: ACK_WAIT_MS };
  return [
    consumerLoop(context, {
      name: lifecycleWelcome.name,
      queue: context.queue(lifecycleWelcome.stream, lifecycleWelcome.name),
      decode: decodePolicyTransition,
      lane: ({ boundary, event }) => `${boundary.tenant}.${boundary.project}.${event.policy}`,
      handle: async (transition) => {
        const { boundary, event, envelope } = transition;
        if (event.type !== 'fleetlog.policy.running.v1' && !callsForRemedy(event)) return ok;
        const { state } = await policyLog.load({ boundary, policy: event.policy, actor: envelope.actor });
        await remedies.follow(transition, state);
        if (event.type !== 'fleetlog.policy.running.v1') return ok;
        await firstWords.say(boundary, event, state);
        await forwarding.sendOn(boundary, state);
        return ok;
      },
      deadLetters,
      limits,
    }),
    consumerLoop(context, {
      name: lifecycleMail.name,
      queue: context.queue(lifecycleMail.stream, lifecycleMail.name),
      decode: decodePolicyMail,
      lane: ({ boundary, policy }) => `${boundary.tenant}.${boundary.project}.${policy}`,
      handle: handlePolicyMail({ policyLog, keeper, forwarding }),
      deadLetters,
      limits,
    }),
  ];
};

const consumerLoops = (context: Context, deadLetters: ReturnType<typeof createDeadLetters>): Loop[] => {
  const { policyLog, keeper, instructions, directory, hosts } = sharedParts(context);
  const { lifecyclePolicies, lifecycleReports, lifecycleTimers, lifecycleHosts } = serviceConsumers;
  const limits = { ackWaitMs: ACK_WAIT_MS };
  return [
    consumerLoop(context, {
      name: lifecyclePolicies.name,
      queue: context.queue(lifecyclePolicies.stream, lifecyclePolicies.name),
      decode: decodePolicyTransition,
      lane: ({ boundary, event }) => `${boundary.tenant}.${boundary.project}.${event.policy}`,
      handle: async (transition) => {
        const { boundary, event, envelope, seq } = transition;
        const place = { boundary, policy: event.policy };
        // A start is told to a host by what is on record now: it may be over.
        const isStart = event.type === 'fleetlog.policy.starting.v1';
        const target = { ...place, actor: envelope.actor };
        const { state } = await policyAt(policyLog, target, isStart ? undefined : seq);
        await instructions.follow(transition, state);
        await keeper.consider(place, { cause: `t${seq}`, causation: envelope.id, seq });
        return ok;
      },
      deadLetters,
      limits,
    }),
    consumerLoop(context, {
      name: lifecycleReports.name,
      queue: context.queue(lifecycleReports.stream, lifecycleReports.name),
      decode: decodePolicyReport,
      lane: laneOf,
      handle: handlePolicyReport({ policyLog, keeper, directory, hosts, ids: context.ids }),
      deadLetters,
      limits,
    }),
    consumerLoop(context, {
      name: lifecycleHosts.name,
      queue: context.queue(lifecycleHosts.stream, lifecycleHosts.name),
      decode: decodeHostUpdate,
      lane: ({ boundary, host }) => `${boundary.tenant}.${boundary.project}.${host}`,
      handle: handleHostUpdate({ presence: context.bucket('presence'), directory, policyLog }),
      deadLetters,
      limits,
    }),
    consumerLoop(context, {
      name: lifecycleTimers.name,
      queue: context.queue(lifecycleTimers.stream, lifecycleTimers.name),
      decode: decodeRing,
      lane: ({ boundary, policy }) => `${boundary.tenant}.${boundary.project}.${policy}`,
      handle: async ({ cause, state, ...place }) => {
        await keeper.consider(place, { cause, ...(state !== PACED && { onlyIn: state }) });
        return ok;
      },
      deadLetters,
      limits,
    }),
  ];
};

export const lifecycle = defineService({
  name: 'lifecycle',
  config: LifecycleConfig,
  loops: (context) => {
    const { directory, hosts, keeper } = sharedParts(context);
    const { clock } = context;
    const isNeeded = (): boolean => directory.hasLive;
    const steadiness = { forMs: TIME_TO_SPEAK_MS, everyMs: STEADY_EVERY_MS, isNeeded };
    const steady = createSteadyBroker(context.bucket('presence'), clock, steadiness);
    const deadLetters = createDeadLetters({ log: context.log('DEADLETTERS'), build: buildDeadLetter });
    return [
      projectionLoop(context, { projection: policiesProjection, deadLetters, scratch: scratchBucket }),
      projectionLoop(context, { projection: agentsProjection, deadLetters, scratch: scratchBucket }),
      ...consumerLoops(context, deadLetters),
      ...wordLoops(context, deadLetters),
      { name: 'steady-broker', run: (signal) => steady.run(signal) },
      {
        name: 'lookout',
        run: (signal) =>
          runLookout(
            { bucket: (name) => context.bucket(name), directory, hosts, keeper, clock, steady },
            signal,
          ),
      },
    ];
  },
  requests: (context) => {
    const { policyLog, directory } = sharedParts(context);
    return policyRequests({ policyLog, directory, redactor: context.redactor });
  },
});
