// How a turn ended, from its facts: one rule at a time, and for every combination of facts.
import { assert, constant, constantFrom, property, record, option, string, type Arbitrary } from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AgentWord, TurnFacts } from '#services/runner/providers/turn-facts.ts';
import { turnOutcome, type TurnTerms } from '#services/runner/providers/turn-outcome.policy.ts';
import { turnResultSchema } from '#streams/turn-result.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const facts = (more: Partial<TurnFacts> = {}): TurnFacts => ({
  closing: null,
  exit: { code: 0, signal: null },
  startProblem: null,
  stopped: null,
  lastText: '',
  errorTail: '',
  usage: null,
  events: 0,
  leftovers: 0,
  ...more,
});
const done = { outcome: 'done', summary: 'all well', message: '' } as const;
const failed = { outcome: 'failed', summary: '', message: 'cannot' } as const;
const yielded = { outcome: 'yielded', summary: 'waiting', message: '' } as const;
const blocked = { outcome: 'blocked', summary: '', message: 'no key' } as const;
const killed = { code: null, signal: 'SIGKILL' };
const one = { code: 1, signal: null };

const verdict = (more: Partial<TurnFacts>, terms?: TurnTerms): unknown[] => {
  const { outcome, failure } = turnOutcome(facts(more), 5, terms);
  return [outcome, failure?.kind ?? null];
};

describe('TR-16 TR-30 TR-T1 TR-T2 TR-T4 TR-T5 TR-T7 WK-19 WK-20 WK-21 the outcome of a program that was', () => {
  test.each<[string, Partial<TurnFacts>, unknown[]]>([
    ['done and exit 0', { closing: done }, ['done', null]],
    ['failed and exit 0', { closing: failed }, ['failed', 'provider-failed']],
    ['done and exit 1', { closing: done, exit: one }, ['failed', 'provider-failed']],
    [
      'done and a crash',
      { closing: done, exit: { code: null, signal: 'SIGSEGV' } },
      ['failed', 'provider-failed'],
    ],
    ['yielded and exit 0', { closing: yielded }, ['yielded', null]],
    ['yielded and exit 1', { closing: yielded, exit: one }, ['failed', 'provider-failed']],
    ['blocked and exit 0', { closing: blocked }, ['blocked', null]],
    ['blocked and exit 1', { closing: blocked, exit: one }, ['blocked', null]],
    [
      'done, then ended because it stayed',
      { closing: done, exit: killed, stopped: 'linger' },
      ['done', null],
    ],
    ['done, then cancelled', { closing: done, exit: killed, stopped: 'cancel' }, ['done', null]],
    ['cancelled', { exit: killed, stopped: 'cancel' }, ['cancelled', null]],
    ['cancelled and went with 0', { stopped: 'cancel' }, ['cancelled', null]],
    ['past the deadline', { exit: killed, stopped: 'deadline' }, ['failed', 'turn-timeout']],
    ['silent', { exit: killed, stopped: 'silence' }, ['failed', 'turn-timeout']],
    ['lease lost', { exit: killed, stopped: 'lease' }, ['failed', 'runner-lost']],
    ['runner shut down', { exit: killed, stopped: 'shutdown' }, ['failed', 'runner-lost']],
    ['events not kept', { closing: done, stopped: 'sink' }, ['failed', 'infra-failed']],
    ['never started', { exit: null, startProblem: 'cannot start x' }, ['failed', 'infra-failed']],
    ['no result and no event, exit 0', {}, ['failed', 'protocol-invalid']],
    [
      'events, but no result, exit 3',
      { exit: { code: 3, signal: null }, events: 9 },
      ['failed', 'provider-failed'],
    ],
  ])('%s', (_, more, expected) => {
    expect(verdict(more)).toEqual(expected);
  });
});

test('HR-33 a program that takes too long before it has said anything fails for that', () => {
  const late = turnOutcome(facts({ exit: killed, stopped: 'deadline' }), 5);
  expect(late).toMatchObject({
    outcome: 'failed',
    failure: { kind: 'turn-timeout' },
    summary: '',
    events: 0,
  });
});

test.each([
  ['its own words', { lastText: 'so far' }, 'so far'],
  ['its result', { closing: done }, 'all well'],
  ['nothing', {}, 'no such file'],
])(
  'HR-29 errors of tools are the summary only where the program said nothing: it said %s',
  (_, more, summary) => {
    const terms = { completion: 'turn-end', word: null, toolErrors: 'no such file' } as const;
    expect(turnOutcome(facts(more), 5, terms).summary).toBe(summary);
  },
);

describe('a run that is done only by its agent’s own word', () => {
  const bySignal: TurnTerms = { completion: 'signal', word: null };

  test('TR-31 TR-T3 WK-22 a clean end without it has yielded, and is no failure', () => {
    expect(verdict({ closing: done }, bySignal)).toEqual(['yielded', null]);
    expect(verdict({ closing: done }, { completion: 'turn-end', word: null })).toEqual(['done', null]);
  });

  test('WK-22 the result line of a program that speaks of its work is such a word', () => {
    expect(verdict({ closing: { ...done, isSignal: true } }, bySignal)).toEqual(['done', null]);
    expect(verdict({ closing: { ...yielded, isSignal: true } }, bySignal)).toEqual(['yielded', null]);
  });

  test.each<[string, Partial<TurnFacts>]>([
    ['cancelled', { exit: killed, stopped: 'cancel' }],
    ['silent for too long', { exit: killed, stopped: 'silence' }],
    ['past its deadline', { exit: killed, stopped: 'deadline' }],
    ['ended with the lease', { exit: killed, stopped: 'lease' }],
    ['failed by its own account', { closing: failed, exit: one }],
    ['dead without a result', { exit: { code: null, signal: 'SIGSEGV' } }],
  ])('WK-21 done was said, then the program was %s: it is done', (_, more) => {
    const word: AgentWord = { outcome: 'done', summary: 'merged' };
    for (const completion of ['signal', 'turn-end'] as const) {
      const result = turnOutcome(facts(more), 5, { completion, word });
      expect(result).toMatchObject({ outcome: 'done', failure: null, summary: 'merged' });
    }
  });

  test('blocked was said: blocked it is, also after a clean end', () => {
    const word: AgentWord = { outcome: 'blocked', summary: '' };
    const result = turnOutcome(facts({ closing: done }), 5, { completion: 'turn-end', word });
    expect(result).toMatchObject({ outcome: 'blocked', failure: null, summary: 'all well' });
  });
});

