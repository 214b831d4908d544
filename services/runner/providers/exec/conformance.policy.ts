// The rules of the contract of `exec` programs (README.md), each judged by what a program did in a few trials. Pure and total: a trial that
// says nothing about a rule skips it, and never passes it.
import type { LineMeaning } from '#services/runner/providers/program-reader.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import type { TurnFacts } from '#services/runner/providers/turn-facts.ts';

/** A line that a program printed, and what it means. */
export interface SeenLine {
  readonly meanings: readonly LineMeaning[];
  readonly isUtf8: boolean;
  /** Bytes over the longest line that is read. */
  readonly cutBytes: number;
}

/** What a program did in one turn. */
export interface Trial {
  readonly lines: readonly SeenLine[];
  readonly facts: TurnFacts;
  readonly workspace: string;
}

/** `ordinary`: the prompt it was given; `large`: the largest there is; `stopped`: ended with SIGTERM while it worked. */
export interface Trials {
  readonly ordinary: Trial;
  readonly large: Trial;
  readonly stopped: Trial;
}

export interface RuleVerdict {
  readonly outcome: 'pass' | 'fail' | 'skip';
  /** What was seen; empty for a pass. */
  readonly detail: string;
}

interface Rule {
  readonly id: string;
  readonly means: string;
  readonly judge: (trials: Trials) => RuleVerdict;
}

const PASS: RuleVerdict = { outcome: 'pass', detail: '' };
const fail = (detail: string): RuleVerdict => ({ outcome: 'fail', detail });
const skip = (detail: string): RuleVerdict => ({ outcome: 'skip', detail });
const passIf = (isMet: boolean, detail: string): RuleVerdict => (isMet ? PASS : fail(detail));

const meaningsOf = ({ lines }: Trial): readonly LineMeaning[] => lines.flatMap(({ meanings }) => meanings);
const eventsOf = (trial: Trial): readonly ProviderEvent[] =>
  meaningsOf(trial).flatMap((meaning) => (meaning.kind === 'event' ? [meaning.event] : []));

const exitWords = ({ exit }: TurnFacts): string =>
  exit?.signal === null || exit?.signal === undefined ? `exit code ${exit?.code ?? 'none'}` : exit.signal;

/** The end of its standard error, which often says more. */
const complaint = ({ errorTail }: TurnFacts): string =>
  errorTail.trim() === '' ? '' : `; last of standard error: ${errorTail.trim().slice(-500)}`;

const started = ({ ordinary }: Trials): RuleVerdict =>
  passIf(ordinary.facts.startProblem === null, ordinary.facts.startProblem ?? '');

const readable = ({ ordinary }: Trials): RuleVerdict => {
  const unknown = eventsOf(ordinary).flatMap((event) =>
    event.kind === 'unknown-line' && event.cutBytes === 0 ? [event] : [],
  );
  const [first] = unknown;
  if (first === undefined) return PASS;
  return fail(`${unknown.length} not understood, the first (${first.reason}): ${first.line.slice(0, 200)}`);
};

const shortLines = ({ ordinary, large }: Trials): RuleVerdict => {
  const cut = [...ordinary.lines, ...large.lines].find(({ cutBytes }) => cutBytes > 0);
  return passIf(cut === undefined, `a line is ${cut?.cutBytes ?? 0} bytes too long and was cut`);
};

const utf8 = ({ ordinary, large }: Trials): RuleVerdict => {
  const bad = [...ordinary.lines, ...large.lines].findIndex(({ isUtf8 }) => !isUtf8);
  return passIf(bad === -1, `line ${bad + 1} is not UTF-8`);
};

const saysResult = ({ ordinary: { facts } }: Trials): RuleVerdict => {
  if (facts.stopped === 'deadline') return fail('it said no result within the time of the trial');
  return passIf(
    facts.closing !== null,
    `it ended (${exitWords(facts)}) without a line of the type result${complaint(facts)}`,
  );
};

const resultLast = ({ ordinary }: Trials): RuleVerdict => {
  const kinds = meaningsOf(ordinary)
    .filter(({ kind }) => kind !== 'usage')
    .map(({ kind }) => kind);
  const first = kinds.indexOf('closing');
  if (first === -1) return skip('no result');
  return passIf(first === kinds.length - 1, `${kinds.length - 1 - first} more came after the first result`);
};

const exitFits = ({ ordinary: { facts } }: Trials): RuleVerdict => {
  const { closing, exit, stopped } = facts;
  if (closing === null || stopped !== null) return skip('no result, or it was ended');
  if (closing.outcome === 'failed' || closing.outcome === 'blocked') return PASS;
  return passIf(
    exit?.code === 0,
    `it said ${closing.outcome} and went with ${exitWords(facts)}: that counts as failed`,
  );
};

const saysWhy = ({
  ordinary: {
    facts: { closing },
  },
}: Trials): RuleVerdict => {
  if (closing === null) return skip('no result');
  if (closing.outcome !== 'failed' && closing.outcome !== 'blocked') return skip(`it was ${closing.outcome}`);
  return passIf(closing.message !== '' || closing.summary !== '', `${closing.outcome} without a message`);
};

const goesAfterwards = ({ ordinary: { facts } }: Trials): RuleVerdict => {
  if (facts.closing === null) return skip('no result');
  return passIf(facts.stopped !== 'linger', 'it lived on after its result until it was ended');
};

