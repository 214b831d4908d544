// How a turn ended, from the facts: total (every combination has an outcome) and pure. Order of the rules:
// the agent's own word; never started; events not kept; result and exit code together; stopped before it had said a result; exit code alone.
import type { Completion } from '#streams/run.ts';
import type { FailureKind, TurnResult } from '#streams/turn-result.ts';
import type { AgentWord, StopReason, TurnFacts } from './turn-facts.ts';

/** Lengths of texts in a result (streams/run.ts). */
const SUMMARY_CHARACTERS = 2000;
const MESSAGE_CHARACTERS = 4000;

type Verdict = Pick<TurnResult, 'outcome' | 'failure'>;

const failed = (kind: FailureKind, message: string, more: { readonly unfit?: true } = {}): Verdict => ({
  outcome: 'failed',
  failure: { kind, message: message.slice(0, MESSAGE_CHARACTERS), ...more },
});

const DONE: Verdict = { outcome: 'done', failure: null };
const YIELDED: Verdict = { outcome: 'yielded', failure: null };
const BLOCKED: Verdict = { outcome: 'blocked', failure: null };
const CANCELLED: Verdict = { outcome: 'cancelled', failure: null };

const STOPPED: Readonly<Record<StopReason, Verdict>> = {
  cancel: CANCELLED,
  interrupt: CANCELLED,
  lease: failed('runner-lost', 'the lease of the run could not be kept, so the work was ended in time'),
  shutdown: failed('runner-lost', 'the runner was shut down during the turn'),
  deadline: failed('turn-timeout', 'the turn took longer than its limit'),
  silence: failed('turn-timeout', 'the program printed nothing for too long'),
  linger: failed('protocol-invalid', 'the program did not go after its result'),
  sink: failed('infra-failed', 'the events of the turn could not be kept on disk'),
  'session-lost': failed(
    'session-lost',
    'the program did not go on in the conversation it was asked for, and the rule is to fail then; ' +
      'ask in a new session, or with resumeMismatch accept or re-prime',
  ),
};

const withTail = (message: string, { errorTail }: TurnFacts): string =>
  errorTail.trim() === '' ? message : `${message}; last of standard error: ${errorTail.trim().slice(-2000)}`;

/** Why no result was found in what it printed. */
const lineWords = ({ lines }: TurnFacts): string => {
  if (lines === undefined) return '';
  const { read, strange, last } = lines;
  if (read === 0) return '; it printed nothing';
  if (last === null) return `; its ${read === 1 ? 'one line was' : `${read} lines were`} none`;
  return `; of its ${read} lines ${strange} ${strange === 1 ? 'was' : 'were'} not understood, the last: ${last.line} (${last.reason})`;
};

const exitWords = ({ exit }: TurnFacts): string =>
  exit === null || exit.signal === null
    ? `ended with exit code ${exit?.code ?? 'unknown'}`
    : `was ended by ${exit.signal}`;

/** By which a turn is judged besides its facts. */
export interface TurnTerms {
  /** What counts as done. */
  readonly completion: Completion;
  /** The agent's last word of its work, under the id of this turn; null: it said none. */
  readonly word: AgentWord | null;
  /** What its tools said when they failed, for a turn in which the program itself said nothing; absent: none did. */
  readonly toolErrors?: string;
}

const USUAL: TurnTerms = { completion: 'turn-end', word: null };

/** The program said a result, so being stopped afterwards does not change it; a bad exit of its own does. */
const judgeClosing = (
  facts: TurnFacts,
  closing: NonNullable<TurnFacts['closing']>,
  completion: Completion,
): Verdict => {
  if (closing.outcome === 'failed')
    return failed(
      'provider-failed',
      closing.message === '' ? 'the program said that it failed' : closing.message,
    );
  if (closing.outcome === 'blocked') return BLOCKED;
  if (facts.stopped === null && facts.isLasting !== true && facts.exit?.code !== 0)
    return failed(
      'provider-failed',
      withTail(`the program said ${closing.outcome}, then ${exitWords(facts)}`, facts),
    );
  if (closing.outcome === 'yielded') return YIELDED;
  // The end of its turn is not the agent's word that the work is done.
  return completion === 'signal' && closing.isSignal !== true ? YIELDED : DONE;
};

const judge = (facts: TurnFacts, { completion, word }: TurnTerms): Verdict => {
  // Whatever became of the program after it had said so.
  if (word !== null) return word.outcome === 'done' ? DONE : BLOCKED;
  if (facts.startProblem !== null)
    return failed('infra-failed', facts.startProblem, facts.isUnfit === true ? { unfit: true } : {});
  if (facts.stopped === 'sink') return STOPPED.sink;
  if (facts.closing !== null) return judgeClosing(facts, facts.closing, completion);
  if (facts.stopped !== null) return STOPPED[facts.stopped];
  if (facts.exit?.code === 0)
    return failed(
      'protocol-invalid',
      withTail(`the program ended without saying a result${lineWords(facts)}`, facts),
    );
  return failed(
    'provider-failed',
    withTail(`the program ${exitWords(facts)} without saying a result${lineWords(facts)}`, facts),
  );
};

const summaryOf = ({ closing, lastText }: TurnFacts, { word }: TurnTerms): string => {
  const said = word ?? closing;
  if (said === null) return lastText;
  const reason = closing?.outcome === 'blocked' ? closing.message : '';
  if (said.summary !== '' || word === null) return said.summary || reason;
  return closing?.summary || reason || lastText;
};

/** The result of a turn that took `durationMs`. Summary: the agent's own word, else the program's, else its last words, else the errors of its tools. */
export const turnOutcome = (facts: TurnFacts, durationMs: number, terms: TurnTerms = USUAL): TurnResult => ({
  ...judge(facts, terms),
  exitCode: facts.exit?.code ?? null,
  signal: facts.exit?.signal ?? null,
  summary: (summaryOf(facts, terms).trim() || (terms.toolErrors ?? '')).slice(0, SUMMARY_CHARACTERS),
  ...(facts.usage !== null && { usage: facts.usage }),
  durationMs: Math.max(0, durationMs),
  events: facts.events,
});
