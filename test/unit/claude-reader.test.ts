// Lines of Claude Code that are easily misread, one trap at a time. Whole recorded turns are in test/golden/programs.
import { describe, expect, test } from 'vitest';
import { costScope, microUsd } from '#services/runner/providers/claude/claude-cost.policy.ts';
import { claudeCommand } from '#services/runner/providers/claude/claude-provider.ts';
import { createClaudeReader } from '#services/runner/providers/claude/claude-reader.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import type { ResumePoint } from '#services/runner/providers/turn-facts.ts';
import { readAll, WORKSPACE, type Meanings } from '#test/support/program-lines.ts';

const init = (more: object = {}): object => ({
  type: 'system',
  subtype: 'init',
  session_id: 's-1',
  claude_code_version: '2.1.329',
  ...more,
});
const result = (more: object = {}): object => ({
  // As the program prints it: the type is not the first key.
  is_error: false,
  subtype: 'success',
  result: 'well',
  type: 'result',
  ...more,
});
const assistant = (content: readonly object[], more: object = {}): object => ({
  type: 'assistant',
  message: { id: 'm', content, usage: { input_tokens: 5, output_tokens: 1 } },
  parent_tool_use_id: null,
  ...more,
});

const read = (lines: readonly object[], resume?: ResumePoint, errorTail = ''): Meanings =>
  readAll(
    createClaudeReader({ workspace: WORKSPACE, ...(resume !== undefined && { resume }) }),
    lines.map((line) => JSON.stringify(line)),
    errorTail,
  );
const eventsOf = ({ meanings }: Meanings): ProviderEvent[] =>
  meanings.flatMap((meaning) => (meaning.kind === 'event' ? [meaning.event] : []));
const closingOf = ({ meanings }: Meanings): unknown =>
  meanings.findLast((meaning) => meaning.kind === 'closing')?.closing;
const usageOf = (meanings: Meanings): unknown =>
  eventsOf(meanings).findLast((event) => event.kind === 'usage')?.usage;

describe('the end', () => {
  test('TR-25 the last of several results counts, and another turn of the process takes the first one back', () => {
    const first = [init(), result({ result: 'first' })];
    expect(closingOf(read(first))).toMatchObject({ outcome: 'done', summary: 'first' });
    expect(closingOf(read([...first, init()]))).toBeNull();
    expect(closingOf(read([...first, init(), result({ is_error: true, result: 'no' })]))).toEqual({
      outcome: 'failed',
      summary: '',
      message: 'no',
    });
  });

  test('is_error alone says that it failed, whatever the subtype', () => {
    expect(closingOf(read([result({ is_error: true, result: 'API Error: 500' })]))).toMatchObject({
      outcome: 'failed',
      message: 'API Error: 500',
    });
    const silent = result({ is_error: true, result: null, subtype: 'error_max_turns' });
    expect(closingOf(read([silent]))).toMatchObject({ message: 'it ended with error_max_turns' });
  });

  test('a call that was put off is no success', () => {
    const line = result({ stop_reason: 'tool_deferred', deferred_tool_use: { id: 't', name: 'Bash' } });
    expect(closingOf(read([line]))).toMatchObject({ outcome: 'failed', message: /call of Bash was put off/ });
  });

  test('there is none without a result, as after a signal', () => {
    const user = {
      type: 'user',
      message: { content: [{ type: 'text', text: '[Request interrupted by user]' }] },
    };
    expect(closingOf(read([init(), user]))).toBeNull();
  });

  test('strange figures do not make a result unreadable', () => {
    const line = result({ usage: { input_tokens: 'many' }, total_cost_usd: -1, errors: 7 });
    expect(closingOf(read([line]))).toMatchObject({ outcome: 'done', summary: 'well' });
  });
});

describe('usage', () => {
  const turn = { usage: { input_tokens: 10, cache_read_input_tokens: 4, output_tokens: 2 } };

  test('is counted from results alone: the lines of one message repeat theirs', () => {
    const meanings = read([
      init(),
      assistant([{ type: 'text', text: 'a' }]),
      assistant([{ type: 'text', text: 'b' }]),
    ]);
    expect(usageOf(meanings)).toBeUndefined();
  });

  test('of several results is added up', () => {
    const lines = [
      init(),
      result({ ...turn, total_cost_usd: 0.01 }),
      init(),
      result({ ...turn, total_cost_usd: 0.03 }),
    ];
    expect(usageOf(read(lines))).toEqual({
      inputTokens: 28,
      cachedInputTokens: 8,
      outputTokens: 4,
      costMicroUsd: 30_000,
    });
  });

  test.each([
    ['of the conversation', '2.1.329', 0.05, 20_000],
    ['of a conversation that began anew', '2.1.400', 0.02, 20_000],
    ['of the process', '2.1.197', 0.05, 50_000],
    ['of nobody knows what', '2.1.250', 0.05, undefined],
    ['of a failure that did not look', '2.1.329', 0, 0],
  ])('a cost counter %s (%s) gives the cost of this turn', (_, version, total, expected) => {
    const resume = { providerSessionId: 's-1', counters: { costMicroUsd: 30_000 } };
    const lines = [init({ claude_code_version: version }), result({ total_cost_usd: total })];
    expect(usageOf(read(lines, resume))).toMatchObject(
      expected === undefined ? {} : { costMicroUsd: expected },
    );
    expect('costMicroUsd' in (usageOf(read(lines, resume)) as object)).toBe(expected !== undefined);
    const counter = total === 0 ? 30_000 : microUsd(total);
    expect(read(lines, resume).session).toMatchObject({ counters: { costMicroUsd: counter } });
  });

  test('what was used since the last result is taken where the program says it', () => {
    const resume = { providerSessionId: 's-1', counters: { costMicroUsd: 30_000 } };
    const since = { a: { costUSD: 0.001 }, b: { costUSD: 0.002 } };
    const line = result({ total_cost_usd: 9, model_usage_since_last_result: since });
    expect(usageOf(read([init(), line], resume))).toMatchObject({ costMicroUsd: 3000 });
  });

  test('scopes of the cost counter are those that were measured', () => {
    expect(['2.1.197', '2.1.198', '2.1.329', '3.0.0', 'odd', undefined].map(costScope)).toEqual([
      'process',
      'unknown',
      'conversation',
      'conversation',
      'conversation',
      'conversation',
    ]);
  });
});

