// What a runner does about the turns that an earlier process of it left behind: ends what still runs, and says of each turn that it
// was lost, so that its run need not wait for the end of a lease. Claims that had led to nothing yet are asked for again.
import type { Clock } from '#libs/ports/clock.ts';
import { sweepMarked } from '#libs/processes/marked-processes.ts';
import { turnOutcome } from './providers/turn-outcome.policy.ts';
import type { ReportWriter } from './report-writer.ts';
import type { FoundEntry, JournalEntry, TurnJournal } from './turn-journal.ts';

export interface RecoveryParts {
  readonly clock: Clock;
  readonly journal: TurnJournal;
  readonly writer: ReportWriter;
  /** `NAME=value` in the environment of every program that a process of this runner has started. */
  readonly mark: string;
  readonly killAfterMs: number;
}

export interface Recovered {
  /** Processes that were still running. */
  readonly swept: number;
  /** Turns that were reported as lost. */
  readonly lost: readonly JournalEntry[];
  /** Claims that may have been granted, with nothing done under them unless they were cut short. */
  readonly claims: readonly FoundEntry[];
  readonly unreadable: readonly { readonly key: string; readonly problem: string }[];
}

/**
 * A turn that was in hand is reported under its fence even if its lease may be over: then the owner of the run refuses the
 * report, and the refusal is on record.
 */
const reportLost = async ({ writer, clock, journal }: RecoveryParts, entry: JournalEntry): Promise<void> => {
  const { instruction, turnId, held } = entry;
  if (held === null) return;
  const { runId, sessionId, commandId } = instruction;
  const facts = {
    closing: null,
    exit: null,
    startProblem: null,
    stopped: 'shutdown',
    lastText: '',
    errorTail: '',
    usage: null,
    events: 0,
    leftovers: 0,
  } as const;
  const failure = { kind: 'runner-lost', message: 'the runner was restarted during the turn' } as const;
  const terms = { completion: instruction.request.completion ?? 'turn-end', word: entry.word } as const;
  const told = turnOutcome(facts, clock.now() - held.startedAt, terms);
  // What the agent had said of its work is not undone by a crash of ours.
  const result = entry.word === null ? { ...told, failure } : told;
  await writer.write(
    { runId, sessionId, commandId, turnId, fence: held.fence },
    'turn-finished',
    { commandId, result, endedAt: clock.now() },
    { id: `${turnId}.finished`, notes: [journal.removal(instruction)] },
  );
};

/** Done before the first instruction is taken. */
export const recoverTurns = async (parts: RecoveryParts): Promise<Recovered> => {
  const swept = await sweepMarked(parts.mark, parts.clock, parts.killAfterMs);
  const { entries, unreadable } = parts.journal.read();
  const lost = entries.filter(({ held }) => held !== null);
  for (const entry of lost) await reportLost(parts, entry);
  return { swept, lost, claims: entries.filter(({ held }) => held === null), unreadable };
};
