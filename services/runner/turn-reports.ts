// What the runner itself reports of one turn: its start, the agent's own word of its work, and its end; each in one transaction with
// what has to be remembered of it. The program's own events are program-events.ts's; deciding what happens is turn-machine.policy.ts's.
import type { NewRecord, Note } from '#libs/outbox/outbox.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import type { ApprovalCall } from './approvals/asked-call.ts';
import type { ProviderEvent, ProviderTurn } from './providers/provider.ts';
import { withAccount } from './providers/account.policy.ts';
import { withQuota } from './providers/quota.policy.ts';
import type { AgentWord, TurnFacts } from './providers/turn-facts.ts';
import { turnOutcome } from './providers/turn-outcome.policy.ts';
import type { TurnScope } from './report-writer.ts';
import type { JournalEntry } from './turn-journal.ts';
import type { Claim } from './turn-machine.policy.ts';
import type { TurnParts } from './turn-parts.ts';
import { CallCounter, contextRatio, ToolErrors, type CallCounts } from './tool-calls.policy.ts';
import type { PreparedTurn } from './turn-preparation.ts';

/** What became of an agent's word: kept on disk, or refused because the turn does not run. */
export type WordAnswer =
  | { readonly kind: 'kept' }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string };

/** The end of a turn as it was reported. */
export interface ReportedEnd {
  /** Null: it ended with a question to a person, and is gone on with when there is an answer. */
  readonly result: TurnResult | null;
  readonly calls: CallCounts;
  /** Number of the report. */
  readonly sourceSeq: number;
}

export class TurnReports {
  readonly #parts: TurnParts;
  #entry: JournalEntry;
  /** Words under way to the disk: the end is told after them. */
  #saying: Promise<unknown> = Promise.resolve();
  readonly #calls = new CallCounter();
  readonly #errors = new ToolErrors();
  #workspace = '';

  constructor(parts: TurnParts, entry: JournalEntry) {
    this.#parts = parts;
    this.#entry = entry;
  }

  scope({ fence }: Claim): TurnScope {
    const { turnId, instruction } = this.#entry;
    const { runId, sessionId, commandId } = instruction;
    return { runId, sessionId, commandId, turnId, fence };
  }

