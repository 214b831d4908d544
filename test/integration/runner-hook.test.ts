// `fleetlog hook <name>` as a process, as hook settings of Claude Code and Codex start it: what it prints, and that it neither hangs
// nor breaks its program whatever the runner does.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { ApprovalsPart } from '#services/runner/control/control-parts.ts';
import { scratchDir } from '#test/support/broker.ts';
import { owedReply, owing, startControlRig, type ControlRig } from '#test/support/control-rig.ts';

const HOOK = join(import.meta.dirname, '../../services/runner/hook/hook.mjs');
const FLEETLOG = join(import.meta.dirname, '../../services/fleetlog.mjs');

interface HookEnd {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface HookCall {
  readonly name: string;
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly program?: readonly string[];
  /** Its input is left open. */
  readonly isOpen?: boolean;
}

const runHook = async ({
  name,
  input = '{}',
  env = {},
  program = [HOOK],
  isOpen = false,
}: HookCall): Promise<HookEnd> => {
  const child = spawn(process.execPath, [...program, name], { env });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.stdin.on('error', () => undefined);
  if (isOpen) child.stdin.write(input);
  else child.stdin.end(input);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as number | null, out, err };
};

const environmentOf = (rig: ControlRig, token: string): Record<string, string> => ({
  FLEETLOG_CONTROL: rig.address(),
  FLEETLOG_TURN_TOKEN: token,
});

/** Takes connections and says nothing. */
const silentRunner = async (): Promise<{
  readonly env: Record<string, string>;
  readonly asked: Promise<unknown>;
}> => {
  const path = join(scratchDir('ctl'), 'control.sock');
  const server = createServer(() => undefined).listen(path);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return {
    env: { FLEETLOG_CONTROL: `unix:${path}`, FLEETLOG_TURN_TOKEN: 'x' },
    asked: once(server, 'connection'),
  };
};

describe('a hook', () => {
  test('RO-01 tells an agent that owes a reply, from the snapshot, while the control plane is away', async () => {
    const obligations = owing(owedReply({ from: 'anna', subject: 'Which cart?' }));
    const rig = await startControlRig({ parts: { obligations }, isConnected: () => false });
    const { token } = rig.turn();
    const call = { name: 'stop', input: '{"stop_hook_active":false}', env: environmentOf(rig, token) };
    const { code, out, err } = await runHook(call);
    expect([code, err]).toEqual([0, '']);
    expect(JSON.parse(out)).toEqual({ decision: 'block', reason: expect.stringContaining('Which cart?') });
    obligations.snapshot = { ...obligations.snapshot, owed: [] };
    expect(await runHook(call)).toEqual({ code: 0, out: '', err: '' });
  });

  test('is the same as `fleetlog hook`, over loopback too', async () => {
    const rig = await startControlRig({ parts: { obligations: owing(owedReply()) } });
    const env = { ...environmentOf(rig, rig.turn().token), FLEETLOG_CONTROL: rig.loopback() };
    const { code, out } = await runHook({ name: 'stop', env, program: [FLEETLOG, 'hook'] });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ decision: 'block' });
  });

  test('carries a decision about a tool call in the words of the program', async () => {
    const seen: unknown[] = [];
    const approvals: ApprovalsPart = {
      isAsked: true,
      decide: async (_turn, call) => {
        seen.push(call);
        return { decision: 'deny', message: 'not today' };
      },
      ask: async () => ({ isAllowed: false, why: 'reject', message: '' }),
    };
    const rig = await startControlRig({ parts: { approvals } });
    const input = JSON.stringify({
      tool_name: 'Bash',
      tool_input: { command: 'ls' },
      tool_use_id: 'toolu_1',
    });
    const end = await runHook({ name: 'pre-tool-use', input, env: environmentOf(rig, rig.turn().token) });
    expect(JSON.parse(end.out)).toMatchObject({
      hookSpecificOutput: { permissionDecision: 'deny', permissionDecisionReason: 'not today' },
    });
    expect(seen).toEqual([{ callId: 'toolu_1', tool: 'Bash', input: { command: 'ls' } }]);
  });
});

