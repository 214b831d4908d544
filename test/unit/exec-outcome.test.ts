// How a turn ended, from its facts: one rule at a time, and for every combination of facts.
import { assert, constant, constantFrom, property, record, option, string } from 'fast-check';
import { expect, test } from 'vitest';
import type { TurnFacts } from '#services/runner/providers/turn-facts.ts';
import { turnOutcome } from '#services/runner/providers/turn-outcome.policy.ts';
import { turnResultSchema } from '#streams/run.ts';
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
const killed = { code: null, signal: 'SIGKILL' };

const verdict = (more: Partial<TurnFacts>): unknown[] => {
  const { outcome, failure } = turnOutcome(facts(more), 5);
  return [outcome, failure?.kind ?? null];
};

test.each<[string, Partial<TurnFacts>, unknown[]]>([
  ['done and exit 0', { closing: done }, ['done', null]],
  ['failed and exit 0', { closing: failed }, ['failed', 'provider-failed']],
  ['done and exit 1', { closing: done, exit: { code: 1, signal: null } }, ['failed', 'provider-failed']],
  [
    'done and a crash',
    { closing: done, exit: { code: null, signal: 'SIGSEGV' } },
    ['failed', 'provider-failed'],
  ],
  ['done, then ended because it stayed', { closing: done, exit: killed, stopped: 'linger' }, ['done', null]],
  ['done, then cancelled', { closing: done, exit: killed, stopped: 'cancel' }, ['done', null]],
  ['cancelled', { exit: killed, stopped: 'cancel' }, ['cancelled', null]],
  ['cancelled and went with 0', { stopped: 'cancel' }, ['cancelled', null]],
  ['past the deadline', { exit: killed, stopped: 'deadline' }, ['failed', 'turn-timeout']],
  ['silent', { exit: killed, stopped: 'silence' }, ['failed', 'turn-timeout']],
  ['lease lost', { exit: killed, stopped: 'lease' }, ['failed', 'runner-lost']],
  ['runner shut down', { exit: killed, stopped: 'shutdown' }, ['failed', 'runner-lost']],
  ['events not kept', { closing: done, stopped: 'sink' }, ['failed', 'infra-failed']],
  ['never started', { exit: null, startProblem: 'cannot start x' }, ['failed', 'infra-failed']],
  ['no result, exit 0', {}, ['failed', 'protocol-invalid']],
  ['no result, exit 3', { exit: { code: 3, signal: null } }, ['failed', 'provider-failed']],
])('WK-20 %s', (_, more, expected) => {
  expect(verdict(more)).toEqual(expected);
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

test('WK-20 every combination of facts has an outcome that fits the contract, and failed has a reason', () => {
  const reasons = ['cancel', 'lease', 'shutdown', 'deadline', 'silence', 'linger', 'sink'] as const;
  const anyFacts = record({
    closing: option(
      record({
        outcome: constantFrom('done' as const, 'failed' as const),
        summary: string({ maxLength: 5000 }),
        message: string({ maxLength: 9000 }),
      }),
    ),
    exit: option(
      record({ code: option(constantFrom(0, 1, 255)), signal: option(constantFrom('SIGTERM', 'SIGKILL')) }),
    ),
    startProblem: option(string()),
    stopped: option(constantFrom(...reasons)),
    lastText: string({ maxLength: 5000 }),
    errorTail: string({ maxLength: 5000 }),
    usage: constant(null),
    events: constant(3),
    leftovers: constant(0),
  });
  assert(
    property(anyFacts, (some) => {
      const result = turnOutcome(some, 1);
      turnResultSchema.parse(result);
      expect(result.failure !== null).toBe(result.outcome === 'failed');
    }),
    propertyRuns(2000),
  );
});
