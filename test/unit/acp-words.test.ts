// What an agent says during a prompt, as events: the calls of each of the agents as they really tell of them, and everything beside.
import { describe, expect, test } from 'vitest';
import { AcpWords } from '#services/runner/providers/acp/acp-words.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';

const WORKSPACE = '/w';
const read = (updates: readonly object[], words = new AcpWords(WORKSPACE)): readonly ProviderEvent[] =>
  updates.flatMap((update) =>
    words.read({ update: update as { sessionUpdate: string }, line: JSON.stringify(update) }),
  );
const announced = (more: object): object => ({ sessionUpdate: 'tool_call', toolCallId: 't', ...more });
const updated = (more: object): object => ({ sessionUpdate: 'tool_call_update', toolCallId: 't', ...more });
const content = (text: string): object => ({ type: 'content', content: { type: 'text', text } });

describe('a call', () => {
  test('is told once its input has come: Claude Code announces it empty', () => {
    expect(
      read([
        announced({ name: 'Bash', status: 'pending', title: 'Terminal', kind: 'execute', content: [] }),
        updated({ rawInput: { command: 'ls' }, title: 'ls', content: [content('list')] }),
        updated({ status: 'completed', rawOutput: 'a.txt' }),
      ]),
    ).toEqual([
      { kind: 'tool-started', callId: 't', name: 'Bash', input: { command: 'ls' } },
      { kind: 'tool-finished', callId: 't', output: 'a.txt', isError: false },
    ]);
  });

  test('has the output that its terminal printed: Codex tells it in pieces', () => {
    const output = (data: string): object =>
      updated({ _meta: { terminal_output: { data, terminal_id: 't' } } });
    expect(
      read([
        announced({
          name: 'exec_command',
          status: 'in_progress',
          title: 'make',
          content: [{ type: 'terminal', terminalId: 't' }],
          rawInput: { command: 'make' },
        }),
        output('one '),
        output('two\n'),
        updated({ status: 'completed', _meta: { terminal_exit: { exit_code: 2 } } }),
      ]),
    ).toEqual([
      { kind: 'tool-started', callId: 't', name: 'exec_command', input: { command: 'make' } },
      { kind: 'tool-finished', callId: 't', output: 'one two\n', isError: true },
    ]);
  });

  test('is told with the input of its beginning: OpenCode announces it with half of it', () => {
    expect(
      read([
        announced({ status: 'pending', title: 'bash', kind: 'execute', rawInput: { cwd: '/w' } }),
        updated({ status: 'in_progress', title: 'ls', rawInput: { command: 'ls', cwd: '/w' } }),
        updated({ status: 'in_progress', title: 'ls', rawInput: { command: 'ls', cwd: '/w' } }),
        updated({
          status: 'completed',
          content: [content('(no output)')],
          rawOutput: { output: '(no output)' },
        }),
      ]),
    ).toEqual([
      { kind: 'tool-started', callId: 't', name: 'execute', input: { command: 'ls', cwd: '/w' } },
      { kind: 'tool-finished', callId: 't', output: '(no output)', isError: false },
    ]);
  });

  test('that was never announced is told from its permission on: Gemini names it by its title', () => {
    const words = new AcpWords(WORKSPACE);
    const asked = words.asked({ toolCallId: 't', status: 'pending', title: 'ls', kind: 'execute' });
    expect(asked?.events).toEqual([
      { kind: 'tool-started', callId: 't', name: 'execute', input: { title: 'ls' } },
    ]);
    expect(asked?.about).toEqual({ name: 'execute', title: 'ls', input: null });
    expect(read([updated({ status: 'completed', title: 'ls', content: [] })], words)).toEqual([
      { kind: 'tool-finished', callId: 't', output: '', isError: false },
    ]);
  });

  test('that ends before it is announced is told whole, and nothing is told of it afterwards', () => {
    const words = new AcpWords(WORKSPACE);
    expect(read([updated({ status: 'failed', title: 'x', content: [content('no')] })], words)).toEqual([
      { kind: 'tool-started', callId: 't', name: 'tool', input: { title: 'x' } },
      { kind: 'tool-finished', callId: 't', output: 'no', isError: true },
    ]);
    expect(read([updated({ status: 'completed' }), announced({ title: 'again' })], words)).toEqual([]);
    expect(words.end()).toEqual([]);
  });

  test('whose input never comes is told at the end as it is', () => {
    const words = new AcpWords(WORKSPACE);
    expect(read([announced({ status: 'pending', title: 'later' })], words)).toEqual([]);
    expect(words.end()).toEqual([
      { kind: 'tool-started', callId: 't', name: 'tool', input: { title: 'later' } },
    ]);
  });

  test('changes files, unless it failed: inside the workspace they are named from there', () => {
    const diff = (path: string, oldText: string | null): object => ({
      type: 'diff',
      path,
      oldText,
      newText: 'new',
    });
    const edit = (status: string): readonly ProviderEvent[] =>
      read([
        updated({ kind: 'edit', status, content: [diff('/w/a.txt', null), diff('/else/b.txt', 'old')] }),
      ]).filter(({ kind }) => kind === 'file-changed');
    expect(edit('completed')).toEqual([
      { kind: 'file-changed', path: 'a.txt', change: 'created' },
      { kind: 'file-changed', path: '/else/b.txt', change: 'changed' },
    ]);
    expect(edit('failed')).toEqual([]);
  });
});

describe('beside calls', () => {
  test('warnings and notices are told, each once', () => {
    const warning = {
      sessionUpdate: 'session_info_update',
      _meta: { jetbrains: { air: { sessionFailure: { severity: 'warning', title: 'model unknown' } } } },
    };
    const notice = { sessionUpdate: 'notice', severity: 'info', title: 'Compacted', description: 'to half' };
    expect(read([warning, warning, notice])).toEqual([
      { kind: 'output', stream: 'stderr', text: 'warning: model unknown\n' },
      { kind: 'output', stream: 'stderr', text: 'info: Compacted: to half\n' },
    ]);
  });

  test('what has no words is named by its kind, and nothing empty is told', () => {
    const said = (inner: object): object => ({ sessionUpdate: 'agent_message_chunk', content: inner });
    expect(
      read([
        said({ type: 'image', data: 'AAAA', mimeType: 'image/png' }),
        said({ type: 'resource_link', uri: 'file:///w/a', name: 'a' }),
        said({ type: 'text', text: '' }),
      ]),
    ).toEqual([
      { kind: 'text', text: '[image]' },
      { kind: 'text', text: '[file:///w/a]' },
    ]);
  });

  test('a plan of another shape is kept as a line', () => {
    const entries = [{ content: 'x', status: 'postponed' }];
    expect(read([{ sessionUpdate: 'plan', entries }])).toEqual([
      expect.objectContaining({ kind: 'unknown-line', reason: 'an update of a kind not known here: plan' }),
    ]);
  });

  test('the last words are those since the last call; a reject is over with the next word', () => {
    const words = new AcpWords(WORKSPACE);
    const say = (text: string): object => ({
      sessionUpdate: 'agent_message_chunk',
      content: { type: 'text', text },
    });
    read([say('before'), updated({ status: 'completed', title: 'x' }), say('af'), say('ter')], words);
    expect(words.facts).toEqual({ rejections: 0, isGoneOn: true, lastText: 'after' });
    words.rejected();
    read([updated({ toolCallId: 'u', status: 'in_progress' })], words);
    expect(words.facts.isGoneOn).toBe(true);
  });
});
