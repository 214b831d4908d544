// How Claude Code and Codex are told of the control endpoint: as further arguments of their command. No secret is in them: the token is
// in the environment, which hooks and tool servers inherit (measured: Claude Code 2.1.329, Codex 0.169.0).
import { createHash } from 'node:crypto';
import { TURN_MARK, RUNNER_MARK } from '#services/runner/providers/child-environment.ts';
import type { ControlAccess } from './control-endpoint.ts';
import { CONTROL_VARIABLE, TOKEN_VARIABLE } from './control-variables.ts';

/** What a program is to be given. */
export interface HookPlan {
  readonly hooks: boolean;
  readonly mcp: boolean;
  /** Whether tool calls are asked about before they are made. */
  readonly asksBeforeTools: boolean;
  /** Program and arguments that carry a hook; its name follows. */
  readonly hookCommand: readonly string[];
  /** Program and arguments of the tool server. */
  readonly mcpCommand: readonly string[];
}

/** The name of the tool server: part of the names of its tools. */
export const TOOL_SERVER = 'fleetlog';
/** A hook that is not answered by then is given up by the program; ours give up before. Seconds. */
const HOOK_SECONDS = 10;

/** Event of the program, name of the hook. */
const MIRROR_HOOKS = [
  ['Stop', 'stop'],
  ['UserPromptSubmit', 'user-prompt-submit'],
  ['SessionEnd', 'session-end'],
] as const;

const quoted = (part: string): string => `'${part.replaceAll("'", `'\\''`)}'`;
const shellLine = (command: readonly string[]): string => command.map(quoted).join(' ');

const claudeHook = ({ loopback }: ControlAccess, { hookCommand }: HookPlan, name: string): object =>
  // Posted by the program itself: no process has to be started. A tool call must not go on unasked when nobody answers, and only
  // the exit code of a command can say that.
  loopback !== null && name !== 'pre-tool-use'
    ? {
        type: 'http',
        url: `${loopback}/v1/hooks/${name}`,
        headers: { authorization: `Bearer $${TOKEN_VARIABLE}` },
        allowedEnvVars: [TOKEN_VARIABLE],
        timeout: HOOK_SECONDS,
      }
    : { type: 'command', command: shellLine([...hookCommand, name]), timeout: HOOK_SECONDS };

/** Arguments of Claude Code. */
export const claudeControlArguments = (access: ControlAccess, plan: HookPlan): readonly string[] => {
  const events = plan.asksBeforeTools
    ? [...MIRROR_HOOKS, ['PreToolUse', 'pre-tool-use'] as const]
    : MIRROR_HOOKS;
  const hooks = Object.fromEntries(
    events.map(([event, name]) => [event, [{ hooks: [claudeHook(access, plan, name)] }]]),
  );
  const settings = {
    ...(plan.hooks && { hooks }),
    // The agent's own mail needs nobody's permission.
    ...(plan.mcp && { permissions: { allow: [`mcp__${TOOL_SERVER}`] } }),
  };
  const [command = '', ...args] = plan.mcpCommand;
  return [
    ...(plan.hooks || plan.mcp ? ['--settings', JSON.stringify(settings)] : []),
    ...(plan.mcp
      ? ['--mcp-config', JSON.stringify({ mcpServers: { [TOOL_SERVER]: { command, args } } })]
      : []),
  ];
};

/** JSON strings are TOML strings. */
const toml = (text: string): string => JSON.stringify(text);

/** The variables that tool servers of Codex need; it passes on no others. The marks are for finding what is left behind. */
const PASSED = [CONTROL_VARIABLE, TOKEN_VARIABLE, TURN_MARK, RUNNER_MARK];

/** Where Codex keeps hooks that came as arguments, as far as its trust in them is concerned. */
const trustKey = (event: string): string => `/<session-flags>/config.toml:${event}:0:0`;

/** What Codex compares before it runs a hook: it runs none that it does not trust. */
const trustHash = (event: string, command: string): string => {
  const handler = { async: false, command, timeout: HOOK_SECONDS, type: 'command' };
  const digest = createHash('sha256').update(JSON.stringify({ event_name: event, hooks: [handler] }));
  return `sha256:${digest.digest('hex')}`;
};

/** Only what cannot be known otherwise: each hook is a process to start. */
const CODEX_HOOKS = [['Stop', 'stop', 'stop']] as const;

const codexHooks = (hookCommand: readonly string[]): readonly string[] => {
  const lines = CODEX_HOOKS.map(([event, key, name]) => {
    const command = shellLine([...hookCommand, name]);
    const handler = `{type="command",command=${toml(command)},timeout=${HOOK_SECONDS}}`;
    return {
      setting: `hooks.${event}=[{hooks=[${handler}]}]`,
      trust: `${toml(trustKey(key))}={trusted_hash=${toml(trustHash(key, command))}}`,
    };
  });
  // These and no others are trusted: a repository that brings hooks of its own gains nothing by it.
  const state = `hooks.state={${lines.map(({ trust }) => trust).join(',')}}`;
  return [...lines.map(({ setting }) => setting), state].flatMap((setting) => ['-c', setting]);
};

/**
 * Until the tools are there no request is made: without `required` Codex (0.169) asks the model at once, and one that answers quickly has
 * no tool to reply with; their coming later also changes the list of tools, which is the head of what the model's maker has cached.
 * When they never come the program ends with a reason, before it has cost anything.
 */
const TOOLS_FIRST = 'required=true,startup_timeout_sec=60';

/** Arguments of Codex. */
export const codexControlArguments = (plan: HookPlan): readonly string[] => {
  const [command = '', ...args] = plan.mcpCommand;
  const list = (items: readonly string[]): string => `[${items.map(toml).join(',')}]`;
  const server = `{command=${toml(command)},args=${list(args)},env_vars=${list(PASSED)},default_tools_approval_mode="approve",${TOOLS_FIRST}}`;
  return [
    ...(plan.hooks ? codexHooks(plan.hookCommand) : []),
    ...(plan.mcp ? ['-c', `mcp_servers.${TOOL_SERVER}=${server}`] : []),
  ];
};
