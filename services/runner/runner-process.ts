// Puts a runner together from its settings and the ports of its process: buffer, journal, writer, turns. Starts nothing by itself.
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { createDeadLetters, type DeadLetters } from '#libs/consumers/dead-letters.ts';
import { createPatientCommit } from '#libs/outbox/commit-patiently.ts';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import type { Outbox, ParkedRecord } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { ServiceContext } from '#libs/service/context.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import type { ProviderName } from '#streams/run.ts';
import { REPORTS } from '#streams/reports.ts';
import { typedSubject, type Boundary } from '#streams/subjects.ts';
import { approvalsPart, createApprovalDesk } from './approvals/approval-desk.ts';
import type { ControlEndpoint } from './control/control-endpoint.ts';
import type { ControlParts } from './control/control-parts.ts';
import { createRunnerControl, signalWord } from './control/runner-control.ts';
import { gapReporter } from './gap-report.ts';
import { logOutbox, logTurn } from './log-lines.ts';
import type { MailStep } from './mailbox/mail-turns.ts';
import { createRunnerMail, type RunnerMail } from './mailbox/runner-mail.ts';
import { RUNNER_MARK, type Environment } from './providers/child-environment.ts';
import { createReportSender } from './report-sender.ts';
import { ReportWriter } from './report-writer.ts';
import { Runner } from './runner.ts';
import type { RunnerConfig } from './runner-config.ts';
import { createRunsClient, type RunsClient } from './runs-client.ts';
import { SessionKeeping } from './session-keeping.ts';
import { createSessionNotes } from './session-notes.ts';
import { createTurnJournal, type TurnJournal } from './turn-journal.ts';
import type { TurnParts, TurnStep } from './turn-parts.ts';
import { createTurnPreparation } from './turn-preparation.ts';
import { createWorkspaces, type Workspaces } from './workspace/workspaces.ts';

/** What a runner is given besides its settings and ports. */
export interface RunnerSurroundings {
  /** The environment of the runner's own process. */
  readonly environment: Environment;
  /** Makes the tokens of turns. */
  readonly newSecret: () => string;
  /** Called at each step of a turn or a message; tests crash here. */
  readonly reached?: (step: TurnStep | MailStep) => Promise<void> | void;
}

export interface RunnerProcess {
  readonly runner: Runner;
  readonly workspaces: Workspaces;
  readonly runnerId: string;
  readonly outbox: Outbox;
  readonly control: ControlEndpoint;
  readonly runs: RunsClient;
  readonly mail: RunnerMail;
  /** Providers that this runner has the programs of. */
  readonly providers: readonly ProviderName[];
  /** Ends the programs that are kept between turns. */
  readonly closePrograms: () => Promise<void>;
  readonly deadLetters: DeadLetters;
  /** Rejects when this process can no longer be trusted. */
  readonly failed: Promise<never>;
}

export const boundaryOf = ({ tenant, project }: RunnerConfig): Boundary => ({ tenant, project });

const deadLettersOf = (context: ServiceContext<RunnerConfig>): DeadLetters =>
  createDeadLetters({
    log: context.log('DEADLETTERS'),
    // Under a name of its own: a runner's user may write no other's letters (streams/accounts.ts).
    build: (parked, id) => buildDeadLetter({ ...parked, service: runnerUser(context.config.agent) }, id),
  });

/** A buffered report that was refused for good, as the dead letter of this runner. */
const letterStore =
  (deadLetters: DeadLetters, context: ServiceContext<RunnerConfig>) =>
  async ({ record, refusal }: ParkedRecord): Promise<void> => {
    await deadLetters.park({
      reason: 'refused-for-good',
      ...refusal,
      stream: 'buffer',
      consumer: `runner-${context.config.agent}`,
      service: context.name,
      parkedAt: context.clock.now(),
      entry: {
        seq: record.sourceSeq,
        subject: record.subject,
        headers: { ...record.headers, 'Nats-Msg-Id': record.id },
        body: record.body,
        storedAt: record.enqueuedAt,
      },
    });
  };

