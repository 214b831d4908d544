// Which tool calls only gather context, in the words of each kind of program, and the share of them that a turn reports at its end.
import { assert, constantFrom, integer, json, property, string, array, record } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CallCounter, contextRatio, isGathering } from '#services/runner/tool-calls.policy.ts';
import { propertyRuns } from '#test/support/seeds.ts';
import { turnRig } from '#test/support/turn-rig.ts';

describe('a call that only gathers context', () => {
  test.each([
    'Read',
    'Grep',
    'Glob',
    'LS',
    'WebFetch',
    'WebSearch',
    'NotebookRead',
    'read_file',
    'read_many_files',
    'list_directory',
    'search_file_content',
    'glob',
    'read',
    'search',
    'fetch',
    'mcp__fleetlog__inbox',
    'mcp__docs__search_pages',
    'github.get_issue',
    'listMcpResources',
  ])('RN-14 is %s, by its name', (name) => {
    expect(isGathering(name, {})).toBe(true);
  });

  test.each([
    'ls -la',
    'cat src/app.ts | head -50',
    'rg "TODO" --files && wc -l README.md',
    'git status; git log --oneline -5',
    'sed -n 1,40p file.ts',
    'find . -name "*.ts" 2>/dev/null',
    'LC_ALL=C grep -r x . 2>&1 | sort | uniq -c',
    'bash -lc "nl -ba file | tail"',
    '/usr/bin/env',
  ])('RN-14 is the command %j', (command) => {
    expect(isGathering('Bash', { command })).toBe(true);
    expect(isGathering('command', { command: ['bash', '-lc', command] })).toBe(true);
  });

  test.each([
    ['Edit', {}],
    ['Write', { path: 'x' }],
    ['Task', {}],
    ['mcp__fleetlog__send', {}],
    ['file_change', {}],
    ['', null],
    ['already', {}],
    ['Bash', null],
    ['Bash', { command: 'npm test' }],
    ['Bash', { command: 'echo hi > file' }],
    ['Bash', { command: 'cat $(make)' }],
    ['Bash', { command: 'ls; rm -rf .' }],
    ['Bash', { command: 'find . -delete' }],
    ['Bash', { command: 'sed -i s/a/b/ file' }],
    ['Bash', { command: 'git commit -m x' }],
    ['execute', { command: ['npm', 'run', 'build'] }],
  ])('RN-14 is not %s with %j', (name, input) => {
    expect(isGathering(name, input)).toBe(false);
  });
});

test('WK-40 calls are told apart by their ids, not by what they look like', () => {
  const counter = new CallCounter();
  for (const callId of ['a', 'b', 'a']) counter.note({ callId, name: 'Read', input: { path: 'same' } });
  counter.note({ callId: 'c', name: 'Edit', input: {} });
  expect(counter.counts).toEqual({ gatheringCalls: 2, totalToolCalls: 3 });
  expect(contextRatio(counter.counts)).toBe(0.667);
});

test('RN-14 the share is between 0 and 1 whatever a program says, and there is none without calls', () => {
  expect(contextRatio({ gatheringCalls: 0, totalToolCalls: 0 })).toBeNull();
  const name = constantFrom('Read', 'Bash', 'Edit', 'mcp____', '.', '__proto__');
  const call = record({ callId: integer({ max: 20 }).map(String), name, command: string(), junk: json() });
  assert(
    property(array(call, { minLength: 1 }), (calls) => {
      const counter = new CallCounter();
      for (const { callId, name: tool, command, junk } of calls)
        counter.note({ callId, name: tool, input: { command, junk } });
      const { gatheringCalls, totalToolCalls } = counter.counts;
      expect(totalToolCalls).toBe(new Set(calls.map(({ callId }) => callId)).size);
      const ratio = contextRatio(counter.counts) ?? -1;
      expect(ratio).toBeGreaterThanOrEqual(0);
      expect(ratio).toBeLessThanOrEqual(1);
      expect(gatheringCalls).toBeLessThanOrEqual(totalToolCalls);
    }),
    propertyRuns(200),
  );
});

describe('the end of a turn', () => {
  test('RN-14 tells the share in the transaction of the result, before it, with how the turn ended and where', async () => {
    const rig = turnRig();
    await rig.start();
    const program = rig.program();
    await program.sink({ kind: 'tool-started', callId: '1', name: 'Read', input: { file_path: 'a' } });
    await program.sink({ kind: 'tool-started', callId: '2', name: 'Edit', input: {} });
    program.end({ closing: { outcome: 'failed', summary: '', message: 'no' } });
    await rig.turn.over;
    const last = rig.commits.findLast(({ reports }) => reports.length > 0);
    expect(last?.reports).toEqual(['insight', 'turn-finished']);
    expect(last?.bodies[0]).toMatchObject({
      signal: 'context-ratio',
      value: { ratio: 0.5, gatheringCalls: 1, totalToolCalls: 2 },
      endReason: 'provider-failed',
      workspace: '/w',
    });
  });

  test('RN-14 tells nothing of a turn without calls', async () => {
    const rig = turnRig();
    await rig.start();
    await rig.program().sink({ kind: 'text', text: 'hello' });
    rig.program().end();
    await rig.turn.over;
    expect(rig.commits.flatMap(({ reports }) => reports)).not.toContain('insight');
  });
});
