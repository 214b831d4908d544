// fleetlog run: asks for work, watches it, looks at it, cancels it. Everything goes through the gateway.
import { activityViewSchema, runViewSchema, type RunView } from '#streams/buckets.ts';
import type { Command } from 'commander';
import { z } from 'zod';
import { CommandFailed, invocation, withStackFlags, type Invocation, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { messageLine, transitionSeq } from './feed-line.ts';
import { fieldLines } from './field-lines.ts';
import { ago, table } from './output.ts';
import { followRun } from './run-feed.ts';
import { registerRunTelling } from './run-tell-commands.ts';
import { collect, promptOf, wholeNumber } from './work-arguments.ts';

interface StartFlags extends StackFlags {
  readonly agent?: string;
  readonly provider?: string;
  readonly program?: readonly string[];
  readonly workspace?: string;
  readonly session?: string;
  readonly title?: string;
  readonly parent?: string;
  readonly replay?: string;
  readonly maxAttempts?: string;
  readonly leaseMs?: string;
  readonly turnTimeoutMs?: string;
  readonly completion?: string;
  readonly resumeMismatch?: string;
  readonly fresh?: boolean;
  readonly isolate?: boolean;
  readonly repository?: string;
  readonly branch?: string;
  readonly idempotencyKey?: string;
  readonly watch?: boolean;
}

const startedSchema = z.object({ runId: z.string(), sessionId: z.string(), seq: z.number() });
const shownSchema = runViewSchema.extend({ activity: activityViewSchema.nullish() });
type ShownRun = z.infer<typeof shownSchema>;
const listSchema = z.object({ runs: z.array(runViewSchema), next: z.string().nullish() });

/** Naming a repository or a branch asks for a worktree as well. */
const checkoutOf = ({ isolate, repository, branch }: StartFlags): object | undefined =>
  isolate === true || repository !== undefined || branch !== undefined ? { repository, branch } : undefined;

const readRun = ({ api }: Invocation, runId: string, afterSeq = 0): Promise<ShownRun> =>
  api.call({ path: `/api/v1/runs/${encodeURIComponent(runId)}?afterSeq=${afterSeq}` }, shownSchema);

const watch = async (call: Invocation, runId: string): Promise<void> => {
  const { context, connection, isJson } = call;
  let lastTransition = 0;
  await followRun({
    connection,
    runId,
    context,
    onMessage: async (message) => {
      lastTransition = transitionSeq(message.text) ?? lastTransition;
      const line = isJson ? message.text : messageLine(message);
      if (line !== undefined) context.terminal.out(line);
      await context.terminal.flushed();
    },
  });
  if (context.signal.aborted)
    return context.terminal.note(`${runId} goes on; watch it again with: fleetlog run watch ${runId}`);
  // The summary is a step behind the stream: ask for one that has seen the end.
  const run = await readRun(call, runId, lastTransition);
  if (!isJson) context.terminal.note(endLine(run));
  if (run.state !== 'completed') throw new CommandFailed();
};

const endLine = (run: RunView): string => {
  if (run.failure !== null) return `${run.runId} ${run.state}: ${run.failure.kind}: ${run.failure.message}`;
  if (run.result === null) return `${run.runId} ${run.state}`;
  const state = run.result.outcome === 'yielded' ? 'yielded (ended well, not done)' : run.state;
  return `${run.runId} ${state}: ${run.result.summary}`;
};

const start = async (context: CliContext, words: readonly string[], flags: StartFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const body = {
    prompt: await promptOf(context, words, 'fleetlog run start "what to do"'),
    agent: flags.agent,
    provider: flags.provider,
    program: flags.program,
    workspace: flags.workspace,
    session: flags.session,
    title: flags.title,
    parent: flags.parent,
    replay: flags.replay,
    maxAttempts: wholeNumber('--max-attempts', flags.maxAttempts),
    leaseMs: wholeNumber('--lease-ms', flags.leaseMs),
    turnTimeoutMs: wholeNumber('--turn-timeout-ms', flags.turnTimeoutMs),
    completion: flags.completion,
    resumeMismatch: flags.resumeMismatch,
    conversation: flags.fresh === true ? 'new' : undefined,
    checkout: checkoutOf(flags),
  };
  const started = await call.api.call(
    { method: 'POST', path: '/api/v1/runs', body, idempotencyKey: flags.idempotencyKey },
    startedSchema,
  );
  if (call.isJson) context.terminal.out(JSON.stringify(started));
  else context.terminal.out(`${started.runId} queued in ${started.sessionId}`);
  if (flags.watch === true) await watch(call, started.runId);
  else if (!call.isJson) context.terminal.note(`watch it with: fleetlog run watch ${started.runId}`);
};

const show = async (context: CliContext, runId: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const { activity, ...run } = await readRun(call, runId);
  if (call.isJson) return context.terminal.out(JSON.stringify({ ...run, activity: activity ?? null }));
  for (const line of fieldLines({ ...run, ...activity, updatedAt: run.updatedAt }, context.clock.now(), [
    'tenant',
    'project',
    'seq',
    'links',
  ]))
    context.terminal.out(line);
};

interface ListFlags extends StackFlags {
  readonly state?: string;
  readonly agent?: string;
  readonly limit?: string;
  readonly cursor?: string;
}

const list = async (context: CliContext, flags: ListFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const query = new URLSearchParams();
  for (const name of ['state', 'agent', 'limit', 'cursor'] as const) {
    const value = flags[name];
    if (value !== undefined) query.set(name, value);
  }
  const page = await call.api.call({ path: `/api/v1/runs?${query.toString()}` }, listSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const now = context.clock.now();
  const rows = page.runs.map((run) => [
    run.runId,
    run.state,
    run.agent,
    `${run.attempt}/${run.maxAttempts}`,
    ago(run.createdAt, now),
    run.title ?? '',
  ]);
  context.terminal.out(table(['RUN', 'STATE', 'AGENT', 'ATTEMPT', 'AGE', 'TITLE'], rows));
  if (typeof page.next === 'string') context.terminal.note(`more: fleetlog run list --cursor ${page.next}`);
};

const cancel = async (
  context: CliContext,
  runId: string,
  flags: StackFlags & { readonly reason?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const answer = await call.api.call(
    {
      method: 'POST',
      path: `/api/v1/runs/${encodeURIComponent(runId)}/cancel`,
      body: flags.reason === undefined ? {} : { reason: flags.reason },
    },
    z.object({ runId: z.string(), state: z.string(), seq: z.number() }),
  );
  context.terminal.out(call.isJson ? JSON.stringify(answer) : `${answer.runId} is ${answer.state}`);
};

const registerStart = (run: Command, context: CliContext): void => {
  withStackFlags(run.command('start'))
    .description('Ask for a piece of work; the prompt is the words given, or standard input')
    .argument('[prompt...]')
    .option('--provider <name>', 'kind of program: exec (default), claude, codex or acp')
    .option('--agent <name>', 'agent to do it; default: the first that the gateway knows')
    .option(
      '--program <word>',
      'program to run and its arguments, one flag for each word; default: that of the runner',
      collect,
    )
    .option('--workspace <name>', "folder of the runner to work in; default: the session's own")
    .option('--session <id>', 'go on in this session')
    .option('--title <text>', 'short name for lists')
    .option('--parent <name>', 'agent or person that gets one notice when it has ended')
    .option('--replay <rule>', 'when the runner is lost: requeue (default) or fail')
    .option('--max-attempts <n>', 'how often it may be started')
    .option('--lease-ms <ms>', 'how long a silent runner keeps it')
    .option('--turn-timeout-ms <ms>', 'hard limit of a turn')
    .option(
      '--completion <rule>',
      "what counts as done: turn-end (default), or signal: only the agent's own word; without it the turn has yielded",
    )
    .option(
      '--resume-mismatch <rule>',
      'when the program is not in the conversation asked for: accept, re-prime or fail; default: the rule of the runner',
    )
    .option('--fresh', 'with --session: begin a new conversation of the program in it')
    .option('--isolate', 'work in a git worktree of its own')
    .option('--repository <name>', "of this repository among the runner's; default: its first")
    .option('--branch <ref>', 'begun at this branch, tag or commit; default: what is checked out there')
    .option('--idempotency-key <key>', 'the same key and request give the same run, however often it is sent')
    .option('--watch', 'show its events until it has ended; exit code 0 only if it completed')
    .addHelpText(
      'after',
      '\nExamples:\n  fleetlog run start "add a line about herons to NOTES.md" --watch\n  fleetlog run start --program ./my-agent --program --fast < prompt.txt',
    )
    .action((words: string[], flags: StartFlags) => start(context, words, flags));
};

/** Registers the commands. */
export const registerRunCommands = (program: Command, context: CliContext): void => {
  const run = program
    .command('run')
    .description('Pieces of work: start, watch, show, list, steer, interrupt, cancel, retry');
  registerStart(run, context);
  withStackFlags(run.command('watch'))
    .description("Show a run's events from its beginning, live until it has ended")
    .argument('<run>')
    .action(async (runId: string, flags: StackFlags) => watch(await invocation(context, flags), runId));
  withStackFlags(run.command('show'))
    .description('One run, whole')
    .argument('<run>')
    .action((runId: string, flags: StackFlags) => show(context, runId, flags));
  withStackFlags(run.command('list'))
    .description('Runs, newest first')
    .option('--state <names>', 'only in these states, separated by commas')
    .option('--agent <name>', 'only of this agent')
    .option('--limit <n>', '1 to 100')
    .option('--cursor <cursor>', 'go on after a page')
    .action((flags: ListFlags) => list(context, flags));
  withStackFlags(run.command('cancel'))
    .description('Cancel a run; one that has ended stays as it is')
    .argument('<run>')
    .option('--reason <text>', 'why, for the record')
    .action((runId: string, flags: StackFlags) => cancel(context, runId, flags));
  registerRunTelling(run, context);
};
