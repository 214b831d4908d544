// A small program that prints the lines of Claude Code, for tests of what a runner does with conversations and versions. The prompt says what
// it pretends: `fork` another conversation than it was asked for, `gone` for one it does not know. Not for what the lines mean: test/golden/programs.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { READ_PROMPT } from './claude-input.ts';

const SOURCE = `
import { appendFileSync, readFileSync, readSync } from 'node:fs';
const args = process.argv.slice(2);
if (args.includes('--version')) { console.log('2.1.329 (Claude Code)'); process.exit(0); }
${READ_PROMPT}
const prompt = readPrompt();
const say = (line) => console.log(JSON.stringify(line));
const at = args.indexOf('--resume');
const asked = at < 0 ? null : args[at + 1];
appendFileSync('asked.txt', String(asked) + '\\n');
if (prompt === 'gone') {
  const text = 'No conversation found with session ID: ' + asked;
  console.error(text);
  say({ is_error: true, subtype: 'error_during_execution', errors: [text], type: 'result', session_id: asked });
  process.exit(1);
}
const id = asked === null || prompt === 'fork' ? 'conversation-' + prompt : asked;
const total = { null: 0.01 }[asked] ?? 0.03;
say({ type: 'system', subtype: 'init', session_id: id, claude_code_version: '2.1.329', key: process.env.ANTHROPIC_API_KEY });
say({ type: 'assistant', message: { content: [{ type: 'text', text: 'key ' + process.env.ANTHROPIC_API_KEY }] } });
say({ is_error: false, subtype: 'success', result: 'did ' + prompt, total_cost_usd: total, type: 'result', session_id: id });
`;

/** Makes a folder with the program `claude` in it. */
export const pretendClaude = (root: string): string => {
  const folder = join(root, 'bin');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'claude.mjs'), SOURCE);
  const program = join(folder, 'claude');
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${join(folder, 'claude.mjs')}" "$@"\n`);
  chmodSync(program, 0o755);
  return folder;
};