  /** Writes into the journal that the run is ours: before its program is started. */
  async hold({ fence, leaseMs }: Claim): Promise<void> {
    const { journal, clock } = this.#parts;
    this.#entry = { ...this.#entry, held: { fence, leaseMs, startedAt: clock.now() } };
    await journal.write(this.#entry);
  }

  /** Takes note of an event. What is remembered with it: a conversation is kept as soon as it has a name, so that the next turn goes on there, also after a crash. */
  notesOf(event: ProviderEvent, { order, resumeMismatch }: PreparedTurn): readonly Note[] {
    if (event.kind === 'tool-started') this.#calls.note(event);
    if (event.kind === 'tool-finished' && event.isError) this.#errors.note(event.output);
    if (event.kind !== 'session-bound' && event.kind !== 'session-forked') return [];
    // Under another rule nobody goes on there.
    if (event.kind === 'session-forked' && resumeMismatch !== 'accept') return [];
    const { sessionId, provider } = this.#entry.instruction;
    const point = { providerSessionId: event.providerSessionId, counters: order.resume?.counters ?? {} };
    return [this.#parts.sessions.change(sessionId, provider, point)];
  }

  /** Resolves when the start is in the buffer; a program that could not be started is not told of. */
  async start(claim: Claim, { started }: ProviderTurn, prepared: PreparedTurn): Promise<void> {
    const { writer, runnerId, clock, reached } = this.#parts;
    const { order } = prepared;
    this.#workspace = order.workspace;
    const { pid, programVersion = prepared.programVersion } = await started;
    if (pid === null) return;
    await reached('program-started');
    const scope = this.scope(claim);
    const payload = {
      commandId: scope.commandId,
      runnerId,
      provider: this.#entry.instruction.provider,
      program: [...order.program],
      workspace: order.workspace,
      pid,
      ...(programVersion !== undefined && { programVersion }),
      startedAt: clock.now(),
    };
    const { records, notes, stored } = this.#parts.besideStart(scope, this.#entry.instruction);
    // What is beside it leaves other places that are on disk: messages are not to be given to a second program.
    const certainty = records.length + notes.length === 0 ? 'process' : 'disk';
    const options = { id: `${scope.turnId}.started`, beside: records, notes, certainty } as const;
    const writing = writer.write(scope, 'turn-started', payload, options);
    // A turn that goes on after an answer is started without its prompt.
    const isToldPrompt = order.resume === undefined || this.#entry.instruction.approvals === undefined;
    // Behind the start, and with it in one transaction.
    if (isToldPrompt) this.#parts.control.echo(scope.turnId);
    await writing;
    stored();
    await reached('start-reported');
  }

  /** Keeps what the agent says of its work; from now on it decides the outcome, also after a crash. Resolves when it is on disk. */
  async say(claim: Claim, word: AgentWord): Promise<void> {
    const { writer, journal, clock } = this.#parts;
    this.#entry = { ...this.#entry, word };
    const kept = journal.note(this.#entry);
    const payload = { ...word, signalledAt: clock.now() };
    // The agent is told that it is kept, and may act on that.
    const options = { notes: [kept], certainty: 'disk' } as const;
    const saying = writer.write(this.scope(claim), 'turn-signalled', payload, options);
    this.#saying = saying.catch(() => undefined);
    await saying;
  }

  /** Reports the end and takes the turn out of the journal, in one transaction. */
  async finish(claim: Claim, facts: TurnFacts, durationMs: number): Promise<ReportedEnd> {
    const { writer, clock, journal, sessions } = this.#parts;
    await this.#saying;
    if (facts.parked !== undefined && this.#isParked(facts)) return this.#park(claim, facts, facts.parked);
    const { instruction } = this.#entry;
    const { sessionId, provider, request, commandId } = instruction;
    const terms = {
      completion: request.completion ?? 'turn-end',
      word: this.#entry.word,
      toolErrors: this.#errors.text,
    } as const;
    const endedAt = clock.now();
    const limited = withQuota(turnOutcome(facts, durationMs, terms), facts, { provider, now: endedAt });
    const result = withAccount(limited, facts, { provider, toolCalls: this.#calls.counts.totalToolCalls });
    const scope = this.scope(claim);
    const payload = { commandId, result, endedAt };
    const { outcome, summary } = result;
    const told = { prompt: request.prompt, outcome, summary };
    const kept =
      facts.session === undefined ? [] : [sessions.change(sessionId, provider, facts.session, told)];
    const options = {
      id: `${scope.turnId}.finished`,
      notes: [journal.removal(instruction), ...kept],
      before: this.#insights(scope, result),
    };
    const sourceSeq = await writer.write(scope, 'turn-finished', payload, options);
    await this.#parts.reached('result-stored');
    return { result, sourceSeq, calls: this.#calls.counts };
  }

  /** What the turn tells of the way the agent worked; nothing where it called no tool. */
  #insights(scope: TurnScope, { outcome, failure }: TurnResult): readonly NewRecord[] {
    const ratio = contextRatio(this.#calls.counts);
    if (ratio === null) return [];
    const payload = {
      signal: 'context-ratio',
      value: { ratio, ...this.#calls.counts },
      endReason: failure?.kind ?? outcome,
      workspace: this.#workspace,
    };
    return [this.#parts.writer.record(scope, 'insight', payload, `${scope.turnId}.context-ratio`)];
  }

  /** A program that was ended from outside, or badly, asks nobody; and where nobody is asked, putting off is a failure. */
  #isParked({ stopped, exit }: TurnFacts): boolean {
    return this.#parts.approvals.isAsked && stopped === null && exit?.code === 0;
  }

  /** Reports the question and gives the claim back with it: the turn goes out of the journal in the same transaction. */
  async #park(claim: Claim, facts: TurnFacts, call: ApprovalCall): Promise<ReportedEnd> {
    const { writer, journal, sessions, approvals } = this.#parts;
    const { instruction } = this.#entry;
    const { sessionId, provider, commandId } = instruction;
    const scope = this.scope(claim);
    const payload = { commandId, ...approvals.parked(scope, call) };
    const kept = facts.session === undefined ? [] : [sessions.change(sessionId, provider, facts.session)];
    const options = { id: `${scope.turnId}.parked`, notes: [journal.removal(instruction), ...kept] };
    const sourceSeq = await writer.write(scope, 'approval-wanted', payload, options);
    await this.#parts.reached('result-stored');
    return { result: null, sourceSeq, calls: this.#calls.counts };
  }
}
