// In what agents differ, what the end of a prompt means, and what is answered to a request for permission: rule by rule, and for everything
// an agent could say.
import { assert, constantFrom, integer, option, property, record, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  closingOf,
  optionFor,
  tokensOf,
  type PromptAnswer,
  type PromptFacts,
} from '#services/runner/providers/acp/acp-closing.policy.ts';
import { decidePermission, type Decider } from '#services/runner/providers/acp/acp-permission.ts';
import {
  ACP_AGENTS,
  quirksAfter,
  quirksBefore,
  waitBeforeLoadMs,
} from '#services/runner/providers/acp/acp-quirks.policy.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const row = (agent: (typeof ACP_AGENTS)[number]) => quirksBefore(agent, []);
const usage = { input: 10, output: 2, cachedRead: 5, cachedWrite: 1 };
const result = (more: Partial<Extract<PromptAnswer, { kind: 'result' }>> = {}): PromptAnswer => ({
  kind: 'result',
  stopReason: 'end_turn',
  usage,
  failure: null,
  ...more,
});
const facts = (more: Partial<PromptFacts> = {}): PromptFacts => ({
  rejections: 0,
  isGoneOn: true,
  lastText: 'last words',
  ...more,
});

describe('the row of an agent', () => {
  test.each([
    ['claude', ['/x/node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js']],
    ['codex', ['node', '/x/codex-acp/dist/index.js']],
    ['gemini', ['/x/@google/gemini-cli/bundle/gemini.js', '--acp']],
    ['opencode', ['/usr/local/bin/opencode', 'acp']],
    ['other', ['/srv/gemini/projects/bin/agent']],
  ])('%s is found by its program', (agent, program) => {
    expect(quirksBefore('auto', program).agent).toBe(agent);
  });

  test.each([
    ['@agentclientprotocol/claude-agent-acp', 'claude'],
    ['@agentclientprotocol/codex-acp', 'codex'],
    ['gemini-cli', 'gemini'],
    ['OpenCode', 'opencode'],
    ['somebody else', 'other'],
  ])('what calls itself %s is %s, whatever its program looked like', (said, agent) => {
    expect(quirksAfter('auto', said, row('gemini')).agent).toBe(agent);
  });

  test('is what the settings say, and stays so when the agent says nothing', () => {
    expect(quirksAfter('codex', 'gemini-cli', row('codex')).agent).toBe('codex');
    expect(quirksAfter('auto', undefined, row('gemini')).agent).toBe('gemini');
  });

  test('a load waits until the minute is over in which it would erase what it loads', () => {
    const minute = 60_000;
    const begun = 100 * minute + 20_000;
    expect(waitBeforeLoadMs(row('gemini'), begun, begun + 5000)).toBe(35_000);
    expect(waitBeforeLoadMs(row('gemini'), begun, 101 * minute)).toBe(0);
    expect(waitBeforeLoadMs(row('claude'), begun, begun + 5000)).toBe(0);
  });
});

describe('the end of a prompt', () => {
  const verdict = (
    ...[answer, agent, more]: [PromptAnswer, (typeof ACP_AGENTS)[number], Partial<PromptFacts>?]
  ) => {
    const { outcome, message } = closingOf(answer, row(agent), facts(more));
    return [outcome, message];
  };
  const gaveUp = 'the agent gave up because a tool call was turned down';
  const failure = { severity: 'error', title: 'API Error: 529', category: 'limit' };

  test.each<[string, readonly [PromptAnswer, (typeof ACP_AGENTS)[number], Partial<PromptFacts>?], unknown[]]>(
    [
      ['an end of the turn', [result(), 'claude'], ['done', '']],
      ['an end without usage, of most', [result({ usage: null }), 'other'], ['done', '']],
      [
        'an end without usage, of one that means a failure by it',
        [result({ usage: null }), 'codex'],
        ['failed', 'last words'],
      ],
      ['a failure told beside the end', [result({ failure }), 'claude'], ['failed', 'API Error: 529']],
      [
        'a warning told beside the end',
        [result({ failure: { ...failure, severity: 'warning' } }), 'claude'],
        ['done', ''],
      ],
      [
        'a cancel that nobody asked for',
        [result({ stopReason: 'cancelled' }), 'other'],
        ['failed', 'the agent cancelled the turn by itself'],
      ],
      [
        'a cancel after a reject',
        [result({ stopReason: 'cancelled' }), 'codex', { rejections: 1 }],
        ['failed', gaveUp],
      ],
      [
        'silence after a reject',
        [result(), 'opencode', { rejections: 1, isGoneOn: false }],
        ['failed', gaveUp],
      ],
      ['words after a reject', [result(), 'opencode', { rejections: 1 }], ['done', '']],
      [
        'an end after a reject, of one that goes on',
        [result(), 'claude', { rejections: 1, isGoneOn: false }],
        ['done', ''],
      ],
      [
        'too many tokens',
        [result({ stopReason: 'max_tokens' }), 'other'],
        ['failed', 'the answer was cut at the limit of its tokens'],
      ],
      ['a refusal', [result({ stopReason: 'refusal' }), 'other'], ['failed', 'the model refused to answer']],
      [
        'a reason of tomorrow',
        [result({ stopReason: 'bored' }), 'other'],
        ['failed', 'the agent ended for a reason not known here: bored'],
      ],
      [
        'an error',
        [{ kind: 'error', code: -32_603, message: 'Internal error', detail: 'no rollout' }, 'codex'],
        ['failed', 'Internal error: no rollout (code -32603)'],
      ],
      [
        'a missing login',
        [{ kind: 'error', code: -32_000, message: 'Authentication required', detail: '' }, 'codex'],
        ['failed', 'the agent is not logged in: Authentication required'],
      ],
    ],
  )('%s', (_what, [answer, agent, more], expected) => {
    expect(verdict(answer, agent, more)).toEqual(expected);
  });

  test('has a meaning whatever it is, and is done only after an end of the turn that is no failure', () => {
    const answers = record({
      stopReason: constantFrom(
        'end_turn',
        'cancelled',
        'refusal',
        'max_tokens',
        'max_turn_requests',
        'toString',
        '',
      ),
      usage: option(constantFrom(usage)),
      failure: option(
        record({ severity: constantFrom('error', 'warning'), title: string(), category: string() }),
      ),
    });
    const happened = record({
      rejections: integer({ min: 0, max: 2 }),
      isGoneOn: constantFrom(true, false),
      lastText: string(),
    });
    assert(
      property(answers, happened, constantFrom(...ACP_AGENTS), (answer, before, agent) => {
        const closing = closingOf({ kind: 'result', ...answer }, row(agent), before);
        if (closing.outcome === 'done') {
          expect(answer.stopReason).toBe('end_turn');
          expect(answer.failure?.severity).not.toBe('error');
        } else expect(closing.message).toEqual(expect.stringMatching(/./));
      }),
      propertyRuns(500),
    );
  });

  test('says what the turn used, with what came from a cache; of the last request alone it says nothing', () => {
    expect(tokensOf(usage, row('claude'))).toEqual({
      inputTokens: 16,
      cachedInputTokens: 5,
      outputTokens: 2,
    });
    expect(tokensOf({ ...usage, cachedRead: null, cachedWrite: null }, row('gemini'))).toEqual({
      inputTokens: 10,
      outputTokens: 2,
    });
    expect(tokensOf(usage, row('opencode'))).toBeUndefined();
    expect(tokensOf(null, row('claude'))).toBeUndefined();
  });
});