describe('a hook that gets no answer lets its program go on, and says so', () => {
  test('outside a turn', async () => {
    expect(await runHook({ name: 'stop' })).toMatchObject({
      code: 0,
      out: '',
      err: expect.stringContaining('FLEETLOG_CONTROL is not set'),
    });
  });

  test('when the runner is away, and before a tool call refuses it instead', async () => {
    const env = {
      FLEETLOG_CONTROL: `unix:${join(scratchDir('ctl'), 'control.sock')}`,
      FLEETLOG_TURN_TOKEN: 'x',
    };
    const away = await runHook({ name: 'session-end', env });
    expect(away).toMatchObject({ code: 0, out: '', err: expect.stringContaining('ENOENT') });
    expect(away.err.trim().split('\n')).toHaveLength(1);
    expect(await runHook({ name: 'pre-tool-use', env })).toMatchObject({
      code: 2,
      err: expect.stringContaining('the call is refused'),
    });
  });

  test('when the runner hangs, after its own time', async () => {
    const { env } = await silentRunner();
    const call = { name: 'stop', env: { ...env, FLEETLOG_HOOK_WITHIN_MS: '300' } };
    expect(await runHook(call)).toMatchObject({
      code: 0,
      err: expect.stringContaining('no answer within 300 ms'),
    });
  });

  test('when its program never ends its input', async () => {
    const { env } = await silentRunner();
    const call = { name: 'stop', env: { ...env, FLEETLOG_HOOK_WITHIN_MS: '300' }, isOpen: true };
    expect(await runHook(call)).toMatchObject({
      code: 0,
      err: expect.stringContaining('no answer within 300 ms'),
    });
  });

  test('when the runner is killed while it waits', async () => {
    const path = join(scratchDir('ctl'), 'control.sock');
    const source = `require('node:net').createServer(() => console.log('asked')).listen(${JSON.stringify(path)}, () => console.log('up'))`;
    const runner = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void runner.kill('SIGKILL'));
    await once(runner.stdout, 'data');
    const asked = once(runner.stdout, 'data');
    const hooking = runHook({
      name: 'stop',
      env: { FLEETLOG_CONTROL: `unix:${path}`, FLEETLOG_TURN_TOKEN: 'x' },
    });
    await asked;
    runner.kill('SIGKILL');
    expect(await hooking).toMatchObject({ code: 0, err: expect.stringContaining('goes on without it') });
  });

  test('RN-15 when the runner refuses it: then that is on record too', async () => {
    const rig = await startControlRig();
    const { token, scope } = rig.turn();
    const env = environmentOf(rig, token);
    const garbage = await runHook({ name: 'stop', input: 'not JSON', env });
    expect(garbage).toMatchObject({ code: 0, err: expect.stringContaining('INPUT_MALFORMED') });
    const unknown = await runHook({ name: 'no-such-hook', env });
    expect(unknown).toMatchObject({ code: 0, err: expect.stringContaining('there is no hook no-such-hook') });
    const large = await runHook({ name: 'stop', input: 'x'.repeat(10 * 1024 * 1024), env });
    expect(large).toMatchObject({ code: 0, err: expect.stringContaining('the input is over') });
    expect(rig.reports.map(({ name, payload }) => [name, payload])).toEqual(
      ['stop', 'no-such-hook', 'stop'].map((hook) => ['hook-failed', expect.objectContaining({ hook })]),
    );
    rig.endpoint.end(scope.turnId);
    expect(await runHook({ name: 'stop', env })).toMatchObject({
      code: 0,
      err: expect.stringContaining('TURN_OVER'),
    });
    expect(rig.reports).toHaveLength(3);
  });
});
