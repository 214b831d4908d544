// A small program that puts calls off as Claude Code 2.1.329 does: it asks its PreToolUse hook before each call, ends with the last one that
// is to be deferred, and makes it when it is resumed without a prompt. The prompt says which calls it makes, as JSON: a list of messages,
// each a list of commands. Not for what the lines mean: test/golden/programs.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { READ_PROMPT } from './claude-input.ts';

const SOURCE = `
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, readSync, writeFileSync } from 'node:fs';
const args = process.argv.slice(2);
if (args.includes('--version')) { console.log('2.1.329 (Claude Code)'); process.exit(0); }
${READ_PROMPT}
const prompt = readPrompt();
const say = (line) => console.log(JSON.stringify(line));
const settings = JSON.parse(args[args.indexOf('--settings') + 1] ?? '{}');
const hook = settings.hooks?.PreToolUse?.[0].hooks[0].command;
const resumed = args.includes('--resume');
const session = resumed ? args[args.indexOf('--resume') + 1] : 'conversation-1';
appendFileSync('starts.txt', (resumed ? 'resumed ' : 'new ') + (prompt === '' ? 'without a prompt' : prompt.slice(0, 20)) + '\\n');
const load = () => (existsSync('conversation.json') ? JSON.parse(readFileSync('conversation.json', 'utf8')) : null);
const end = (more) => { say({ is_error: false, subtype: 'success', session_id: session, total_cost_usd: 0.01, type: 'result', ...more }); process.exit(0); };
const decide = (call) => {
  if (hook === undefined) return {};
  const { status, stdout, stderr } = spawnSync('sh', ['-c', hook], { input: JSON.stringify({
    session_id: session, hook_event_name: 'PreToolUse', tool_name: 'Bash', tool_input: { command: call.command }, tool_use_id: call.id }), encoding: 'utf8' });
  if (status === 2) return { permissionDecision: 'deny', permissionDecisionReason: stderr };
  return JSON.parse(stdout || '{}').hookSpecificOutput ?? {};
};
const told = (id, content, is_error) => say({ type: 'user', message: { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content, is_error }] } });
/** False: to be made later. */
const make = (call) => {
  const { permissionDecision, permissionDecisionReason = '', updatedInput } = decide(call);
  if (permissionDecision === 'defer') return false;
  if (permissionDecision === 'deny') { told(call.id, permissionDecisionReason, true); return true; }
  told(call.id, execFileSync('sh', ['-c', (updatedInput ?? call).command], { encoding: 'utf8' }), false);
  return true;
};
const goOn = (state) => {
  for (const [at, commands] of state.messages.entries()) {
    const calls = commands.map((command, index) => ({ id: 'call-' + (state.done + at) + '-' + index, command }));
    for (const call of calls) say({ type: 'assistant', message: { content: [{ type: 'tool_use', id: call.id, name: 'Bash', input: { command: call.command } }] } });
    const deferred = calls.filter((call) => !make(call)).at(-1);
    if (deferred !== undefined) {
      writeFileSync('conversation.json', JSON.stringify({ done: state.done + at + 1, messages: state.messages.slice(at + 1), deferred }));
      end({ stop_reason: 'tool_deferred', result: '', deferred_tool_use: { id: deferred.id, name: 'Bash', input: { command: deferred.command } } });
    }
  }
  writeFileSync('conversation.json', JSON.stringify({ done: 0, messages: [], deferred: null }));
  end({ result: 'all done' });
};
const before = load();
if (resumed && prompt === '') {
  if (before === null || before.deferred === null) { console.error('Error: No deferred tool marker found in the resumed session.'); process.exit(1); }
  const { deferred, ...rest } = before;
  if (!make(deferred)) end({ stop_reason: 'tool_deferred', result: '', deferred_tool_use: { id: deferred.id, name: 'Bash', input: { command: deferred.command } } });
  say({ type: 'system', subtype: 'init', session_id: session, claude_code_version: '2.1.329' });
  writeFileSync('conversation.json', JSON.stringify({ ...rest, deferred: null }));
  goOn(rest);
}
say({ type: 'system', subtype: 'init', session_id: session, claude_code_version: '2.1.329' });
if (resumed) end({ result: 'went on: ' + prompt });
goOn({ done: 0, messages: JSON.parse(prompt) });
`;

/** Makes the program; gives its path. */
export const askingClaude = (root: string): string => {
  const folder = join(root, 'asking');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'claude.mjs'), SOURCE);
  const program = join(folder, 'claude');
  writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${join(folder, 'claude.mjs')}" "$@"\n`);
  chmodSync(program, 0o755);
  return program;
};
