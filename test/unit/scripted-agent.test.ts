// The sample agent as a program: scripts in every form that a prompt may have, each step, and what it says about them.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readExecLine } from '#services/runner/providers/exec/exec-line.ts';

const PROGRAM = new URL('../../services/runner/sample/scripted-agent.mjs', import.meta.url).pathname;

interface Said {
  readonly type: string;
  readonly [field: string]: unknown;
}

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetlog-agent-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const run = async (prompt: string): Promise<Said[]> => {
  const child = spawn(process.execPath, [PROGRAM], { cwd: dir, stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(prompt);
  const output = await text(child.stdout);
  return output
    .trimEnd()
    .split('\n')
    .map((line) => {
      // Every line it prints is one that the provider knows.
      const meaning = readExecLine({ bytes: Buffer.from(line), cutBytes: 0 });
      expect(meaning).not.toMatchObject({ event: { kind: 'unknown-line' } });
      return JSON.parse(line) as Said;
    });
};
const follow = (...steps: readonly object[]): Promise<Said[]> => run(JSON.stringify(steps));
const read = (path: string): string => readFileSync(join(dir, path), 'utf8');
const result = (said: readonly Said[]): Said | undefined => said.at(-1);

describe('a prompt', () => {
  test('without a script becomes a note in a new repository, committed', async () => {
    const said = await run('Please tidy up\nand more');
    expect(result(said)).toMatchObject({ type: 'result', outcome: 'done' });
    expect(read('NOTES.md')).toContain('Please tidy up\nand more');
    expect(execFileSync('git', ['log', '--format=%s'], { cwd: dir, encoding: 'utf8' })).toBe(
      'Note: Please tidy up\n',
    );
    await run('Again');
    expect(read('NOTES.md')).toContain('tidy up');
    expect(read('NOTES.md')).toContain('Again');
  });

  test.each([
    ['as JSON', '[{"write":"a.txt","content":"1"}]'],
    ['as an object with steps', '{"steps":[{"write":"a.txt","content":"1"}]}'],
    ['in a fenced block', 'Do:\n```json\n[{"write":"a.txt","content":"1"}]\n```\nThanks'],
    ['in a file that it names', 'script: steps.json'],
  ])('with a script %s has it followed', async (_, prompt) => {
    writeFileSync(join(dir, 'steps.json'), '[{"write":"a.txt","content":"1"}]');
    expect(result(await run(prompt))).toMatchObject({ outcome: 'done' });
    expect(read('a.txt')).toBe('1');
  });

  test('with a script that is no JSON fails, and says so', async () => {
    expect(result(await run('```json\n[{"write":\n```'))).toMatchObject({
      outcome: 'failed',
      message: expect.stringMatching(/^the script is not JSON/),
    });
  });
});

describe('a step', () => {
  test('that changes files says which and how', async () => {
    const said = await follow(
      { write: 'd/a', content: 'one\n' },
      { append: 'd/a', content: 'two\n' },
      { replace: 'd/a', from: 'one', to: 'eins' },
      { write: 'b' },
      { delete: 'b' },
    );
    expect(read('d/a')).toBe('eins\ntwo\n');
    expect(existsSync(join(dir, 'b'))).toBe(false);
    const changes = said
      .filter(({ type }) => type === 'file-changed')
      .map(({ path, change }) => [path, change]);
    expect(changes).toEqual([
      ['d/a', 'created'],
      ['d/a', 'changed'],
      ['d/a', 'changed'],
      ['b', 'created'],
      ['b', 'deleted'],
    ]);
  });

  test('that is a tool call is told with a start and an end of one call id', async () => {
    const said = await follow(
      { shell: 'echo out; echo err >&2; exit 3', mayFail: true },
      { read: 'nothing', mayFail: true },
    );
    const calls = said.filter(({ type }) => type.startsWith('tool-'));
    expect(calls.map(({ type, callId, isError }) => [type, callId, isError])).toEqual([
      ['tool-started', 'call-1', undefined],
      ['tool-finished', 'call-1', true],
      ['tool-started', 'call-2', undefined],
      ['tool-finished', 'call-2', true],
    ]);
    expect(calls[1]?.['output']).toMatch(/out\n/);
    expect(result(said)).toMatchObject({ outcome: 'done' });
  });

  test.each([
    ['a failing tool', { shell: 'exit 3' }, /^shell: /],
    ['an explicit failure', { fail: 'no luck' }, /^no luck$/],
    ['a path outside', { write: '../x' }, /outside the workspace/],
    ['the workspace itself', { delete: '.' }, /outside the workspace/],
    ['an unknown step', { dance: 1 }, /unknown step/],
  ])('%s ends the turn as failed, and nothing after it is done', async (_, step, message) => {
    const said = await follow(step, { write: 'after' });
    expect(result(said)).toMatchObject({
      type: 'result',
      outcome: 'failed',
      message: expect.stringMatching(message),
    });
    expect(existsSync(join(dir, 'after'))).toBe(false);
  });

  test('may say, think and count', async () => {
    const said = await follow({ say: 'a' }, { think: 'b' }, { usage: { inputTokens: 7 } }, { sleepMs: 1 });
    expect(said.slice(0, 3)).toEqual([
      { type: 'text', text: 'a' },
      { type: 'reasoning', text: 'b' },
      { type: 'usage', inputTokens: 7 },
    ]);
  });
});
