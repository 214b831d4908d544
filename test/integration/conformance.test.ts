// The conformance test for programs of others: a good one passes every rule, and each bad one breaks the rule it is made to break.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readEnvironment } from '#libs/system/env.ts';
import { runFleetlog } from '#services/command-line.ts';
import { RULES } from '#services/runner/providers/exec/conformance.policy.ts';
import { scratchDir } from '#test/support/broker.ts';
import { recordedTerminal } from '#test/support/recorded-terminal.ts';

interface Told {
  readonly passed: number;
  readonly failed: number;
  readonly rules: readonly { readonly id: string; readonly outcome: string; readonly detail: string }[];
}

const folder = scratchDir('conformance');

const conformance = async (program: readonly string[], ...flags: readonly string[]) => {
  const { terminal, out, note: notes } = recordedTerminal();
  const code = await runFleetlog(['conformance', ...flags, '--', ...program], {
    terminal,
    environment: readEnvironment(),
    workingDirectory: folder,
    signal: new AbortController().signal,
    readStandardInput: () => Promise.resolve(undefined),
  });
  return { code, out: out.join('\n'), notes: notes.join('\n') };
};

/** Judges a program of this text; `prompt` holds what it was asked. */
const judged = async (source: string, ...flags: readonly string[]): Promise<{ code: number; told: Told }> => {
  const program = `const say = (line) => console.log(JSON.stringify(line));
    const fs = require('node:fs');
    const prompt = fs.readFileSync(0, 'utf8');
    ${source}`;
  const { code, out } = await conformance([process.execPath, '-e', program], '--json', ...flags);
  return { code, told: JSON.parse(out) as Told };
};
const broken = ({ rules }: Told): string[] =>
  rules.flatMap(({ id, outcome }) => (outcome === 'fail' ? [id] : []));
const done = `say({ type: 'result', outcome: 'done', summary: 'ok' });`;

const GOOD = `
  say({ type: 'reasoning', text: 'hm' });
  say({ type: 'text', text: 'I got ' + prompt.length });
  say({ type: 'tool-started', callId: 'a', name: 'write', input: { path: 'x' } });
  fs.writeFileSync('x', '1');
  say({ type: 'file-changed', path: 'x', change: 'created' });
  say({ type: 'tool-finished', callId: 'a', output: '' });
  say({ type: 'usage', inputTokens: 3 });
  say({ type: 'usage', inputTokens: 5, outputTokens: 1 });
  setTimeout(() => ${done.slice(0, -1)}, 300);`;

test('a good program passes every rule that it gives occasion to, and leaves nothing behind', async () => {
  const before = readdirSync(tmpdir()).filter((name) => name.startsWith('fleetlog-conformance-'));
  const { code, told } = await judged(GOOD);
  expect(broken(told)).toEqual([]);
  expect(told.rules.filter(({ outcome }) => outcome === 'skip').map(({ id }) => id)).toEqual(['reason']);
  expect([code, told.failed, told.passed]).toEqual([0, 0, RULES.length - 1]);
  const after = readdirSync(tmpdir()).filter((name) => name.startsWith('fleetlog-conformance-'));
  expect(after.filter((name) => !before.includes(name) && name !== folder.split('/').at(-1))).toEqual([]);
});

test('the sample agent keeps the contract', async () => {
  const agent = new URL('../../services/runner/sample/scripted-agent.mjs', import.meta.url).pathname;
  const prompt = JSON.stringify([
    { say: 'hello' },
    { write: 'a.txt', content: 'x' },
    { shell: 'sleep 0.2; ls' },
  ]);
  const { code, out } = await conformance([process.execPath, agent], '--json', '--prompt', prompt);
  expect(broken(JSON.parse(out) as Told)).toEqual([]);
  expect(code).toBe(0);
});

