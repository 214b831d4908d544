// Lines of Codex that are easily misread, one trap at a time. Whole recorded turns are in test/golden/programs.
import { array, assert, integer, property } from 'fast-check';
import { expect, test } from 'vitest';
import { codexCommand } from '#services/runner/providers/codex/codex-provider.ts';
import { createCodexReader } from '#services/runner/providers/codex/codex-reader.ts';
import { usedSince } from '#services/runner/providers/counters.policy.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import type { ResumePoint } from '#services/runner/providers/turn-facts.ts';
import { readAll, WORKSPACE, type Meanings } from '#test/support/program-lines.ts';
import { propertyRuns } from '#test/support/seeds.ts';

const read = (lines: readonly object[], resume?: ResumePoint, errorTail = ''): Meanings =>
  readAll(
    createCodexReader({ workspace: WORKSPACE, ...(resume !== undefined && { resume }) }),
    lines.map((line) => JSON.stringify(line)),
    errorTail,
  );
const eventsOf = ({ meanings }: Meanings): ProviderEvent[] =>
  meanings.flatMap((meaning) => (meaning.kind === 'event' ? [meaning.event] : []));
const closingsOf = ({ meanings }: Meanings): unknown[] =>
  meanings.flatMap((meaning) => (meaning.kind === 'closing' ? [meaning.closing] : []));

const resume = { providerSessionId: 't-0', counters: {} };
const started = { type: 'thread.started', thread_id: 't-1' };
const completed = (input: number, output: number) => ({
  type: 'turn.completed',
  usage: { input_tokens: input, cached_input_tokens: 0, output_tokens: output },
});

test('an error on the way is a complaint, and only turn.failed is the end', () => {
  const retry = { type: 'error', message: 'Reconnecting... 1/5 (timeout)' };
  expect(closingsOf(read([started, retry]))).toEqual([]);
  const failed = { type: 'turn.failed', error: { message: 'no luck' } };
  expect(closingsOf(read([started, retry, failed]))).toEqual([
    { outcome: 'failed', summary: '', message: 'no luck' },
  ]);
});

test('what turns used adds up to the counter of the thread, whatever turns had no end', () => {
  assert(
    property(array(integer({ min: 0, max: 5000 }), { maxLength: 20 }), (steps) => {
      let counters: ResumePoint['counters'] = {};
      let [total, sum] = [0, 0];
      for (const [at, used] of steps.entries()) {
        total += used;
        // Every third turn is ended before it could say anything.
        const lines = at % 3 === 2 ? [started] : [started, completed(total, 0)];
        const meanings = read(lines, { providerSessionId: 't-1', counters });
        for (const event of eventsOf(meanings))
          if (event.kind === 'usage') sum += event.usage.inputTokens ?? 0;
        if (typeof meanings.session === 'object' && meanings.session !== null)
          counters = meanings.session.counters;
      }
      const rest = usedSince(counters, { inputTokens: total }).inputTokens ?? 0;
      expect(sum + rest).toBe(total);
    }),
    propertyRuns(200),
  );
});

test('a fork begins with the counters of the thread it came from', () => {
  const meanings = read([started, completed(150, 9)], {
    providerSessionId: 't-0',
    counters: { inputTokens: 100, outputTokens: 5 },
  });
  expect(eventsOf(meanings)).toMatchObject([
    { kind: 'session-forked', providerSessionId: 't-1', requested: 't-0' },
    { kind: 'usage', usage: { inputTokens: 50, outputTokens: 4 } },
  ]);
});

test('a thread that the program does not know is forgotten', () => {
  expect(read([], resume, 'no rollout found for thread id t-0 (code -32600)').session).toBe('gone');
  expect(read([]).session).toBeNull();
});

test('a call whose beginning was not told is told whole', () => {
  const item = {
    id: 'i',
    type: 'mcp_tool_call',
    server: 'lab',
    tool: 'note',
    status: 'failed',
    error: { message: 'x' },
  };
  expect(eventsOf(read([{ type: 'item.completed', item }]))).toEqual([
    { kind: 'tool-started', callId: 'i', name: 'lab.note', input: null },
    { kind: 'tool-finished', callId: 'i', output: 'x', isError: true },
  ]);
});

test('files of a change that failed were not changed', () => {
  const item = { id: 'i', type: 'file_change', changes: [{ path: 'a', kind: 'add' }], status: 'failed' };
  expect(eventsOf(read([{ type: 'item.completed', item }])).map(({ kind }) => kind)).toEqual([
    'tool-started',
    'tool-finished',
  ]);
});

test('lines and items of a kind that is not known are kept whole, with the reason', () => {
  const item = { type: 'item.completed', item: { id: 'i', type: 'web_dance' } };
  expect(eventsOf(read([item, { type: 'turn.paused' }]))).toMatchObject([
    { kind: 'unknown-line', line: JSON.stringify(item), reason: /^item type/ },
    { kind: 'unknown-line', line: '{"type":"turn.paused"}' },
  ]);
});

test('TR-08 a thread is asked for behind the settings, and the prompt is no argument', () => {
  const exec = ['codex', 'exec', '--json', '--skip-git-repo-check', '-s', 'read-only'];
  expect(codexCommand('codex', ['-s', 'read-only'], undefined)).toEqual([...exec, '-']);
  expect(codexCommand('codex', ['-s', 'read-only'], resume)).toEqual([...exec, 'resume', 't-0', '-']);
});