test('the failure message carries the end of standard error; the summary falls back to the last words', () => {
  const result = turnOutcome(
    facts({ exit: { code: 2, signal: null }, errorTail: 'boom\n', lastText: 'I tried' }),
    7,
  );
  expect(result.failure?.message).toBe(
    'the program ended with exit code 2 without saying a result; last of standard error: boom',
  );
  expect(result).toMatchObject({ summary: 'I tried', exitCode: 2, durationMs: 7 });
});

test.each([
  [{ read: 0, strange: 0, last: null }, '; it printed nothing'],
  [{ read: 1, strange: 0, last: null }, '; its one line was none'],
  [{ read: 3, strange: 0, last: null }, '; its 3 lines were none'],
  [
    { read: 3, strange: 2, last: { line: '{"type":"result"}', reason: 'outcome: missing' } },
    '; of its 3 lines 2 were not understood, the last: {"type":"result"} (outcome: missing)',
  ],
])('a program without a result is told what became of its lines: %j', (lines, words) => {
  expect(turnOutcome(facts({ lines }), 7).failure?.message).toBe(
    `the program ended without saying a result${words}`,
  );
  expect(turnOutcome(facts({ lines, exit: one, errorTail: 'boom' }), 7).failure?.message).toBe(
    `the program ended with exit code 1 without saying a result${words}; last of standard error: boom`,
  );
});

test('the summary of a blocked turn is why it is blocked', () => {
  expect(turnOutcome(facts({ closing: blocked, lastText: 'I tried' }), 7).summary).toBe('no key');
  const said = { ...blocked, summary: 'waiting for a key' };
  expect(turnOutcome(facts({ closing: said }), 7).summary).toBe('waiting for a key');
});

const OUTCOMES = ['done', 'yielded', 'blocked', 'failed'] as const;
const REASONS = ['cancel', 'lease', 'shutdown', 'deadline', 'silence', 'linger', 'sink'] as const;
const EXITS = [null, { code: 0, signal: null }, one, { code: 143, signal: null }, killed] as const;
const WORDS: readonly (AgentWord | null)[] = [
  null,
  { outcome: 'done', summary: '' },
  { outcome: 'blocked', summary: 'why' },
];

const check = (some: TurnFacts, terms: TurnTerms): void => {
  const result = turnOutcome(some, 1, terms);
  turnResultSchema.parse(result);
  expect(result.failure !== null).toBe(result.outcome === 'failed');
  if (terms.word !== null) expect(result.outcome).toBe(terms.word.outcome);
  else if (result.outcome === 'done') expect(some.closing?.outcome).toBe('done');
  else if (result.outcome === 'cancelled') expect(some.stopped).toBe('cancel');
  if (result.outcome === 'done' && terms.completion === 'signal' && terms.word === null)
    expect(some.closing?.isSignal).toBe(true);
};

const CLOSINGS = [
  null,
  ...OUTCOMES.flatMap((outcome) =>
    [false, true].map((isSignal) => ({ outcome, summary: '', message: '', isSignal })),
  ),
];
const TERMS = WORDS.flatMap((word) =>
  (['turn-end', 'signal'] as const).map((completion): TurnTerms => ({ completion, word })),
);
/** Every way a program can come to its end. */
const ENDS = EXITS.flatMap((exit) =>
  [null, ...REASONS].flatMap((stopped) =>
    [null, 'no such file'].map((startProblem) => ({ exit, stopped, startProblem })),
  ),
);

test('WK-20 WK-21 WK-22 every combination of closing event, exit, stop, word and rule has the one outcome that its laws allow', () => {
  const all = CLOSINGS.flatMap((closing) => ENDS.map((end) => facts({ ...end, closing })));
  expect(all).toHaveLength(9 * 5 * 8 * 2);
  for (const some of all) for (const terms of TERMS) check(some, terms);
});

test('WK-20 whatever the texts are, the result fits the contract', () => {
  const texts = (maxLength: number): Arbitrary<string> => string({ maxLength });
  const anyFacts = record({
    closing: option(
      record({ outcome: constantFrom(...OUTCOMES), summary: texts(5000), message: texts(9000) }),
    ),
    exit: option(
      record({ code: option(constantFrom(0, 1, 255)), signal: option(constantFrom('SIGTERM', 'SIGKILL')) }),
    ),
    startProblem: option(string()),
    stopped: option(constantFrom(...REASONS)),
    lastText: texts(5000),
    errorTail: texts(5000),
    usage: constant(null),
    events: constant(3),
    leftovers: constant(0),
  });
  const word = option(
    record({ outcome: constantFrom('done' as const, 'blocked' as const), summary: texts(5000) }),
  );
  assert(
    property(anyFacts, word, constantFrom('turn-end' as const, 'signal' as const), (some, said, completion) =>
      check(some, { completion, word: said }),
    ),
    propertyRuns(2000),
  );
});
