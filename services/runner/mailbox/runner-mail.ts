// The mail of a runner, put together: the mailbox, what the agent owes, the turns that bring mail, and the port for the agent. Starts
// nothing by itself: its loops are in mail-loops.ts.
import { createPatientCommit } from '#libs/outbox/commit-patiently.ts';
import type { Outbox } from '#libs/outbox/outbox.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { createAgentRequests, type AgentRequests } from '#services/runner/agent-requests.ts';
import type { MailPart } from '#services/runner/control/control-parts.ts';
import { createObligations, type Obligations } from '#services/runner/obligations/obligations.ts';
import { fetchOwedValue } from '#services/runner/obligations/obligation-source.ts';
import type { RunnerConfig } from '#services/runner/runner-config.ts';
import type { MidTurn, TurnObservation, TurnParts } from '#services/runner/turn-parts.ts';
import { AGENT_MAIL_REQUESTS } from '#streams/mail-requests.ts';
import { OBLIGATIONS_STREAM } from '#streams/mail-views.ts';
import type { AgentPlace } from '#streams/subjects.ts';
import { createMailJournal } from './mail-journal.ts';
import { logMail, logObligations } from './mail-log-lines.ts';
import { MAIL_BATCH_LIMITS, MailBatches } from './mail-batches.ts';
import { createMailPort, type MailAsking } from './mail-port.ts';
import { createMailReports, type MailReports } from './mail-reports.ts';
import { MailSteering } from './mail-steering.ts';
import { MailTurns, type MailStep } from './mail-turns.ts';
import { Mailbox } from './mailbox.ts';
import { createSessionPlaces, type SessionPlaces } from './session-places.ts';

/** For a word of the agent's that it waits for, ms. */
const POST_MS = 2000;
export interface RunnerMailParts {
  readonly context: ServiceContext<RunnerConfig>;
  readonly outbox: Outbox;
  readonly runnerId: string;
  /** Whether a turn that was begun now would have to wait. */
  readonly isBusy: () => boolean;
  /** Called at each step of a message's way; tests crash here. */
  readonly reached: (step: MailStep) => Promise<void> | void;
  readonly onFatal: (error: unknown) => void;
}

export interface RunnerMail extends Pick<RunnerMailParts, 'reached'> {
  readonly mailbox: Mailbox;
  readonly obligations: Obligations;
  readonly port: MailPart;
  readonly turns: MailTurns;
  readonly besideStart: TurnParts['besideStart'];
  readonly midTurn: MidTurn;
  /** To be told of every turn. */
  readonly observe: (observation: TurnObservation) => void;
}

/** What the parts of it share. */
interface Base extends RunnerMailParts {
  readonly place: AgentPlace;
  readonly mailbox: Mailbox;
  readonly obligations: Obligations;
  readonly reports: MailReports;
}

const requestsOf = ({ context, place }: Base): AgentRequests<typeof AGENT_MAIL_REQUESTS> =>
  createAgentRequests(context.requests.client, place, { service: 'mail', table: AGENT_MAIL_REQUESTS });

const baseOf = (parts: RunnerMailParts): Base => {
  const { context, outbox, runnerId } = parts;
  const { config, clock, redactor, logger } = context;
  const { tenant, project, agent } = config;
  const place: AgentPlace = { tenant, project, agent };
  const reports = createMailReports({ boundary: { tenant, project }, agent, runnerId, clock });
  const mailbox = new Mailbox({ outbox, redactor, clock, reports });
  for (const key of mailbox.unreadable) logger.error('unreadable message in the mailbox', { key });
  const obligations = createObligations({
    fetch: fetchOwedValue(context.log(OBLIGATIONS_STREAM), place),
    outbox,
    clock,
    observe: logObligations(logger),
  });
  return { ...parts, place, mailbox, obligations, reports };
};

/** Where mail waits for a turn of its own. */
const NOBODY: MidTurn = {
  opened: () => undefined,
  silence: () => undefined,
  closed: () => Promise.resolve(),
};

const turnsOf = (
  base: Base,
  places: SessionPlaces,
): { readonly turns: MailTurns; readonly midTurn: MidTurn } => {
  const { context, outbox, mailbox, obligations, isBusy, reached, onFatal } = base;
  const { config, clock, ids, logger } = context;
  const journal = createMailJournal(outbox);
  const isSessionKept = config.mailSession === 'kept';
  const { mailProvider: provider, mailWorkspace: workspace, mailTurnTimeoutMs: turnTimeoutMs } = config;
  const batches = new MailBatches({
    mailbox,
    journal,
    outbox,
    owed: () => obligations.current(),
    workspaceOf: (sessionId) => places.read(sessionId),
    settings: { provider, workspace, turnTimeoutMs, isSessionKept, limits: MAIL_BATCH_LIMITS },
    clock,
    ids,
  });
  const requests = requestsOf(base);
  const steering = new MailSteering({
    mailbox,
    commit: createPatientCommit(outbox, clock),
    conversationOf: (head) => batches.conversationOf(head),
    limits: MAIL_BATCH_LIMITS,
    clock,
    ids,
    observe: logMail(logger),
    ring: () => turns.arrived(),
    onFatal,
  });
  const isSteered = config.mail && config.mailSteering;
  const turns = new MailTurns({
    mailbox,
    journal,
    batches,
    steering: isSteered ? steering : undefined,
    outbox,
    begin: (request) => requests.ask('begin-turn', request),
    isBusy,
    isSessionKept,
    clock,
    reached,
    observe: logMail(logger),
  });
  return { turns, midTurn: isSteered ? steering : NOBODY };
};

const portOf = (base: Base): MailPart => {
  const { context, outbox, mailbox, obligations, reports } = base;
  const { redactor, clock } = context;
  const requests = requestsOf(base);
  const limits = { timeoutMs: POST_MS };
  const asking: MailAsking = {
    send: (request) => requests.ask('send', request, limits),
    reply: (request) => requests.ask('reply', request, limits),
  };
  return createMailPort({ asking, mailbox, obligations, reports, outbox, redactor, clock });
};

/** Reads what the last process left; connects to nothing. */
export const createRunnerMail = (parts: RunnerMailParts): RunnerMail => {
  const base = baseOf(parts);
  const places = createSessionPlaces(parts.outbox);
  const { turns, midTurn } = turnsOf(base, places);
  return {
    reached: parts.reached,
    mailbox: base.mailbox,
    obligations: base.obligations,
    turns,
    midTurn,
    besideStart: (scope, instruction) => {
      const beside = turns.besideStart(scope);
      return { ...beside, notes: [...beside.notes, ...places.changes(instruction)] };
    },
    port: portOf(base),
    observe: (observation) => {
      if (observation.kind !== 'phase') return;
      const { phase } = observation.state;
      if (phase === 'delivering' || phase === 'over') turns.turnOver(observation.runId);
    },
  };
};
