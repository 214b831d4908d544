// What counts as a used-up quota, and when it is whole again: the program's own event, and the words of programs that have none.
import { expect, test } from 'vitest';
import { withQuota } from '#services/runner/providers/quota.policy.ts';
import { turnOutcome } from '#services/runner/providers/turn-outcome.policy.ts';
import type { TurnFacts } from '#services/runner/providers/turn-facts.ts';
import type { ProviderName } from '#streams/run.ts';

const NOW = 1_760_000_000_000;
const MINUTE = 60_000;

const facts = (message: string, more: Partial<TurnFacts> = {}): TurnFacts => ({
  closing: { outcome: 'failed', summary: '', message },
  exit: { code: 1, signal: null },
  startProblem: null,
  stopped: null,
  lastText: '',
  errorTail: '',
  usage: null,
  events: 0,
  leftovers: 0,
  ...more,
});
const failureOf = (of: TurnFacts, provider: ProviderName = 'codex') =>
  withQuota(turnOutcome(of, 1), of, { provider, now: NOW }).failure;

test.each([
  [
    "You've hit your usage limit. Try again in 2 days 3 hours 4 minutes.",
    (2 * 24 * 60 + 3 * 60 + 4) * MINUTE,
  ],
  ['You have exceeded your current quota, please check your plan', 2 * MINUTE],
  ['Rate limit reached for gpt-5: please try again in 20s', 20_000],
  ['429 Too Many Requests', 2 * MINUTE],
  ['RESOURCE_EXHAUSTED: retry after 1h (code 429)', 60 * MINUTE],
  // The past is not believed.
  ['rate_limit: try again in 5ms', 10_000],
  // Nor is for ever.
  ['usage limit reached: try again in 400 days', 8 * 24 * 60 * MINUTE],
])('%s', (message, waitMs) => {
  expect(failureOf(facts(message))).toEqual({ kind: 'provider-limited', message, retryAt: NOW + waitMs });
});

test('seconds of the epoch behind a bar are when it is whole again', () => {
  const at = NOW / 1000 + 3600;
  expect(failureOf(facts(`Claude AI usage limit reached|${at}`), 'claude')?.retryAt).toBe(at * 1000);
});

test("the program's own word counts before its words", () => {
  const resetsAt = NOW + 77 * MINUTE;
  const said = facts('API Error: try again in 3 minutes', { quota: { resetsAt } });
  expect(failureOf(said, 'claude')).toMatchObject({ kind: 'provider-limited', retryAt: resetsAt });
  expect(failureOf(facts('it stopped', { quota: { resetsAt: null } }), 'claude')).toMatchObject({
    retryAt: NOW + 2 * MINUTE,
  });
});

test('other failures stay what they are: other words, standard error, work about limits, and a turn that went well', () => {
  for (const message of ['exit code 2', 'the file has 429 lines', 'the limit of the loop is wrong'])
    expect(failureOf(facts(message))?.kind).toBe('provider-failed');
  const printed = facts('', { closing: null, errorTail: 'AssertionError: rate limit expected' });
  expect(failureOf(printed)?.kind).toBe('provider-failed');
  // A program of the user's own: what it says is about its work.
  expect(failureOf(facts('429 Too Many Requests'), 'exec')?.kind).toBe('provider-failed');
  const done = facts('', {
    closing: { outcome: 'done', summary: 'rate limit', message: '' },
    exit: { code: 0, signal: null },
    quota: { resetsAt: NOW },
  });
  expect(failureOf(done)).toBeNull();
});
