// Lines of an exec program: how a stream of bytes becomes lines, and what each line means.
import { describe, expect, test } from 'vitest';
import { coalesce } from '#services/runner/providers/coalesce.policy.ts';
import { readExecLine } from '#services/runner/providers/exec/exec-line.ts';
import { LineSplitter } from '#services/runner/providers/line-splitter.ts';
import { TextChunks } from '#services/runner/providers/text-chunks.ts';

const read = (content: string | Buffer, cutBytes = 0): unknown =>
  readExecLine({ bytes: Buffer.from(content), cutBytes });
const unknown = (line: string, reason: string, cutBytes = 0): unknown => ({
  kind: 'event',
  event: { kind: 'unknown-line', line, reason, cutBytes },
});

describe('a line', () => {
  test.each([
    ['{"type":"text","text":"hi","extra":1}', { kind: 'text', text: 'hi' }],
    ['{"type":"reasoning","text":"hm"}\r', { kind: 'reasoning', text: 'hm' }],
    [
      '{"type":"tool-started","callId":"c","name":"sh"}',
      { kind: 'tool-started', callId: 'c', name: 'sh', input: null },
    ],
    [
      '{"type":"tool-finished","callId":"c","durationMs":1.5}',
      { kind: 'tool-finished', callId: 'c', output: '', isError: false, durationMs: 1.5 },
    ],
    [
      '{"type":"file-changed","path":"a","change":"deleted"}',
      { kind: 'file-changed', path: 'a', change: 'deleted' },
    ],
    ['{"type":"usage","inputTokens":3}', { kind: 'usage', usage: { inputTokens: 3 } }],
    ['{"type":"output","text":"raw"}', { kind: 'output', text: 'raw', stream: 'stdout' }],
  ])('HR-22 HR-25 %s is an event', (line, event) => {
    expect(read(line)).toEqual({ kind: 'event', event });
  });

  test('a result carries outcome, summary, message and usage', () => {
    expect(read('{"type":"result","outcome":"failed","message":"no","usage":{"outputTokens":2}}')).toEqual({
      kind: 'result',
      closing: { outcome: 'failed', summary: '', message: 'no', isSignal: true },
      usage: { outputTokens: 2 },
    });
  });

  test('HR-23 an empty line means nothing, an object is what it says, and words that are no object are kept and not taken for text', () => {
    expect([read(''), read('  \r')]).toEqual([{ kind: 'nothing' }, { kind: 'nothing' }]);
    expect(read('{"type":"text","text":"hi"}')).toMatchObject({ event: { kind: 'text', text: 'hi' } });
    expect(read('\uFEFF{"type":"text","text":"hi"}\r')).toMatchObject({
      event: { kind: 'text', text: 'hi' },
    });
    expect(read('hi')).toEqual(unknown('hi', 'not a JSON object'));
  });

  test('what cannot be read is kept with its reason and is never fatal', () => {
    expect(read('plain text')).toEqual(unknown('plain text', 'not a JSON object'));
    expect(read('42')).toEqual(unknown('42', 'not a JSON object'));
    expect(read('{"type":"dance"}')).toMatchObject({ event: { kind: 'unknown-line', reason: /type/ } });
    expect(read('{"type":"text"}')).toMatchObject({ event: { kind: 'unknown-line', reason: /^text: / } });
    expect(read('{"type":"te', 99)).toEqual(unknown('{"type":"te', 'longer than the limit of a line', 99));
    expect(read(Buffer.from([0xff, 0x00, 0xfe]))).toEqual(unknown('\uFFFD\u0000\uFFFD', 'not a JSON object'));
  });
});

describe('the splitter', () => {
  const split = (chunks: readonly string[], maxBytes = 10): [string, number][] => {
    const splitter = new LineSplitter(maxBytes);
    const lines = chunks.flatMap((chunk) => [...splitter.push(Buffer.from(chunk))]);
    return [...lines, ...splitter.end()].map(({ bytes, cutBytes }) => [bytes.toString(), cutBytes]);
  };

  test('joins what comes in pieces and keeps the last line without its end', () => {
    expect(split(['a\nb', 'c', '\n\nd'])).toEqual([
      ['a', 0],
      ['bc', 0],
      ['', 0],
      ['d', 0],
    ]);
  });

  test('keeps the beginning of a line that is too long and states what it cut', () => {
    expect(split(['0123456789ab', 'cdef\nnext\n'])).toEqual([
      ['0123456789', 6],
      ['next', 0],
    ]);
  });
});

describe('text pieces', () => {
  const pieces = (chunks: readonly (string | number[])[], max = 6): string[] => {
    const text = new TextChunks(max);
    const parts = chunks.flatMap((chunk) => [
      ...text.push(typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk)),
    ]);
    return [...parts, ...text.end()];
  };

  test('end at line ends, and only a long line is cut', () => {
    expect(pieces(['ab\ncd', 'e\nf'])).toEqual(['ab\n', 'cde\n', 'f']);
    expect(pieces(['0123456789'])).toEqual(['012345', '6789']);
  });

  test('a character that arrives in two pieces stays whole', () => {
    expect(pieces([[0xc3], [0xa4, 0x0a]])).toEqual(['ä\n']);
  });
});

test('neighbours of one kind are joined in order, up to a limit, and nothing else is', () => {
  const text = (value: string) => ({ kind: 'text', text: value }) as const;
  const out = (stream: 'stdout' | 'stderr') => ({ kind: 'output', stream, text: 'o' }) as const;
  const tool = { kind: 'tool-started', callId: 'c', name: 'n', input: null } as const;
  expect(
    coalesce([text('a'), text('b'), tool, text('c'), out('stdout'), out('stdout'), out('stderr')]),
  ).toEqual([text('ab'), tool, text('c'), { kind: 'output', stream: 'stdout', text: 'oo' }, out('stderr')]);
  expect(coalesce([text('x'.repeat(30_000)), text('y'.repeat(30_000))])).toHaveLength(2);
});
