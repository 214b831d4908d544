// The mail of one agent's runner on a real buffer under a clock moved by hand; the control plane's part is played by the test.
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { Outbox } from '#libs/outbox/outbox.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import type { AgentAnswer } from '#services/runner/agent-requests.ts';
import { MAIL_BATCH_LIMITS, MailBatches } from '#services/runner/mailbox/mail-batches.ts';
import { createMailJournal, type MailJournal } from '#services/runner/mailbox/mail-journal.ts';
import { createMailReports, type MailReports } from '#services/runner/mailbox/mail-reports.ts';
import { MailSteering } from '#services/runner/mailbox/mail-steering.ts';
import { MailTurns, type MailObservation } from '#services/runner/mailbox/mail-turns.ts';
import { Mailbox, type MailboxLimits } from '#services/runner/mailbox/mailbox.ts';
import type { IncomingMail } from '#services/runner/mailbox/stored-mail.ts';
import type { OwedReply } from '#services/runner/obligations/obligation-snapshot.policy.ts';
import type { TurnScope } from '#services/runner/report-writer.ts';
import { makeId } from '#streams/ids.ts';
import type { AgentMailRequestOf, AgentMailResultOf } from '#streams/mail-requests.ts';
import type { OutboxRig } from './outbox-rig.ts';

type BeginRequest = AgentMailRequestOf<'begin-turn'>;
type BeginAnswer = AgentAnswer<AgentMailResultOf<'begin-turn'>>;

const ids = createSeededIds(77, createManualClock());
/** A new id. */
export const newId = (kind: 'message' | 'session' | 'turn' | 'command'): string => makeId(kind, ids.ulid());

/** A message for the agent. */
export const incoming = (more: Partial<IncomingMail> = {}): IncomingMail => {
  const messageId = newId('message');
  return {
    messageId,
    threadId: messageId,
    from: 'user',
    kind: 'mail',
    subject: null,
    body: 'hello',
    needsReply: false,
    replyTo: null,
    priority: 'normal',
    sessionId: null,
    expiresAt: null,
    sentAt: 1_900_000_000_000,
    ...more,
  };
};

export interface MailRigOptions {
  readonly outbox?: Outbox;
  readonly limits?: Partial<MailboxLimits>;
  readonly isSessionKept?: boolean;
  /** Of its ids: each process of one history needs its own. */
  readonly seed?: number;
}

export interface MailWorld {
  readonly outbox: Outbox;
  readonly reports: MailReports;
  readonly mailbox: Mailbox;
  readonly journal: MailJournal;
  readonly turns: MailTurns;
  readonly steering: MailSteering;
  readonly seen: MailObservation[];
  /** What was asked of the control plane. */
  readonly asked: BeginRequest[];
  /** What the control plane says from now on. */
  answer: (request: BeginRequest) => BeginAnswer;
  isBusy: boolean;
  owed: readonly OwedReply[];
  /** Stores a message, as if it had come. */
  receive(mail: IncomingMail): Promise<void>;
  /** Runs the loop until `stop`. */
  start(): void;
  stop(): Promise<void>;
  /** Starts the turn of the batch in hand, as the runner would. */
  startTurn(runId: string): Promise<TurnScope>;
  /** Kinds of all records that are or were in the buffer. */
  reported(): string[];
}

/** The answer that knows the run in a state. */
export const runIs =
  (state: AgentMailResultOf<'begin-turn'>['state'], turnId: string | null = null) =>
  ({ batchId, sessionId }: BeginRequest): BeginAnswer => {
    const ulid = batchId.slice(4);
    const result = { runId: `run_${ulid}`, sessionId: sessionId ?? `ses_${ulid}`, seq: 1, state, turnId };
    return { kind: 'ok', result };
  };
export const away = (): BeginAnswer => ({ kind: 'away', message: 'nobody answers' });
export const refusing = (code: string) => (): BeginAnswer => ({ kind: 'refused', code, message: code });

/** A runner's mail as it begins. */
export const mailWorld = (rig: OutboxRig, options: MailRigOptions = {}): MailWorld => {
  const { outbox = rig.start(), limits = {}, isSessionKept = true, seed = 3 } = options;
  const { clock } = rig;
  const redactor = createRedactor({ literals: ['correct-horse-battery'] });
  const place = {
    boundary: { tenant: 'local', project: 'main' },
    agent: 'builder-1',
    runnerId: 'builder-1-x',
  };
  const reports = createMailReports({ ...place, clock });
  const mailbox = new Mailbox({ outbox, redactor, clock, reports, limits });
  const journal = createMailJournal(outbox);
  const seen: MailObservation[] = [];
  const asked: BeginRequest[] = [];
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const batches = new MailBatches({
    mailbox,
    journal,
    outbox,
    owed: () => ({ ready: true, stale: false, revision: 1, refreshedAt: 1, owed: world.owed }),
    workspaceOf: () => undefined,
    settings: {
      provider: 'exec',
      workspace: undefined,
      turnTimeoutMs: 60_000,
      isSessionKept,
      limits: MAIL_BATCH_LIMITS,
    },
    clock,
    ids: createSeededIds(seed, clock),
  });
  const steering = new MailSteering({
    mailbox,
    commit: (change) => outbox.commit(change),
    conversationOf: (head) => batches.conversationOf(head),
    limits: MAIL_BATCH_LIMITS,
    clock,
    ids: createSeededIds(seed + 1000, clock),
    observe: (one) => void seen.push(one),
    ring: () => turns.arrived(),
    onFatal: (error) => {
      throw error;
    },
  });
  const turns = new MailTurns({
    mailbox,
    journal,
    batches,
    steering,
    outbox,
    begin: async (request) => {
      asked.push(request);
      return world.answer(request);
    },
    isBusy: () => world.isBusy,
    isSessionKept,
    clock,
    reached: () => undefined,
    observe: (one) => void seen.push(one),
  });
  const world: MailWorld = {
    outbox,
    reports,
    mailbox,
    journal,
    turns,
    steering,
    seen,
    asked,
    answer: runIs('queued'),
    isBusy: false,
    owed: [],
    receive: async (mail) => {
      await mailbox.receive(mail);
      turns.arrived();
    },
    start: () => {
      running = turns.run(stopping.signal);
    },
    stop: async () => {
      stopping.abort();
      await running;
    },
    startTurn: async (runId) => {
      const scope = {
        runId,
        sessionId: newId('session'),
        turnId: newId('turn'),
        commandId: newId('command'),
        fence: 1,
      };
      const { records, notes, stored } = turns.besideStart(scope);
      await outbox.commit({ records, notes });
      stored();
      return scope;
    },
    reported: () => rig.peer.calls.flatMap((batch) => batch.map(({ id }) => id)),
  };
  return world;
};
