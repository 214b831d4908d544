// fleetlog hook and fleetlog mcp, as the command line knows them. services/fleetlog.ts starts both before the command line is loaded.
import type { Command } from 'commander';

/** The hook by itself: plain JavaScript (see there). */
const HOOK_URL = new URL('runner/hook/hook.mjs', import.meta.url).href;

/** For programs in a turn of a runner. */
export const registerTurnCommands = (program: Command): void => {
  program
    .command('hook')
    .argument('<name>', 'stop, user-prompt-submit, session-end, pre-tool-use or permission-request')
    .description('what hook settings of Claude Code and Codex call: asks the runner, prints the answer')
    .action(async () => void (await import(HOOK_URL)));
  program
    .command('mcp')
    .description(
      'the tools of an agent in a turn (send, reply, inbox, obligations, done, ask_for_approval) as an MCP server on standard input and output',
    )
    .action(async () => (await import('./mcp-command.ts')).runMcp());
};
