// The control endpoint of a runner as its settings want it, and what the program of each turn is given to find it: variables of its
// environment, and arguments where the program knows hooks and tool servers.
import { join } from 'node:path';
import type { Outbox } from '#libs/outbox/outbox.ts';
import { findProgram } from '#services/runner/programs.ts';
import type { TurnOrder } from '#services/runner/providers/provider.ts';
import type { AgentWord } from '#services/runner/providers/turn-facts.ts';
import type { TurnScope } from '#services/runner/report-writer.ts';
import type { RunnerConfig } from '#services/runner/runner-config.ts';
import type { ProviderName } from '#streams/run.ts';
import { createControlEndpoint, type ControlEndpoint, type ControlOptions } from './control-endpoint.ts';
import { CONTROL_VARIABLE, TOKEN_VARIABLE } from './control-variables.ts';
import type { Kept, PartAnswer } from './control-parts.ts';
import {
  claudeControlArguments,
  codexControlArguments,
  TOOL_SERVER,
  type HookPlan,
} from './program-hooks.ts';

/** What the program of a turn is given. */
export interface TurnEquipment {
  readonly environment: Readonly<Record<string, string>>;
  /** Further arguments of the program's command. */
  readonly arguments: readonly string[];
  /** For a program that is told in other ways. */
  readonly order: Pick<TurnOrder, 'stopReason' | 'toolServers'>;
}

export interface RunnerControlOptions extends Omit<
  ControlOptions,
  'dataDir' | 'agent' | 'stopGateLimit' | 'hasTools' | 'needsLoopback' | 'isConnected'
> {
  readonly config: RunnerConfig;
  readonly outbox: Pick<Outbox, 'status'>;
  /** Where programs are looked for. */
  readonly searchPath: string | undefined;
}

export interface RunnerControl {
  readonly control: ControlEndpoint;
  /** Begins a turn at the endpoint: from then on its programs may ask. */
  readonly equip: (scope: TurnScope, provider: ProviderName, prompt: string) => TurnEquipment;
}

/** Started by Node itself: `./fleetlog` would start a shell first. */
const HOOK = join(import.meta.dirname, '../hook/hook.mjs');
const FLEETLOG = join(import.meta.dirname, '../../fleetlog.mjs');

/** What a turn says to its agent's word. */
type Heard =
  | { readonly kind: 'kept' }
  | { readonly kind: 'refused'; readonly code: string; readonly message: string };

/** What became of an agent's word, as an answer of the endpoint. */
export const signalWord = async (
  runner: { signalDone(turnId: string, word: AgentWord): Promise<Heard> },
  turnId: string,
  word: AgentWord,
): Promise<PartAnswer<Kept>> => {
  const answer = await runner.signalDone(turnId, word);
  return answer.kind === 'kept' ? { kind: 'ok', result: { state: 'kept' } } : answer;
};

export const createRunnerControl = ({
  config,
  outbox,
  searchPath,
  ...options
}: RunnerControlOptions): RunnerControl => {
  const { dataDir, agent, hooks, mcp, stopGateLimit, claudeProgram } = config;
  const control = createControlEndpoint({
    ...options,
    dataDir,
    agent,
    stopGateLimit,
    hasTools: (provider) => mcp && provider !== 'exec',
    // Of the programs only Claude Code posts its hooks by itself.
    needsLoopback: hooks && findProgram(claudeProgram ?? 'claude', searchPath) !== undefined,
    isConnected: () => outbox.status().unreachableFailures === 0,
  });
  const plan: HookPlan = {
    hooks,
    mcp,
    asksBeforeTools: options.parts.approvals?.isAsked === true,
    hookCommand: [process.execPath, HOOK],
    mcpCommand: [process.execPath, FLEETLOG, 'mcp'],
  };
  return {
    control,
    equip: (scope, provider, prompt) => {
      const access = control.open(scope, provider, prompt);
      if (access === undefined) return { environment: {}, arguments: [], order: {} };
      const environment = { [CONTROL_VARIABLE]: access.address, [TOKEN_VARIABLE]: access.token };
      if (provider === 'claude')
        return { environment, arguments: claudeControlArguments(access, plan), order: {} };
      if (provider === 'codex') return { environment, arguments: codexControlArguments(plan), order: {} };
      const [command = '', ...args] = plan.mcpCommand;
      const order = {
        ...(hooks && { stopReason: () => control.stopReason(scope.turnId) }),
        ...(mcp && { toolServers: [{ name: TOOL_SERVER, command, args, env: environment }] }),
      };
      return { environment, arguments: [], order: provider === 'acp' ? order : {} };
    },
  };
};
