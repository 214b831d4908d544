// The provider exec against real programs that behave, misbehave and refuse to go.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { identifyProcess } from '#libs/processes/process-identity.ts';
import { findMarked } from '#libs/processes/marked-processes.ts';
import { turnOutcome } from '#services/runner/providers/turn-outcome.policy.ts';
import { isText, runNode, startExec, startNode } from '#test/support/exec-turn.ts';

const run = promisify(execFile);
const RESULT = `say({ type: 'result', outcome: 'done', summary: 'fine' });`;

describe('a program that behaves', () => {
  test('TR-18 gets its prompt in one piece and the end of input, and a clean environment', async () => {
    const { facts, events } = await runNode(
      `const prompt = require('node:fs').readFileSync(0, 'utf8');
       say({ type: 'text', text: prompt });
       say({ type: 'text', text: '|' + Object.keys(process.env).sort().join(',') + '|' + process.cwd() });
       ${RESULT}`,
      { prompt: 'äöü\n'.repeat(40_000) },
    );
    expect(events).toHaveLength(2);
    expect(events[0]).toEqual({ kind: 'text', text: 'äöü\n'.repeat(40_000) });
    expect(events[1]).toMatchObject({
      text: expect.stringMatching(/^\|FLEETLOG_TURN,PATH\|\/.*fleetlog-exec-/),
    });
    expect(facts).toMatchObject({
      closing: { outcome: 'done', summary: 'fine' },
      exit: { code: 0, signal: null },
      stopped: null,
      startProblem: null,
      leftovers: 0,
    });
  });

  test('is told in order, with its usage and its standard error', async () => {
    const { facts, events } = await runNode(
      `say({ type: 'tool-started', callId: '1', name: 'sh', input: { command: 'ls' } });
       say({ type: 'tool-finished', callId: '1', output: 'a', isError: false });
       say({ type: 'usage', inputTokens: 5 });
       console.log('not for us');
       console.error('careful');
       ${RESULT}`,
    );
    const ofStdout = events.filter((event) => event.kind !== 'output');
    expect(ofStdout.map(({ kind }) => kind)).toEqual([
      'tool-started',
      'tool-finished',
      'usage',
      'unknown-line',
    ]);
    expect(events).toContainEqual({ kind: 'output', stream: 'stderr', text: 'careful\n' });
    expect(facts).toMatchObject({ usage: { inputTokens: 5 }, errorTail: 'careful\n', events: 5 });
  });

  test('may leave its prompt unread', async () => {
    const { facts } = await runNode(`process.stdin.destroy(); ${RESULT}`, { prompt: 'x'.repeat(200_000) });
    expect(turnOutcome(facts, 0).outcome).toBe('done');
  });
});

describe('a program that lies or fails', () => {
  test('exits without a result', async () => {
    const { facts } = await runNode(`say({ type: 'text', text: 'bye' }); console.log('{"type":"result"}')`);
    expect(turnOutcome(facts, 0)).toMatchObject({
      failure: {
        kind: 'protocol-invalid',
        message: expect.stringMatching(/of its 2 lines 1 was not understood, the last: {"type":"result"} \(/),
      },
      summary: 'bye',
    });
  });

  test('says done and exits with 1', async () => {
    const { facts } = await runNode(`${RESULT} console.error('boom'); process.exitCode = 1;`);
    expect(turnOutcome(facts, 0).failure?.message).toBe(
      'the program said done, then ended with exit code 1; last of standard error: boom',
    );
  });

  test('WK-19 cannot be started', async () => {
    const { turn, events } = startExec(['/nowhere/agent', '--fast']);
    expect(await turn.started).toEqual({ pid: null });
    const facts = await turn.ended;
    expect(turnOutcome(facts, 0).failure).toMatchObject({
      kind: 'infra-failed',
      message: expect.stringMatching(/^cannot start \/nowhere\/agent in .*: ENOENT/),
    });
    expect(events).toEqual([]);
  });

  test('WK-19 cannot be started: what to do about it is said', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'fleetlog-start-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    const file = (name: string, content: string, mode: number): string => {
      writeFileSync(join(dir, name), content, { mode });
      return join(dir, name);
    };
    const problems = [
      ['/nowhere/agent', 'there is no such file'],
      ['no-such-agent', 'no such program on the PATH of the runner'],
      [file('agent.sh', '#!/bin/sh\n', 0o600), 'chmod +x'],
      [file('agent.pl', '#!/nowhere/perl\n', 0o700), 'the interpreter that its first line names is not'],
    ] as const;
    for (const [program, hint] of problems)
      expect((await startExec([program]).turn.ended).startProblem).toContain(hint);
    const gone = startExec(['/bin/true'], { workspace: join(dir, 'gone') });
    expect((await gone.turn.ended).startProblem).toContain('the workspace is gone');
  });

  test('WK-19 has arguments that the system cannot take', async () => {
    const { turn } = startExec([process.execPath, 'x'.repeat(3_000_000)]);
    expect(turnOutcome(await turn.ended, 0).failure?.kind).toBe('infra-failed');
  });
});

