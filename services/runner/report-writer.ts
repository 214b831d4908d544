// Reports on their way to the disk: redacted, put into their envelope, enqueued in order. Waits out a full disk; whoever
// awaits it slows down, and nothing is lost or reordered. Does not send anything (report-sender.ts).
import { createPatientCommit, type PatientCommit } from '#libs/outbox/commit-patiently.ts';
import { ESSENTIAL, type Certainty, type NewRecord, type Note, type Outbox } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { makeId } from '#streams/ids.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { ReportData, ReportName, RunlessReportName } from '#streams/reports.ts';
import type { Boundary } from '#streams/subjects.ts';

/** The turn that a report is about, and the right under which it is made. */
export interface TurnScope {
  readonly runId: string;
  readonly sessionId: string;
  readonly turnId: string;
  readonly commandId: string;
  readonly fence: number;
}

/** Reports that a program's events can become, or that a runner makes of a turn. */
export type TurnReportName = Exclude<ReportName, RunlessReportName | 'report-refused' | 'answer-refused'>;
type Payload<Name extends TurnReportName> = Omit<ReportData<Name>, 'runId' | 'sessionId' | 'turnId'>;

/** Which reports give way when the buffer is full: the least worthy first; those that move the run never. */
const WORTH: Readonly<Record<TurnReportName, number>> = {
  'turn-started': ESSENTIAL,
  'turn-finished': ESSENTIAL,
  'approval-wanted': ESSENTIAL,
  'approval-withdrawn': ESSENTIAL,
  'command-acknowledged': ESSENTIAL,
  'command-finished': ESSENTIAL,
  'mail-injected': ESSENTIAL,
  'session-bound': 8,
  'session-forked': 8,
  'session-ended': 8,
  'stop-gate': 8,
  'prompt-echoed': 7,
  'session-mode': 7,
  plan: 6,
  'turn-signalled': ESSENTIAL,
  'session-primed': 8,
  text: 7,
  'file-changed': 7,
  'tool-started': 6,
  'tool-finished': 6,
  usage: 5,
  'hook-failed': 5,
  insight: 5,
  'unknown-line': 3,
  reasoning: 2,
  output: 1,
};

/** What is told while the program begins: it has the processor, and what it says takes these along. */
const UNHURRIED: ReadonlySet<TurnReportName> = new Set(['turn-started', 'prompt-echoed']);

/** Lengths of texts in a result (streams/run.ts): taking a secret out may have made one longer. */
const CLIPPED: Readonly<Record<string, number>> = { summary: 2000, message: 4000 };
const CLIPPED_REPORTS: ReadonlySet<TurnReportName> = new Set(['turn-finished', 'turn-signalled']);

export interface WriterParts {
  readonly outbox: Outbox;
  readonly redactor: Redactor;
  readonly boundary: Boundary;
  readonly agent: string;
  readonly clock: Clock;
  readonly ids: Ids;
}

export interface WriteOptions {
  /** Fixed by what it is about, where the same report may be made twice; default: a new one. */
  readonly id?: string;
  /** Changed in the same transaction. */
  readonly notes?: readonly Note[];
  /** Records before it in the same transaction, redacted already. */
  readonly before?: readonly NewRecord[];
  /** Records that follow it in the same transaction, redacted already. */
  readonly beside?: readonly NewRecord[];
  /**
   * Default `process`: nobody is told that the report is kept but the log, which gets it from the disk; and after a power cut the turn is
   * reported as lost, whatever it had said. `disk` where somebody acts on it at once.
   */
  readonly certainty?: Certainty;
}

const clip = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const limit = CLIPPED[key];
      return [key, typeof inner === 'string' && limit !== undefined ? inner.slice(0, limit) : clip(inner)];
    }),
  );
};

export class ReportWriter {
  readonly #parts: WriterParts;
  readonly #commit: PatientCommit;

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#commit = createPatientCommit(parts.outbox, parts.clock);
  }

  /** Resolves with the report's number when no crash of this process can lose it (see {@link WriteOptions.certainty}). Faults: `OUTBOX_CORRUPT`, `OUTBOX_CLOSED` (never). */
  async write<Name extends TurnReportName>(
    scope: TurnScope,
    name: Name,
    payload: Payload<Name>,
    options: WriteOptions = {},
  ): Promise<number> {
    const record = this.record(scope, name, payload, options.id);
    const before = options.before ?? [];
    const enqueued = await this.#commit({
      records: [...before, record, ...(options.beside ?? [])],
      notes: options.notes ?? [],
      certainty: options.certainty ?? 'process',
      canWait: UNHURRIED.has(name),
    });
    return enqueued[before.length]?.sourceSeq ?? 0;
  }

  /** A report as it is written, for {@link WriteOptions.before}; `id` as there. */
  record<Name extends TurnReportName>(
    { runId, sessionId, turnId, commandId, fence }: TurnScope,
    name: Name,
    payload: Payload<Name>,
    id?: string,
  ): NewRecord {
    const { redactor, boundary, agent, clock, ids } = this.#parts;
    const redacted = redactor.value(payload).value as object;
    const payloadOut = CLIPPED_REPORTS.has(name) ? (clip(redacted) as object) : redacted;
    const data = { ...payloadOut, runId, sessionId, turnId } as unknown as ReportData<Name>;
    const occurredAt = clock.now();
    const entry = encodeReport(name, data, {
      boundary,
      agent,
      id: id ?? makeId('event', ids.ulid()),
      source: `/runner/${agent}`,
      timeMs: occurredAt,
      actor: `agent:${agent}`,
      causation: commandId,
      correlation: runId,
      fence,
    });
    return { ...entry, lane: sessionId, kind: name, worth: WORTH[name], occurredAt };
  }
}
