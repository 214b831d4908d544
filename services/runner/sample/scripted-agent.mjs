#!/usr/bin/env node
// A small agent for the provider `exec`: reads its prompt from standard input, follows the script in it (README.md, "The sample
// agent") or does a small visible default, and prints one JSON object a line. Plain Node 18 or newer; needs git for commits.
/* eslint-disable no-restricted-globals -- a program of its own: it has no ports and takes time from the platform. */
import { execFileSync, spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const root = process.cwd();

/** A path below the workspace; anything else is refused. */
const inside = (path) => {
  if (typeof path !== 'string' || path === '') throw new Error('a step needs a path');
  const full = resolve(root, path);
  if (full === root || !full.startsWith(root + sep)) throw new Error(`${path} is outside the workspace`);
  return full;
};

const git = (...parameters) =>
  execFileSync('git', ['-c', 'user.name=scripted-agent', '-c', 'user.email=agent@localhost', ...parameters], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();

const ensureRepository = () => {
  if (!existsSync(resolve(root, '.git'))) git('init', '--quiet', '--initial-branch=main');
};

const change = (path, work) => {
  const full = inside(path);
  const existed = existsSync(full);
  mkdirSync(dirname(full), { recursive: true });
  work(full);
  const what = existsSync(full) ? (existed ? 'changed' : 'created') : 'deleted';
  say({ type: 'file-changed', path: relative(root, full), change: what });
  return `${what} ${relative(root, full)}`;
};

const shell = (command) =>
  new Promise((done) => {
    const child = spawn('sh', ['-c', command], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const take = (chunk) => {
      output = (output + chunk).slice(-20_000);
    };
    child.stdout.setEncoding('utf8').on('data', take);
    child.stderr.setEncoding('utf8').on('data', take);
    child.on('error', (error) => done({ output: error.message, isError: true }));
    child.on('close', (code) => done({ output, isError: code !== 0 }));
  });

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Prints `bytes` bytes of lines, no faster than they are taken. */
const spew = async ({ bytes, line = 'spew' }) => {
  for (let printed = 0; printed < bytes;) {
    const text = `${line}\n`.repeat(
      Math.max(1, Math.ceil(Math.min(65_536, bytes - printed) / (line.length + 1))),
    );
    printed += text.length;
    if (!process.stdout.write(text)) await new Promise((done) => process.stdout.once('drain', done));
  }
  return `printed ${bytes} bytes`;
};

const commit = (message) => {
  ensureRepository();
  git('add', '--all');
  if (git('status', '--porcelain') === '') return 'nothing to commit';
  git('commit', '--quiet', '--message', message);
  return git('log', '-1', '--format=%h %s');
};

/** Steps that are tool calls: they are told with a start and an end. */
const TOOLS = {
  write: ({ write, content = '' }) => change(write, (path) => writeFileSync(path, content)),
  append: ({ append, content = '' }) => change(append, (path) => appendFileSync(path, content)),
  replace: ({ replace, from, to = '' }) =>
    change(replace, (path) => {
      const text = readFileSync(path, 'utf8');
      if (!text.includes(from)) throw new Error(`${replace} does not contain ${JSON.stringify(from)}`);
      writeFileSync(path, text.replaceAll(from, to));
    }),
  delete: ({ delete: path }) => change(path, (full) => rmSync(full, { recursive: true })),
  read: ({ read }) => readFileSync(inside(read), 'utf8').slice(0, 20_000),
  shell: ({ shell: command }) => shell(command),
  commit: ({ commit: message }) => commit(message),
};

/** Steps that are not. */
const PLAIN = {
  say: ({ say: text }) => say({ type: 'text', text }),
  think: ({ think: text }) => say({ type: 'reasoning', text }),
  usage: ({ usage }) => say({ type: 'usage', ...usage }),
  print: ({ print }) => process.stdout.write(`${print}\n`),
  complain: ({ complain }) => process.stderr.write(`${complain}\n`),
  sleepMs: ({ sleepMs }) => sleep(sleepMs),
  spew: ({ spew: what }) => spew(what),
  exit: ({ exit }) => process.exit(exit),
  ignoreTerm: () => process.on('SIGTERM', () => undefined),
};

let calls = 0;

const useTool = async (name, step) => {
  const callId = `call-${(calls += 1)}`;
  const startedAt = performance.now();
  say({ type: 'tool-started', callId, name, input: step });
  let outcome;
  try {
    const result = await TOOLS[name](step);
    outcome = typeof result === 'string' ? { output: result, isError: false } : result;
  } catch (error) {
    outcome = { output: error instanceof Error ? error.message : String(error), isError: true };
  }
  say({ type: 'tool-finished', callId, ...outcome, durationMs: Math.round(performance.now() - startedAt) });
  if (outcome.isError && step.mayFail !== true)
    throw new Error(`${name}: ${outcome.output.trim().slice(0, 500)}`);
};

const follow = async (steps) => {
  for (const step of steps) {
    if (step === null || typeof step !== 'object') throw new Error('a step is an object');
    if (typeof step.fail === 'string') throw new Error(step.fail);
    const tool = Object.keys(TOOLS).find((name) => name in step);
    const plain = Object.keys(PLAIN).find((name) => name in step);
    if (tool !== undefined) await useTool(tool, step);
    else if (plain !== undefined) await PLAIN[plain](step);
    else throw new Error(`unknown step ${JSON.stringify(step).slice(0, 200)}`);
  }
};

/** The script in a prompt: all of it, a fenced block, or the file that `script: <path>` names; undefined: there is none. */
const scriptIn = (prompt) => {
  const fenced = /```(?:json|script)?\s*\n([\s\S]*?)```/.exec(prompt)?.[1];
  const named = /^script:\s*(\S+)\s*$/m.exec(prompt)?.[1];
  const texts = [prompt, fenced, named === undefined ? undefined : readFileSync(inside(named), 'utf8')];
  for (const text of texts) {
    if (text === undefined || !/^\s*[[{]/.test(text)) continue;
    try {
      const value = JSON.parse(text);
      if (Array.isArray(value)) return value;
      if (Array.isArray(value.steps)) return value.steps;
    } catch (error) {
      if (text !== prompt) throw new Error(`the script is not JSON: ${error.message}`, { cause: error });
    }
  }
  return undefined;
};

/** What it does when nobody says how: a note of what was asked for, committed. */
const byDefault = (prompt) => {
  const note = `## ${new Date().toISOString()}\n\n${prompt.trim()}\n\n`;
  return [
    { say: `I was asked: ${prompt.trim().slice(0, 500)}` },
    ...(existsSync('NOTES.md') ? [] : [{ write: 'NOTES.md', content: '# Notes\n\n' }]),
    { append: 'NOTES.md', content: note },
    { shell: 'wc -l NOTES.md' },
    { commit: `Note: ${prompt.trim().split('\n')[0].slice(0, 60)}` },
    { say: 'It is in NOTES.md.' },
  ];
};

const main = async () => {
  const prompt = readFileSync(0, 'utf8');
  ensureRepository();
  const script = scriptIn(prompt);
  await follow(script ?? byDefault(prompt));
  const head = (() => {
    try {
      return git('log', '-1', '--format=%h %s');
    } catch {
      return 'no commit';
    }
  })();
  // An invented measure, but a stable one: characters in, calls out.
  say({ type: 'usage', inputTokens: Math.ceil(prompt.length / 4), outputTokens: calls * 10 });
  say({ type: 'result', outcome: 'done', summary: `${calls} steps done; ${head}` });
};

main().catch((error) => {
  say({ type: 'result', outcome: 'failed', message: error instanceof Error ? error.message : String(error) });
});