describe('a program that floods', () => {
  test('a line of 10 MB is cut at 1 MiB, says by how much, and the next line is read', async () => {
    const { facts, events } = await runNode(
      `process.stdout.write('x'.repeat(10_000_000) + '\\n', () => { ${RESULT} });`,
    );
    expect(events).toHaveLength(1);
    const [event] = events;
    expect(event).toMatchObject({ kind: 'unknown-line', cutBytes: 10_000_000 - 1024 * 1024 });
    expect(event?.kind === 'unknown-line' && event.line.length).toBe(1024 * 1024);
    expect(facts.closing?.outcome).toBe('done');
  });

  test('binary garbage is kept and harms nothing', async () => {
    const { facts, events } = await runNode(
      `const bytes = Buffer.from(Array.from({ length: 3000 }, (_, at) => (at * 7919) % 256));
       process.stdout.write(bytes, () => { process.stdout.write('\\n'); ${RESULT} });`,
    );
    expect(events.length).toBeGreaterThan(3);
    expect(events.every(({ kind }) => kind === 'unknown-line' || kind === 'output')).toBe(true);
    expect(facts.closing?.outcome).toBe('done');
  });

  test('100 MB of lines pass in order and with bounded memory, however slowly they are taken', async () => {
    const program = new URL('../support/exec-flood.ts', import.meta.url).pathname;
    // A small heap: what grows beyond it would be memory that is held, not garbage that waits.
    const { stdout } = await run(process.execPath, [
      '--max-old-space-size=40',
      '--max-semi-space-size=4',
      program,
    ]);
    const told: unknown = JSON.parse(stdout);
    expect(told).toMatchObject({ outcome: 'done', lines: 200_000, isInOrder: true });
    const { characters, growthBytes } = told as { characters: number; growthBytes: number };
    expect(characters).toBeGreaterThan(100_000_000);
    // Held, the lines alone would be 100 MB; what a busy machine leaves to the collector is less.
    expect(growthBytes).toBeLessThan(80 * 1024 * 1024);
  }, 60_000);
});

