// Mail — owns MESSAGES: answers who sends, replies and nudges, turns what runners report about mail into what happened to it, tells the
// parents of runs how they ended, and folds `messages` and `obligations`. Any number of instances may run. Puts no message before an
// agent: its runner does (see runner).
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { duration, list, text } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import type { Loop, ServiceContext } from '#libs/service/context.ts';
import { createNameList, type NameList } from '#libs/service/name-list.ts';
import { defineService } from '#libs/service/define-service.ts';
import { consumerLoop, projectionLoop } from '#libs/service/loops.ts';
import { reactorQueue } from '#libs/service/reactor-queue.ts';
import { scratchBucket } from '#streams/buckets.ts';
import { ACK_WAIT_MS, REACTORS_BUCKET, serviceConsumers, serviceReactors } from '#streams/consumers.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import { createBeginTurn } from './begin-turn.ts';
import { decodeMailReport, handleMailReport } from './mail-reports.ts';
import { createForward } from './forwarding.ts';
import { createMessageLookup } from './message-lookup.ts';
import { createMessageLog } from './message-log.ts';
import { decodeRunEnd, handleRunEnd } from './notices.ts';
import { createPostOffice } from './post-office.ts';
import { messagesProjection, obligationsProjection } from './projections.ts';
import { mailRequests } from './requests.ts';

const NAME = {
  pattern: /^[a-z0-9][a-z0-9_-]{0,63}$/,
  expects: 'names of 1 to 64 of a-z 0-9 _ - with a letter or digit first',
};

const MailConfig = configSchema({
  tenant: text(NAME).default('local').describe('Tenant of the agents and people that can be written to.'),
  project: text(NAME).default('main').describe('Project of the agents and people that can be written to.'),
  agents: list(NAME).default(['builder-1']).describe('Agents that can be written to: those with a runner.'),
  people: list(NAME).default(['user']).describe('People that can be written to, besides the agents.'),
  nudgeMs: duration({ min: 0, max: 600_000 })
    .default(5000)
    .describe('Nudges of one writer to one agent within this time are one.'),
  turnTimeoutMs: duration({ min: 1000, max: 86_400_000 })
    .default(1_800_000)
    .describe('Hard limit of a turn that puts messages before an agent, unless its runner names another.'),
});
type MailConfig = ConfigOf<typeof MailConfig>;
type Context = ServiceContext<MailConfig>;

const directories = new WeakMap<Context, NameList>();

/** Agents that were added since; one list for loops and requests. */
const addedAgents = (context: Context): NameList => {
  const { tenant, project } = context.config;
  const known =
    directories.get(context) ?? createNameList(context.bucket('directory'), `${tenant}.${project}.`);
  directories.set(context, known);
  return known;
};

const partsOf = (context: Context) => {
  const { clock, redactor, config } = context;
  const { tenant, project, agents, people, nudgeMs } = config;
  const log = context.log('MESSAGES');
  const lookup = createMessageLookup({ log, messages: context.bucket('messages') });
  const messageLog = createMessageLog({ log, lookup, clock });
  const added = addedAgents(context);
  const namesOf = (boundary: Boundary) =>
    boundary.tenant === tenant && boundary.project === project
      ? { agents: [...agents, ...added.all()], people }
      : { agents: [], people: [] };
  const hasPolicy = async (boundary: Boundary, policy: string): Promise<boolean> =>
    (await context.log('TRANSITIONS').last(aggregateSubject(boundary, 'policy', policy))) !== undefined;
  const postOffice = createPostOffice({ messageLog, lookup, redactor, clock, namesOf, hasPolicy, nudgeMs });
  const [messages, runs] = [context.bucket('messages'), context.bucket('runs')];
  const forward = createForward({ messageLog, log, messages, runs, clock });
  const deadLetters = createDeadLetters({ log: context.log('DEADLETTERS'), build: buildDeadLetter });
  return { messageLog, postOffice, forward, deadLetters, added };
};
type MailParts = ReturnType<typeof partsOf>;

const loopsOf = (context: Context, { messageLog, postOffice, deadLetters, added }: MailParts): Loop[] => {
  const { mailReports } = serviceConsumers;
  const { mailNotices } = serviceReactors;
  return [
    consumerLoop(context, {
      name: mailReports.name,
      queue: context.queue(mailReports.stream, mailReports.name),
      decode: decodeMailReport,
      // What an agent wrote is stored in the order in which it was written.
      lane: ({ agent }) => agent,
      handle: handleMailReport({ messageLog, postOffice }),
      deadLetters,
      limits: { ackWaitMs: ACK_WAIT_MS },
      priority: Math.floor(context.ids.random() * 10),
    }),
    consumerLoop(context, {
      name: mailNotices.name,
      queue: reactorQueue(context, mailNotices, REACTORS_BUCKET),
      decode: decodeRunEnd,
      lane: ({ end }) => end.runId,
      handle: handleRunEnd({
        messageLog,
        transitions: context.log('TRANSITIONS'),
        redactor: context.redactor,
      }),
      deadLetters,
      limits: { ackWaitMs: ACK_WAIT_MS },
    }),
    projectionLoop(context, { projection: messagesProjection, deadLetters, scratch: scratchBucket }),
    projectionLoop(context, { projection: obligationsProjection, deadLetters, scratch: scratchBucket }),
    { name: 'directory', run: (signal) => added.watch(signal) },
  ];
};

export const mail = defineService({
  name: 'mail',
  config: MailConfig,
  loops: (context) => loopsOf(context, partsOf(context)),
  requests: (context) => {
    const { postOffice, forward } = partsOf(context);
    const beginTurn = createBeginTurn({
      client: context.requests.client,
      sessions: context.bucket('sessions'),
      turnTimeoutMs: context.config.turnTimeoutMs,
    });
    return mailRequests({ postOffice, beginTurn, forward });
  },
});