describe('a request for permission', () => {
  const options = [
    { optionId: 'a', name: 'Always', kind: 'allow_always' },
    { optionId: 'b', name: 'Once', kind: 'allow_once' },
    { optionId: 'c', name: 'No', kind: 'reject_always' },
  ];
  const call = { callId: 'c-1', tool: 'execute', title: 'rm x', input: { command: 'rm x' } };
  const decide = async (decider: Partial<Decider>, offered = options) => {
    const full = {
      setting: 'ask',
      ask: undefined,
      withdrawn: new AbortController().signal,
      ...decider,
    } as const;
    const { result: answer, event, isRejected } = await decidePermission(call, offered, full);
    const { outcome } = answer as { outcome: { outcome: string; optionId?: string } };
    const words = event.kind === 'output' ? event.text.trim() : '';
    return { chosen: outcome.optionId ?? outcome.outcome, words, isRejected };
  };
  const says = (what: Awaited<ReturnType<NonNullable<Decider['ask']>>>): Partial<Decider> => ({
    ask: async () => what,
  });

  test('is answered by the kind of an option: for once rather than for ever', () => {
    expect(optionFor(options, 'allow')?.optionId).toBe('b');
    expect(optionFor(options, 'reject')?.optionId).toBe('c');
    expect(optionFor([{ kind: 'something_new' }], 'allow')).toBeUndefined();
  });

  test('is put to a person, whose word is carried over and told', async () => {
    expect(await decide(says({ isAllowed: true, input: call.input, message: 'fine' }))).toEqual({
      chosen: 'b',
      words: 'permission for execute (rm x): allowed by approval: fine',
      isRejected: false,
    });
    expect(await decide(says({ isAllowed: false, why: 'reject', message: '' }))).toMatchObject({
      chosen: 'c',
      isRejected: true,
    });
    expect(await decide(says({ isAllowed: false, why: 'expired', message: '' }))).toMatchObject({
      chosen: 'c',
      words: 'permission for execute (rm x): rejected because nobody answered',
    });
  });

  test('with another input than the agent’s own is rejected: it could not be passed on', async () => {
    const edited = await decide(says({ isAllowed: true, input: { command: 'ls' }, message: '' }));
    expect(edited).toMatchObject({ chosen: 'c', isRejected: true });
    expect(edited.words).toContain('takes no other input');
  });

  test('that is withdrawn, or that nobody can be asked about, is never allowed', async () => {
    expect(await decide(says({ isAllowed: false, why: 'withdrawn', message: '' }))).toMatchObject({
      chosen: 'cancelled',
      isRejected: false,
    });
    expect(await decide({ withdrawn: AbortSignal.abort(), setting: 'allow' })).toMatchObject({
      chosen: 'cancelled',
    });
    expect(await decide({})).toMatchObject({
      chosen: 'c',
      words: expect.stringContaining('nobody can be asked'),
    });
  });

  test('that offers no such answer is cancelled, and told', async () => {
    expect(await decide({ setting: 'allow' }, [{ optionId: 'x', name: '?', kind: 'brand_new' }])).toEqual({
      chosen: 'cancelled',
      words: 'permission for execute (rm x): the agent offers nothing to allow it with, so it is cancelled',
      isRejected: true,
    });
  });
});