describe('a program that does not go', () => {
  test('TR-19 that ignores SIGTERM is killed after its delay', async () => {
    const run = startNode(
      `process.on('SIGTERM', () => say({ type: 'text', text: 'no' })); say({ type: 'text', text: 'here' });
       setInterval(() => {}, 1000);`,
    );
    await run.seen(isText('here'));
    run.turn.stop('cancel');
    const facts = await run.turn.ended;
    expect(facts).toMatchObject({ exit: { code: null, signal: 'SIGKILL' }, stopped: 'cancel' });
    expect(run.events).toContainEqual({ kind: 'text', text: 'no' });
  });

  test('WK-18 that closes its output on SIGTERM and lives on is killed all the same', async () => {
    const run = startNode(
      `process.on('SIGTERM', () => { require('node:fs').closeSync(1); require('node:fs').closeSync(2); });
       say({ type: 'text', text: 'here' }); setInterval(() => {}, 1000);`,
    );
    await run.seen(isText('here'));
    run.turn.stop('cancel');
    expect((await run.turn.ended).exit).toEqual({ code: null, signal: 'SIGKILL' });
  });

  test('WK-18 that closes its output by itself and lives on ends at the deadline', async () => {
    const run = startNode(
      `const fs = require('node:fs'); fs.closeSync(1); fs.closeSync(2); setInterval(() => {}, 1000);`,
      { limits: { turnTimeoutMs: 700 } },
    );
    const facts = await run.turn.ended;
    expect(facts.stopped).toBe('deadline');
    expect(turnOutcome(facts, 0).failure?.kind).toBe('turn-timeout');
  });

  test('TR-20 that falls silent is ended by the watchdog, and one that goes on talking is not', async () => {
    const silent = startNode(`say({ type: 'text', text: 'one' }); setInterval(() => {}, 1000);`, {
      limits: { silenceMs: 500 },
    });
    const talking = startNode(
      `let at = 0; const timer = setInterval(() => { say({ type: 'text', text: 'x' }); if (++at === 12) { clearInterval(timer); ${RESULT} } }, 100);`,
      { limits: { silenceMs: 900 } },
    );
    expect((await silent.turn.ended).stopped).toBe('silence');
    expect(await talking.turn.ended).toMatchObject({ stopped: null, closing: { outcome: 'done' } });
  });

  test('that says done and stays is ended after its grace, and is done', async () => {
    const run = startNode(`${RESULT} setInterval(() => {}, 1000);`, { limits: { lingerMs: 200 } });
    const facts = await run.turn.ended;
    expect(facts.stopped).toBe('linger');
    expect(turnOutcome(facts, 0)).toMatchObject({ outcome: 'done', signal: 'SIGTERM' });
  });

  test('what it says after it was told to stop is no result', async () => {
    const run = startNode(
      `process.on('SIGTERM', () => { ${RESULT} process.exit(0); }); say({ type: 'text', text: 'here' }); setInterval(() => {}, 1000);`,
    );
    await run.seen(isText('here'));
    run.turn.stop('cancel');
    expect(turnOutcome(await run.turn.ended, 0)).toMatchObject({ outcome: 'cancelled', exitCode: 0 });
  });

  test('WK-78 a stop that comes before the program runs is honoured', async () => {
    const run = startNode(`setInterval(() => {}, 1000);`);
    run.turn.stop('cancel');
    expect((await run.turn.ended).stopped).toBe('cancel');
  });
});

describe('what a program leaves behind', () => {
  test('a daemon that has left its group and holds its output is ended with the turn', async () => {
    const run = startNode(
      `const { spawn } = require('node:child_process');
       const child = spawn(process.execPath, ['-e', "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log(JSON.stringify({ type: 'text', text: 'daemon' }))"],
         { detached: true, stdio: ['ignore', 'inherit', 'inherit'] });
       child.unref();
       say({ type: 'text', text: 'started ' + child.pid });
       process.once('SIGUSR2', () => { ${RESULT} process.exit(0); });
       setInterval(() => {}, 1000);`,
    );
    await run.seen(isText('daemon'));
    const { pid } = await run.turn.started;
    process.kill(pid ?? 0, 'SIGUSR2');
    const facts = await run.turn.ended;
    expect(facts.leftovers).toBe(1);
    expect(turnOutcome(facts, 0).outcome).toBe('done');
    expect(await findMarked(run.mark)).toEqual([]);
  });

  test('a child of its group that has thrown its environment away is ended with it', async () => {
    const run = startNode(
      `const { spawn } = require('node:child_process');
       spawn(process.execPath, ['-e', "require('node:fs').writeFileSync('pid', String(process.pid)); setInterval(() => {}, 1000); console.log('up')"], { env: {}, stdio: ['ignore', 'inherit', 'inherit'] });
       setInterval(() => {}, 1000);`,
    );
    await run.seen((event) => event.kind === 'unknown-line' && event.line === 'up');
    const pid = Number(readFileSync(join(run.workspace, 'pid'), 'utf8'));
    expect(identifyProcess(pid)).toBeDefined();
    run.turn.stop('cancel');
    await run.turn.ended;
    await expect.poll(() => identifyProcess(pid)).toBeUndefined();
  });

  test('the turn ends in time when its events cannot be kept', async () => {
    const run = startNode(`setInterval(() => say({ type: 'text', text: 'x' }), 5);`, {
      sink: () => Promise.reject(new Error('disk gone')),
    });
    const facts = await run.turn.ended;
    expect(turnOutcome(facts, 0).failure?.kind).toBe('infra-failed');
  });
});