const openBuffer = (
  context: ServiceContext<RunnerConfig>,
  deadLetters: DeadLetters,
  onFatal: (error: unknown) => void,
): Outbox => {
  const { config, clock, ids, logger } = context;
  const subjects = Object.keys(REPORTS).map((name) =>
    typedSubject(boundaryOf(config), 'evt', config.agent, name),
  );
  const log = context.log('EVENTS');
  const outbox: Outbox = openOutbox({
    dir: config.dataDir,
    name: `${config.tenant}/${config.project}/${config.agent}`,
    sender: createReportSender({ log, blobs: context.blobs, subjects, bufferId: () => outbox.bufferId }),
    clock,
    ids,
    budget: { rows: config.bufferRows, bytes: config.bufferBytes },
    gapRecord: gapReporter({ boundary: boundaryOf(config), agent: config.agent, clock, ids }),
    storeLetter: letterStore(deadLetters, context),
    observe: logOutbox(logger),
    onFatal,
  });
  return outbox;
};

/** A full disk is waited out: a turn that has not begun need not cost the process. */
const journalOf = (outbox: Outbox, clock: Clock): TurnJournal =>
  createTurnJournal({
    notes: (prefix) => outbox.notes(prefix),
    commit: createPatientCommit(outbox, clock),
  });

/** Names this runner's programs on this machine, also after its buffer was lost. */
const markOf = ({ dataDir, agent }: RunnerConfig): string =>
  `${agent}-${createHash('sha256')
    .update(`${hostname()}\0${resolve(dataDir)}`)
    .digest('hex')
    .slice(0, 16)}`;

/** Whoever waits for it is told; nobody has to. */
const newFailure = (): PromiseWithResolvers<never> => {
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => undefined);
  return failure;
};

/** Opens the buffer and builds the rest. Faults: those of opening a buffer (`OUTBOX_LOCKED` …). */
export const createRunnerProcess = (
  context: ServiceContext<RunnerConfig>,
  { environment, newSecret, reached = (): void => undefined }: RunnerSurroundings,
): RunnerProcess => {
  const { config, clock, ids, logger, redactor } = context;
  const { agent, silenceMs, killAfterMs, lingerMs } = config;
  const failure = newFailure();
  const deadLetters = deadLettersOf(context);
  const outbox = openBuffer(context, deadLetters, failure.reject);
  const boundary = boundaryOf(config);
  const runs = createRunsClient(context.requests.client, { ...boundary, agent });
  const runnerId = `${agent}-${outbox.bufferId}`;
  const runnerMark = markOf(config);
  const workspaces = createWorkspaces({ rules: config, clock, environment });
  const sessions = createSessionNotes({ outbox, clock, redactor });
  const writer = new ReportWriter({ outbox, redactor, boundary, agent, clock, ids });
  const forMail = { isBusy: (): boolean => runner.isBusy, reached, onFatal: failure.reject };
  const mail = createRunnerMail({ context, outbox, runnerId, ...forMail });
  const approvals = createApprovalDesk({ writer, clock, ids, config });
  const controlParts: ControlParts = {
    obligations: mail.obligations,
    mail: mail.port,
    approvals: approvalsPart(approvals),
    turns: { signalDone: (turn, word) => signalWord(runner, turn.turnId, word) },
  };
  const forControl = { config, runnerId, parts: controlParts, writer, clock, ids, logger, newSecret };
  const searchPath = environment['PATH'];
  const { control, equip } = createRunnerControl({ ...forControl, outbox, searchPath });
  const forTurns = { config, boundary, runnerMark, environment, sessions, equip, clock };
  const preparation = createTurnPreparation(forTurns);
  const { providers, prepare: prepareTurn, close: closePrograms } = preparation;
  const turns: TurnParts = {
    runnerId,
    clock,
    outbox,
    runs,
    journal: journalOf(outbox, clock),
    writer,
    approvals,
    limits: { silenceMs, killAfterMs, lingerMs },
    prepareWorkspace: workspaces.prepare,
    prepareTurn,
    sessions,
    besideStart: mail.besideStart,
    midTurn: mail.midTurn,
    control,
    reached,
    observe: (observation) => [logTurn(logger), mail.observe].forEach((tell) => tell(observation)),
    onFatal: failure.reject,
  };
  const mark = `${RUNNER_MARK}=${runnerMark}`;
  const rule = { keepMs: config.sessionKeepMs, keepCount: config.sessionKeepCount };
  const keeping = new SessionKeeping({ sessions, outbox, rule, onFatal: failure.reject });
  const { concurrency } = config;
  const workspaceOf = workspaces.nameOf;
  const runner = new Runner({ turns, ids, concurrency, mark, keeping, workspaceOf });
  runner.whenFreed(() => mail.turns.freed());
  const told = { runnerId, outbox, control, runs, mail, providers, closePrograms, deadLetters };
  return { runner, workspaces, ...told, failed: failure.promise };
};
