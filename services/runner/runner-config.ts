// The settings of a runner.
import { duration, flag, integer, list, oneOf, size, text } from '#libs/config/fields.ts';
import { RULE } from './approvals/call-rules.policy.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import { PROVIDERS } from '#streams/run.ts';
import { PERMISSION_SETTINGS } from './providers/acp/acp-permission.ts';
import { ACP_AGENTS } from './providers/acp/acp-quirks.policy.ts';
import { ACP_STEERING } from './providers/acp/acp-steering.ts';

const NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const ITEM = { pattern: NAME, expects: '1 to 64 of a-z 0-9 _ - and a letter or digit first' };
const name = () => text(ITEM);

/** The program that runs when a run names none: the sample agent. */
const SAMPLE = [process.execPath, `${import.meta.dirname}/sample/scripted-agent.mjs`];

export const RunnerConfig = configSchema({
  spawnId: text()
    .optional()
    .describe('Which start of a managed agent this is; set by the host that starts it.'),
  host: name().optional().describe('The host that starts it.'),
  agent: name().describe('The agent whose instructions this runner takes.'),
  tenant: name().default('local').describe('Boundary of the agent.'),
  project: name().default('main').describe('Boundary of the agent.'),
  dataDir: text().describe(
    'Folder of the durable buffer; it must outlive the process and be on a local disk.',
  ),
  workspaceRoot: text().describe('Folder below which programs work, one folder a workspace.'),
  isolation: oneOf(['folder', 'worktree'])
    .default('folder')
    .describe(
      'Where a run works that asks for nothing else: in a plain folder, or in a git worktree of its own of the first repository.',
    ),
  repositories: list()
    .default([])
    .describe(
      'Git checkouts on this machine that worktrees are made from: paths, or name=path; the first is the default.',
    ),
  baseBranch: text()
    .optional()
    .describe(
      'What worktrees begin at where a run names no branch; default: what the repository has checked out.',
    ),
  worktreePer: oneOf(['session', 'agent'])
    .default('session')
    .describe('Whether each session has a worktree, or all sessions of the agent share one.'),
  sharedPaths: list()
    .default([])
    .describe('Untracked paths of the repository that worktrees have as links, such as node_modules.'),
  diskFloorBytes: size({ min: 0 })
    .default(128 * 1024 * 1024)
    .describe(
      'A turn fails before it begins when less is free where it works or where its reports are kept; 0: never.',
    ),
  cleanAfterMs: duration({ min: 0 })
    .default(0)
    .describe(
      'Worktrees unused for this long are taken away at the start when everything in them is committed and merged; 0: only by hand.',
    ),
  program: list().default(SAMPLE).describe('Program and arguments of a run that names none.'),
  claudeProgram: text()
    .optional()
    .describe('Path or name of Claude Code for the provider claude; default: claude on the PATH.'),
  claudeArguments: list()
    .default(['--permission-mode', 'acceptEdits'])
    .describe('Further arguments of Claude Code, such as what it may do without being asked.'),
  claudeSteering: flag()
    .default(true)
    .describe(
      'Whether Claude Code takes words while it works: its standard input stays open until its result.',
    ),
  codexProgram: text()
    .optional()
    .describe('Path or name of Codex for the provider codex; default: codex on the PATH.'),
  codexArguments: list()
    .default(['-s', 'workspace-write'])
    .describe('Further arguments of codex exec, such as its sandbox.'),
  acpProgram: text()
    .optional()
    .describe('Path or name of a program that speaks the Agent Client Protocol: the provider acp.'),
  acpArguments: list().default([]).describe('Its arguments.'),
  acpAgent: oneOf(['auto', ...ACP_AGENTS])
    .default('auto')
    .describe('Which agent it is, where its program and its own word do not tell.'),
  acpPermissions: oneOf(PERMISSION_SETTINGS)
    .default('ask')
    .describe('What it is answered when it wants a tool call allowed: ask: what a person says.'),
  acpSteering: oneOf(ACP_STEERING)
    .default('cancel')
    .describe(
      'What is done with words to a turn: cancel what the agent does and tell it, queue them behind it in the same turn, or refuse them (none).',
    ),
  acpMode: text().optional().describe('The mode of its own that its conversations are put into.'),
  acpKeep: integer({ min: 0, max: 64 })
    .default(4)
    .describe('How many of its processes are kept between turns, one a session; 0: none.'),
  acpIdleMs: duration({ min: 1000 }).default(600_000).describe('How long such a process is kept.'),
  resumeMismatch: oneOf(['accept', 're-prime', 'fail'])
    .default('accept')
    .describe(
      'When a program is not in the conversation asked for: accept: go on where it is; re-prime: start anew with a summary of it; fail: end the run.',
    ),
  sessionKeepMs: duration({ min: 0 })
    .default(30 * 86_400_000)
    .describe('How long the place in a conversation is kept that nobody goes on with.'),
  sessionKeepCount: integer({ min: 1, max: 1_000_000 })
    .default(2000)
    .describe('How many such places are kept at most, the latest used.'),
  hooks: flag()
    .default(true)
    .describe(
      'Whether Claude Code and Codex are given hooks, so that one that owes a reply is told before it stops.',
    ),
  mcp: flag().default(true).describe('Whether Claude Code and Codex are given the tools of fleetlog mcp.'),
  stopGateLimit: integer({ min: 0, max: 8 })
    .default(3)
    .describe('How often in one turn an agent that owes a reply may be sent on; 0: never.'),
  concurrency: integer({ min: 1, max: 64 })
    .default(1)
    .describe('Turns at once; one at a time in a workspace.'),
  labels: list(ITEM)
    .default([])
    .describe('What this runner has been given besides its programs (gpu, eu, …): tasks may ask for it.'),
  machine: name()
    .optional()
    .describe(
      'Name of the machine: runners of one name share its room for tasks. Default: the first label of its own name.',
    ),
  account: name()
    .optional()
    .describe(
      'Whose quota its programs use up: runners that name the same account wait together when it is used up. Default: its own.',
    ),
  mail: flag()
    .default(true)
    .describe(
      "Whether the runner takes its agent's messages and begins turns for them; off: they wait in the stream.",
    ),
  mailProvider: oneOf(PROVIDERS).default('exec').describe('Kind of program that gets mail.'),
  mailWorkspace: name()
    .optional()
    .describe('Workspace of turns that bring mail; default: that of the conversation.'),
  mailTurnTimeoutMs: duration({ min: 1000, max: 86_400_000 })
    .default(1_800_000)
    .describe('Hard limit of a turn that brings mail.'),
  mailSession: oneOf(['kept', 'new'])
    .default('kept')
    .describe('Mail that names no conversation goes on with that of the last mail, or begins a new one.'),
  mailSteering: flag()
    .default(true)
    .describe(
      'Whether mail goes to a turn of its conversation that runs already, where the program says when it has taken it up (Claude Code, exec programs that acknowledge words); off: it waits for a turn of its own.',
    ),
  silenceMs: duration({ min: 0 })
    .default(600_000)
    .describe('A program that prints nothing for this long is ended; 0: never.'),
  killAfterMs: duration({ min: 0, max: 60_000 }).default(2000).describe('From SIGTERM to SIGKILL.'),
  lingerMs: duration({ min: 0 }).default(10_000).describe('How long a program may live on after its result.'),
  announceMs: duration({ min: 1000, max: 200_000 })
    .default(5000)
    .describe('How often the runner says that it is alive.'),
  finishMs: duration({ min: 0 }).default(3000).describe('In a drain: what a running program gets to finish.'),
  askBefore: list({
    pattern: RULE,
    expects: 'a tool, as Bash or mcp__*, maybe with a text of its input, as Bash(*publish*)',
  })
    .default([])
    .describe(
      'Calls of Claude Code that a person must allow first: the turn ends with the question and goes on with the answer. Default: none.',
    ),
  approvalApprovers: integer({ min: 1, max: 10 })
    .default(1)
    .describe('How many different people must allow a call that is asked about.'),
  approvalRole: text({ pattern: /^[a-z0-9][a-z0-9_-]{0,63}$/, expects: 'the name of a role' })
    .optional()
    .describe('Role that whoever allows such a call must have, by a token of their own.'),
  approvalFourEyes: flag().default(false).describe('Whoever started a run cannot allow its calls.'),
  approvalWaitMs: duration({ min: 1000, max: 30 * 24 * 3_600_000 })
    .default(24 * 3_600_000)
    .describe('How long a question to a person may wait; then it counts as refused.'),
  passEnvironment: list()
    .default([])
    .describe('Variables of the environment that programs get besides the usual ones.'),
  bufferRows: integer({ min: 1000 })
    .default(200_000)
    .describe('Reports the buffer holds before it drops the least worthy.'),
  bufferBytes: size({ min: 1_048_576 })
    .default(512 * 1024 * 1024)
    .describe('The same in bytes.'),
});
export type RunnerConfig = ConfigOf<typeof RunnerConfig>;
