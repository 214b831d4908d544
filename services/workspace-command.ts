// fleetlog workspace: where agents have worked on this machine, and what can be taken away without losing anything. Looks at files and git
// only; needs no stack. Beside a running runner it passes over what is in use.
import { duration } from '#libs/config/fields.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Command } from 'commander';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CommandFailed } from './cli/command.ts';
import { dataDirectory } from './cli/connection.ts';
import type { CliContext } from './cli/context.ts';
import { ago, table } from './cli/output.ts';
import { cleanWorkspaces, type ListedWorkspace } from './runner/workspace/worktree-catalogue.ts';
import { worktreeParts } from './runner/workspace/workspaces.ts';

interface WorkspaceFlags {
  readonly data?: string;
  readonly root?: string;
  readonly json?: boolean;
}

interface CleanFlags extends WorkspaceFlags {
  readonly olderThan?: string;
  readonly dryRun?: boolean;
}

const invalid = (message: string): Fault => new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });

const rootOf = ({ environment, workingDirectory }: CliContext, flags: WorkspaceFlags): string => {
  const root =
    flags.root ??
    environment['FLEETLOG_RUNNER_WORKSPACE_ROOT'] ??
    join(dataDirectory(flags.data, environment, workingDirectory), 'workspaces');
  if (!existsSync(root)) throw invalid(`there are no workspaces in ${root} (see --data and --root)`);
  return root;
};

const olderThanOf = (text: string | undefined): number => {
  const parsed = duration({ min: 0 }).safeParse(text ?? '0');
  if (parsed.success) return parsed.data;
  throw invalid(`--older-than ${JSON.stringify(text)}: expected a time such as 12h or 7d`);
};

const shown = ({ condition, verdict, ...about }: ListedWorkspace) => ({
  ...about,
  condition: condition.kind,
  ...(condition.kind === 'idle' && condition.findings),
  canGo: verdict.remove,
  reason: verdict.reason,
});

const print = (
  context: CliContext,
  listed: readonly ListedWorkspace[],
  words: readonly [string, string],
): void => {
  const now = context.clock.now();
  const rows = listed.map(({ name, kind, branch, usedAt, verdict }) => [
    name,
    kind,
    branch ?? '',
    usedAt === null ? '' : ago(usedAt, now),
    verdict.remove ? words[0] : words[1],
    verdict.reason,
  ]);
  context.terminal.out(table(['WORKSPACE', 'KIND', 'BRANCH', 'USED', '', 'WHY'], rows));
};

const look = (context: CliContext, flags: WorkspaceFlags, choice: Parameters<typeof cleanWorkspaces>[1]) => {
  const { clock, environment } = context;
  return cleanWorkspaces(worktreeParts(rootOf(context, flags), { clock, environment }), choice);
};

const list = async (context: CliContext, flags: WorkspaceFlags): Promise<void> => {
  const workspaces = await look(context, flags, { olderThanMs: 0, isDry: true });
  if (flags.json === true) return context.terminal.out(JSON.stringify({ workspaces: workspaces.map(shown) }));
  print(context, workspaces, ['can go', 'stays']);
};

const clean = async (context: CliContext, names: readonly string[], flags: CleanFlags): Promise<void> => {
  const isDry = flags.dryRun === true;
  const olderThanMs = olderThanOf(flags.olderThan);
  const workspaces = await look(context, flags, { olderThanMs, isDry, ...(names.length > 0 && { names }) });
  const missing = names.filter((name) => !workspaces.some((one) => one.name === name));
  if (missing.length > 0) throw invalid(`there is no workspace ${missing.join(', ')}`);
  if (flags.json === true)
    context.terminal.out(JSON.stringify({ dryRun: isDry, workspaces: workspaces.map(shown) }));
  else print(context, workspaces, [isDry ? 'would go' : 'gone', 'stays']);
  // Whoever names one wants it gone.
  if (names.length > 0 && workspaces.some(({ verdict }) => !verdict.remove)) throw new CommandFailed();
};

const withFlags = (command: Command): Command =>
  command
    .option('--data <dir>', 'data directory of a stack started here (default: $FLEETLOG_DATA or ./data)')
    .option(
      '--root <dir>',
      'folder of the workspaces (default: $FLEETLOG_RUNNER_WORKSPACE_ROOT or that of the data directory)',
    )
    .option('--json', 'print JSON');

/** Registers the commands. */
export const registerWorkspaceCommand = (program: Command, context: CliContext): void => {
  const workspace = program.command('workspace').description('Where agents work: list, clean');
  withFlags(workspace.command('list'))
    .description('Every workspace, and whether it can go without losing anything')
    .action((flags: WorkspaceFlags) => list(context, flags));
  withFlags(workspace.command('clean'))
    .description('Take away git worktrees in which everything is committed and merged; nothing else goes')
    .argument('[names...]', 'only these; exit code 1 if one of them stays')
    .option('--older-than <time>', 'only those unused for this long, such as 12h or 7d')
    .option('--dry-run', 'only say what would go')
    .addHelpText(
      'after',
      '\nA worktree stays while it is in use, has changes that are not committed (untracked files too), commits that no other branch,\n' +
        'remote or tag has, or a merge or rebase under way. Files that the repository ignores do not count. Commits that only its own\n' +
        'history knows are kept as refs/fleetlog/rescued/<name>/…. Plain folders always stay.',
    )
    .action((names: string[], flags: CleanFlags) => clean(context, names, flags));
};