describe('the conversation', () => {
  const resume = { providerSessionId: 's-0', counters: {} };

  test('TR-23 another one than was asked for is told as a fork, once, and is gone on with', () => {
    const meanings = read([init(), init(), result()], resume);
    expect(eventsOf(meanings).filter(({ kind }) => kind.startsWith('session'))).toEqual([
      { kind: 'session-forked', providerSessionId: 's-1', requested: 's-0' },
    ]);
    expect(meanings.session).toEqual({ providerSessionId: 's-1', counters: {} });
  });

  test('that the program does not know is forgotten, also when only standard error says so', () => {
    expect(read([], resume, 'No conversation found with session ID: s-0').session).toBe('gone');
    expect(read([], undefined, 'No conversation found with session ID: s-0').session).toBeNull();
  });

  test('TR-08 is asked for by its id, and the prompt is no argument', () => {
    const stream = ['-p', '--output-format', 'stream-json', '--verbose'];
    expect(claudeCommand('claude', ['--model', 'm'], undefined)).toEqual([
      'claude',
      ...stream,
      '--model',
      'm',
    ]);
    expect(claudeCommand('claude', [], resume)).toEqual(['claude', ...stream, '--resume', 's-0']);
  });
});

describe('other lines', () => {
  test('of a kind that is not known are kept whole, with the reason', () => {
    const odd = { type: 'system', subtype: 'telepathy', thought: 1 };
    expect(eventsOf(read([odd, { type: 'dance' }, { no: 'type' }]))).toEqual([
      {
        kind: 'unknown-line',
        line: JSON.stringify(odd),
        reason: 'unknown type system telepathy',
        cutBytes: 0,
      },
      { kind: 'unknown-line', line: '{"type":"dance"}', reason: 'unknown type dance', cutBytes: 0 },
      { kind: 'unknown-line', line: '{"no":"type"}', reason: 'unknown type none', cutBytes: 0 },
    ]);
  });

  test('of a known kind in a shape that is not, too', () => {
    const odd = assistant([{ type: 'hologram' }]);
    expect(eventsOf(read([odd]))).toMatchObject([{ kind: 'unknown-line', line: JSON.stringify(odd) }]);
    expect(eventsOf(read([{ type: 'result' }]))).toMatchObject([
      { kind: 'unknown-line', reason: /is_error/ },
    ]);
  });

  test('of mere progress say nothing', () => {
    const silent = [
      { type: 'stream_event' },
      { type: 'system', subtype: 'thinking_tokens' },
      { type: 'attachment' },
    ];
    expect(read(silent).meanings).toEqual([]);
  });

  test('of a subagent are not the words of the agent', () => {
    const line = assistant([{ type: 'text', text: 'found it' }], { parent_tool_use_id: 'toolu_1' });
    expect(eventsOf(read([line]))).toEqual([{ kind: 'reasoning', text: 'found it' }]);
  });

  test('with the answer of a tool in parts become one text', () => {
    const content = [
      { type: 'text', text: 'one' },
      { type: 'image', source: {} },
    ];
    const line = { type: 'user', message: { content: [{ type: 'tool_result', tool_use_id: 't', content }] } };
    expect(eventsOf(read([line]))).toEqual([
      { kind: 'tool-finished', callId: 't', output: 'one\n[image]', isError: false },
    ]);
  });
});

describe('quotas', () => {
  const limit = (info: object): object => ({
    type: 'rate_limit_event',
    rate_limit_info: info,
    session_id: 's-1',
  });
  const wordOf = (lines: readonly object[]): unknown =>
    read(lines).meanings.findLast((meaning) => meaning.kind === 'quota')?.word;

  test('one that is used up says when it is whole again', () => {
    expect(wordOf([limit({ status: 'rejected', resetsAt: 1_760_000_000 })])).toEqual({
      resetsAt: 1_760_000_000_000,
    });
    expect(wordOf([limit({ status: 'rejected' })])).toEqual({ resetsAt: null });
  });

  test('a warning, a later permission and use that is paid for are none', () => {
    const rejected = limit({ status: 'rejected', resetsAt: 1_760_000_000 });
    for (const info of [
      { status: 'allowed_warning', resetsAt: 1_760_000_000, utilization: 0.9 },
      { status: 'allowed' },
      { status: 'rejected', resetsAt: 1_760_000_000, isUsingOverage: true },
    ])
      expect(wordOf([rejected, limit(info)])).toBeNull();
  });
});