test.each<[string, string, readonly string[]]>([
  ['prints plain text', `console.log('hello'); ${done}`, ['lines']],
  ['prints lines of a type of its own', `say({ type: 'telemetry' }); ${done}`, ['lines']],
  ['leaves out a field', `say({ type: 'tool-started', callId: 'a' }); ${done}`, ['lines']],
  [
    'prints bytes that are no UTF-8',
    `process.stdout.write(Buffer.from([0x7b, 0xff, 0xfe, 0x0a])); ${done}`,
    ['lines', 'utf8'],
  ],
  [
    'prints a line that is too long',
    `say({ type: 'text', text: 'x'.repeat(1_100_000) }); ${done}`,
    ['line-length'],
  ],
  ['says no result', `say({ type: 'text', text: 'bye' });`, ['result', 'large-prompt']],
  ['crashes', `process.exit(3);`, ['result', 'large-prompt']],
  ['goes on after its result', `${done} say({ type: 'text', text: 'and another thing' });`, ['result-last']],
  ['says two results', `${done} ${done}`, ['result-last']],
  ['says done and exits with 1', `${done} process.exitCode = 1;`, ['exit']],
  ['fails without a reason', `say({ type: 'result', outcome: 'failed' });`, ['reason']],
  [
    'finishes a call that it did not start',
    `say({ type: 'tool-finished', callId: 'a' }); ${done}`,
    ['tools'],
  ],
  [
    'starts a call and forgets it',
    `say({ type: 'tool-started', callId: 'a', name: 'x' }); ${done}`,
    ['tools'],
  ],
  [
    'counts usage from the last line',
    `say({ type: 'usage', inputTokens: 5 }); say({ type: 'usage', inputTokens: 2 }); ${done}`,
    ['usage'],
  ],
  [
    'changes files outside of its workspace',
    `say({ type: 'file-changed', path: '../x', change: 'changed' }); ${done}`,
    ['paths'],
  ],
  ['cannot take a large prompt', `if (prompt.length < 1000) ${done} else process.exit(1);`, ['large-prompt']],
])('a program that %s breaks the rule', async (_, source, rules) => {
  const { code, told } = await judged(source);
  expect(broken(told)).toEqual(rules);
  for (const { outcome, detail } of told.rules) expect(detail === '').toBe(outcome === 'pass');
  expect(code).toBe(1);
});

test('a program that hangs breaks the rules within the time of the trials', async () => {
  const { told } = await judged(`setInterval(() => {}, 1000);`, '--timeout', '700ms');
  expect(broken(told)).toEqual(['result', 'large-prompt']);
});

test('a program that does not go on SIGTERM breaks the rule', async () => {
  const { told } = await judged(
    `process.on('SIGTERM', () => {}); say({ type: 'text', text: 'here' }); if (prompt.length > 1000) { ${done} process.exit(); } setInterval(() => {}, 1000);`,
    '--timeout',
    '700ms',
  );
  expect(broken(told)).toEqual(['result', 'term']);
}, 30_000);

test('a program that leaves a process behind breaks the rule', async () => {
  const daemon = `require('node:child_process').spawn('sleep', ['60'], { detached: true, stdio: 'ignore' }).unref();`;
  const { told } = await judged(`${daemon} ${done}`);
  expect(broken(told)).toContain('no-leftovers');
}, 30_000);

test('a program that is not there fails at the first rule, and the rest is skipped', async () => {
  const { code, out, notes } = await conformance(['./nowhere']);
  expect(out).toMatch(/fail +starts +cannot start \/.*\/nowhere in .*ENOENT/);
  expect(notes).toBe(`0 passed, 1 failed, ${RULES.length - 1} skipped`);
  expect(code).toBe(1);
});

test('a program beside the caller is found, and a bad time is a mistake that is named', async () => {
  mkdirSync(join(folder, 'bin'));
  writeFileSync(
    join(folder, 'bin', 'agent'),
    `#!/bin/sh\ncat > /dev/null\necho '{"type":"result","outcome":"done"}'\n`,
    { mode: 0o755 },
  );
  expect((await conformance(['bin/agent'])).code).toBe(0);
  expect(await conformance(['bin/agent'], '--timeout', 'soon')).toMatchObject({
    code: 2,
    notes: expect.stringMatching(/30s or 5m/),
  });
});
