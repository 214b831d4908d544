// Reports of runners that move a run: of turns and of approvals. They become transitions, or are refused, and the refusal is on
// record as a report of its own. At least once in, exactly once out: every id follows from the report's.
import type { Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Rejection } from '#libs/kernel/rejection.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { APPROVAL_WAIT_LIMIT_MS } from '#streams/approvals.ts';
import type { Envelope } from '#streams/envelope.ts';
import { decodeReport, encodeReport, type Report } from '#streams/report-codec.ts';
import type { RunCommand, RunEvent } from '#streams/run.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { ApprovalDeadlines } from './approval-deadlines.ts';
import { findStart, lacksStart } from './earlier-start.ts';
import type { Leases } from './leases.ts';
import { isHeld, type RunState } from './run-state.policy.ts';
import { attemptCommandId, SOURCE, type RunLog } from './run-log.ts';

/** A report that moves a run. */
export interface TurnReport {
  readonly boundary: Boundary;
  readonly agent: string;
  readonly runId: string;
  readonly command: Extract<
    RunCommand,
    {
      readonly kind:
        | 'start-turn'
        | 'finish-turn'
        | 'ask-approval'
        | 'withdraw-approval'
        | 'acknowledge-command'
        | 'finish-command';
    }
  >;
  readonly envelope: Envelope;
}

const commandOf = (
  report: Report,
  claim: { readonly fence: number; readonly agent: string },
): TurnReport['command'] | undefined => {
  if (report.name === 'turn-started') {
    const { turnId, startedAt } = report.data;
    return { kind: 'start-turn', ...claim, turnId, startedAt };
  }
  if (report.name === 'approval-wanted') {
    const { runId: _run, sessionId: _session, turnId, commandId: _command, askedAt, ...call } = report.data;
    return { kind: 'ask-approval', ...claim, turnId, call, askedAt };
  }
  if (report.name === 'approval-withdrawn') {
    const { approvalId, reason } = report.data;
    return { kind: 'withdraw-approval', ...claim, approvalId, reason };
  }
  if (report.name === 'command-acknowledged') {
    const { commandId, turnId, acknowledgedAt } = report.data;
    return { kind: 'acknowledge-command', ...claim, commandId, turnId, acknowledgedAt };
  }
  if (report.name === 'command-finished') {
    const { runId: _run, sessionId: _session, turnId: _turn, ...finished } = report.data;
    return { kind: 'finish-command', ...claim, ...finished };
  }
  if (report.name !== 'turn-finished') return undefined;
  const { runId, turnId, result, endedAt } = report.data;
  const nextCommandId = attemptCommandId(runId, claim.fence + 1);
  return { kind: 'finish-turn', ...claim, turnId, result, endedAt, nextCommandId };
};

const unreadable = (why: string): Fault =>
  new Fault({ code: 'REPORT_UNREADABLE', retry: 'never', message: why });

/** The report of an entry; undefined for one that moves nothing. Throws `REPORT_UNREADABLE` (never). */
export const decodeTurnReport = (entry: StoredEntry): TurnReport | undefined => {
  const reading = decodeReport(entry);
  if (reading.kind === 'unknown') return undefined;
  if (reading.kind === 'problem') throw unreadable(reading.problem);
  const { envelope, place } = reading;
  if (place.kind !== 'typed' || !('runId' in reading.data)) return undefined;
  if (envelope.fence === undefined) throw unreadable(`${envelope.id} carries no fence`);
  const command = commandOf(reading, { fence: envelope.fence, agent: place.id });
  if (command === undefined) return undefined;
  const boundary = { tenant: place.tenant, project: place.project };
  return { boundary, agent: place.id, runId: reading.data.runId, command, envelope };
};

/** As {@link decodeTurnReport}; one that cannot be read says nothing here: the queue parks it. */
export const readableReport = (entry: StoredEntry): TurnReport | undefined => {
  try {
    return decodeTurnReport(entry);
  } catch {
    return undefined;
  }
};

interface Parts {
  readonly runLog: RunLog;
  readonly leases: Leases;
  readonly deadlines: Pick<ApprovalDeadlines, 'set'>;
  /** The log of EVENTS. */
  readonly events: EventLog;
  /** The runner has redacted before; what goes into another stream is looked at again. */
  readonly redactor: Redactor;
  readonly clock: Clock;
}

const recordRefusal = async (
  { events, clock }: Parts,
  { boundary, agent, runId, command, envelope }: TurnReport,
  { code, detail }: Rejection,
): Promise<void> => {
  const currentFence = detail['currentFence'];
  const data = {
    runId,
    reportId: envelope.id,
    reportType: envelope.type,
    code,
    reportFence: command.fence,
    currentFence: typeof currentFence === 'number' ? currentFence : null,
  };
  const parts = encodeReport('report-refused', data, {
    boundary,
    agent,
    id: `${envelope.id}.refused`,
    source: SOURCE,
    timeMs: clock.now(),
    actor: 'service:runs',
    causation: envelope.id,
    correlation: runId,
  });
  // No expectation: refusals of different reports do not depend on one another.
  await events.append(parts);
};

/** Transitions that leave the claim as it is. */
const GOES_ON: ReadonlySet<RunEvent['type']> = new Set([
  'fleetlog.run.turn-started.v1',
  'fleetlog.run.approval-answered.v1',
  'fleetlog.run.command-acknowledged.v1',
  'fleetlog.run.command-finished.v1',
]);

/** Whether the claim of the report is over, by this report or before it. */
const endedNow = (outcome: {
  readonly kind: string;
  readonly event?: RunEvent;
  readonly state?: RunState;
}): boolean => {
  const { event, state } = outcome;
  if (event === undefined) return state !== undefined && !isHeld(state);
  if (event.type === 'fleetlog.run.approval-asked.v1') return event.mode === 'parked';
  return !GOES_ON.has(event.type);
};

/** Handles reports; see libs/consumers for what becomes of its answers and faults. */
export const handleTurnReport = (parts: Parts): ((report: TurnReport) => Promise<Handled>) => {
  const { runLog, leases, deadlines, events, redactor } = parts;
  const handle = async (report: TurnReport): Promise<Handled> => {
    const { boundary, agent, runId, envelope } = report;
    const command = redactor.value(report.command).value as TurnReport['command'];
    // The agent of the subject, which the broker has checked; the actor that the report itself names is only its own word.
    const target = { boundary, runId, actor: `agent:${agent}`, causation: envelope.id };
    if (command.kind === 'ask-approval') {
      const { approvalId, expiresAt } = command.call;
      const waitMs = Math.min(Math.max(0, expiresAt - command.askedAt), APPROVAL_WAIT_LIMIT_MS);
      await deadlines.set({ boundary, runId, approvalId }, waitMs);
    }
    if (command.kind === 'finish-turn') {
      const { state } = runLog.remembered(target) ?? (await runLog.load(target));
      const start = lacksStart(state, command)
        ? await findStart(events, { ...boundary, agent, runId, turn: command }, readableReport)
        : undefined;
      if (start !== undefined) await handle(start);
    }
    const outcome = await runLog.handle(target, command, { id: `${runId}.${envelope.id}` });
    if (outcome.kind === 'rejected') await recordRefusal(parts, report, outcome.rejection);
    // A claim that is over needs no lease; should this fail it is tried again with the report, or the key expires by itself.
    else if (endedNow(outcome)) await leases.remove(boundary, runId, command.fence);
    return outcome;
  };
  return handle;
};