const toolsPaired = ({ ordinary }: Trials): RuleVerdict => {
  const open = new Set<string>();
  const known = new Set<string>();
  for (const event of eventsOf(ordinary)) {
    if (event.kind === 'tool-started') {
      if (known.has(event.callId)) return fail(`the call ${event.callId} was started twice`);
      known.add(event.callId);
      open.add(event.callId);
    }
    if (event.kind === 'tool-finished' && !open.delete(event.callId))
      return fail(`the call ${event.callId} was finished without having been started, or twice`);
  }
  if (known.size === 0) return skip('no tool was used');
  const [left] = open;
  return passIf(left === undefined, `the call ${left ?? ''} was never finished`);
};

const FIELDS = ['inputTokens', 'cachedInputTokens', 'outputTokens', 'costMicroUsd'] as const;

const usageGrows = ({ ordinary }: Trials): RuleVerdict => {
  const told = meaningsOf(ordinary).flatMap((meaning) => {
    if (meaning.kind === 'usage') return [meaning.usage];
    return meaning.kind === 'event' && meaning.event.kind === 'usage' ? [meaning.event.usage] : [];
  });
  if (told.length === 0) return skip('it says nothing of usage');
  for (const field of FIELDS) {
    const values = told.flatMap((usage) => usage[field] ?? []);
    const at = values.findIndex((value, index) => value < (values[index - 1] ?? 0));
    if (at !== -1)
      return fail(
        `${field} fell from ${values[at - 1] ?? 0} to ${values[at] ?? 0}: it is the total of the turn so far`,
      );
  }
  return PASS;
};

const isInside = (path: string, workspace: string): boolean => {
  const isAbove =
    path
      .split('/')
      .reduce(
        (depth, part) =>
          depth < 0 ? depth : part === '..' ? depth - 1 : part === '.' || part === '' ? depth : depth + 1,
        0,
      ) < 0;
  return path.startsWith('/') ? path.startsWith(`${workspace}/`) : !isAbove;
};

const pathsInside = ({ ordinary }: Trials): RuleVerdict => {
  const paths = eventsOf(ordinary).flatMap((event) => (event.kind === 'file-changed' ? [event.path] : []));
  if (paths.length === 0) return skip('no file changed');
  const outside = paths.find((path) => !isInside(path, ordinary.workspace));
  return passIf(outside === undefined, `${outside ?? ''} is not in the workspace`);
};

const leavesNothing = ({ ordinary, large }: Trials): RuleVerdict => {
  const left = ordinary.facts.leftovers + large.facts.leftovers;
  return passIf(left === 0, `${left} processes lived on after it and were ended`);
};

const readsLargePrompt = ({ large: { facts } }: Trials): RuleVerdict => {
  if (facts.stopped === 'deadline') return fail('it did not come to an end with the largest prompt');
  return passIf(
    facts.closing !== null,
    `it ended (${exitWords(facts)}) without a result when it got the largest prompt${complaint(facts)}`,
  );
};

const obeysTerm = ({ stopped: { facts } }: Trials): RuleVerdict => {
  if (facts.stopped !== 'cancel') return skip('it ended before it could be told to');
  if (facts.exit?.signal === 'SIGKILL') return fail('it did not go on SIGTERM and had to be killed');
  return passIf(facts.leftovers === 0, `it went on SIGTERM and left ${facts.leftovers} processes behind`);
};

/** Every rule, in the order in which a program meets them. */
export const RULES: readonly Rule[] = [
  { id: 'starts', means: 'It can be started in the workspace, with a clean environment.', judge: started },
  { id: 'lines', means: 'Every line of standard output is one that the contract knows.', judge: readable },
  { id: 'utf8', means: 'Standard output is UTF-8.', judge: utf8 },
  { id: 'line-length', means: 'No line is longer than 1 MiB.', judge: shortLines },
  { id: 'result', means: 'It says a result before it ends.', judge: saysResult },
  { id: 'result-last', means: 'Nothing comes after its result, and it says one.', judge: resultLast },
  { id: 'exit', means: 'With the result done or yielded the exit code is 0.', judge: exitFits },
  { id: 'reason', means: 'A result failed or blocked says why.', judge: saysWhy },
  { id: 'goes', means: 'It ends by itself after its result.', judge: goesAfterwards },
  {
    id: 'tools',
    means: 'Each tool call is started once and finished once, under an id of its own.',
    judge: toolsPaired,
  },
  { id: 'usage', means: 'Usage is the total of the turn so far, so it never falls.', judge: usageGrows },
  { id: 'paths', means: 'Changed files are in the workspace.', judge: pathsInside },
  {
    id: 'large-prompt',
    means: 'It reads a prompt of 200,000 characters to its end.',
    judge: readsLargePrompt,
  },
  { id: 'no-leftovers', means: 'Nothing that it has started lives on after it.', judge: leavesNothing },
  { id: 'term', means: 'It goes on SIGTERM, with everything that it has started.', judge: obeysTerm },
];

/** The verdict of each rule. */
export const judgeTrials = (trials: Trials): readonly (RuleVerdict & Pick<Rule, 'id' | 'means'>)[] =>
  RULES.map(({ id, means, judge }) => {
    const verdict = judge(trials);
    // Of a program that did not start nothing else can be said.
    const isMoot = id !== 'starts' && trials.ordinary.facts.startProblem !== null;
    return { id, means, ...(isMoot ? skip('it did not start') : verdict) };
  });
