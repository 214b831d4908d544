// fleetlog task: puts tasks in queues, shows them and their attempts, cancels and retries them. Everything goes through the gateway.
import { taskViewSchema, type TaskView } from '#streams/task-view.ts';
import type { Command } from 'commander';
import { z } from 'zod';
import { invocation, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { fieldLines } from './field-lines.ts';
import { ago, table } from './output.ts';
import { followOrder, showQueues, whyItWaits } from './queue-command.ts';
import { registerTaskChangeCommands } from './task-change-commands.ts';
import { registerTaskStatsCommands } from './task-stats-commands.ts';
import { collect, promptOf, wholeNumber } from './work-arguments.ts';

interface AddFlags extends StackFlags {
  readonly queue: string;
  readonly lane?: string;
  readonly priority?: string;
  readonly agent?: string;
  readonly provider?: string;
  readonly label?: readonly string[];
  readonly program?: readonly string[];
  readonly workspace?: string;
  readonly session?: string;
  readonly title?: string;
  readonly replay?: string;
  readonly maxAttempts?: string;
  readonly leaseMs?: string;
  readonly turnTimeoutMs?: string;
  readonly reference?: readonly string[];
  readonly meta?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
}

const changedSchema = z.object({
  taskId: z.string(),
  seq: z.number(),
  state: z.string(),
  repeated: z.boolean().optional(),
});
const pageSchema = z.object({ tasks: z.array(taskViewSchema), next: z.string().nullish() });
const shownSchema = taskViewSchema.extend({ position: z.number().nullable() });
const add = async (context: CliContext, words: readonly string[], flags: AddFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const { queue, lane, agent, provider, program, workspace, session, title, replay } = flags;
  const body = {
    prompt: await promptOf(context, words, 'fleetlog task add --queue fix "what to do"'),
    queue,
    lane,
    agent,
    provider,
    program,
    workspace,
    session,
    title,
    replay,
    priority: wholeNumber('--priority', flags.priority),
    labels: flags.label,
    references: flags.reference,
    metadata: flags.meta,
    maxAttempts: wholeNumber('--max-attempts', flags.maxAttempts),
    leaseMs: wholeNumber('--lease-ms', flags.leaseMs),
    turnTimeoutMs: wholeNumber('--turn-timeout-ms', flags.turnTimeoutMs),
  };
  const { idempotencyKey } = flags;
  const made = await call.api.call(
    { method: 'POST', path: '/api/v1/tasks', body, idempotencyKey },
    changedSchema,
  );
  if (call.isJson) return context.terminal.out(JSON.stringify(made));
  context.terminal.out(`${made.taskId} ${made.state} in queue ${queue}`);
  context.terminal.note(`look at it with: fleetlog task show ${made.taskId}`);
};

interface ListFlags extends StackFlags {
  readonly queue?: string;
  readonly lane?: string;
  readonly state?: string;
  readonly limit?: string;
  readonly cursor?: string;
}

const lastAgent = ({ attempts }: TaskView): string => attempts.at(-1)?.agent ?? '';

const list = async (context: CliContext, flags: ListFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const query = new URLSearchParams();
  for (const name of ['queue', 'lane', 'state', 'limit', 'cursor'] as const) {
    const value = flags[name];
    if (value !== undefined) query.set(name, value);
  }
  const page = await call.api.call({ path: `/api/v1/tasks?${query.toString()}` }, pageSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const now = context.clock.now();
  const rows = page.tasks.map((task) => [
    task.taskId,
    task.state,
    `${task.queue}/${task.lane}`,
    String(task.priority),
    String(task.attemptCount),
    lastAgent(task),
    ago(task.createdAt, now),
    task.title ?? '',
  ]);
  context.terminal.out(
    table(['TASK', 'STATE', 'QUEUE', 'PRIORITY', 'ATTEMPTS', 'AGENT', 'AGE', 'TITLE'], rows),
  );
  if (typeof page.next === 'string') context.terminal.note(`more: fleetlog task list --cursor ${page.next}`);
};

const show = async (context: CliContext, taskId: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const task = await call.api.call({ path: `/api/v1/tasks/${encodeURIComponent(taskId)}` }, shownSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(task));
  const { attempts, ...rest } = task;
  for (const line of fieldLines(rest, context.clock.now(), ['tenant', 'project', 'seq', 'queuedSeq']))
    context.terminal.out(line);
  const why = task.state === 'pending' ? await whyItWaits(call, task) : undefined;
  if (why !== undefined) context.terminal.out(`waits  ${why}`);
  const rows = attempts.map((one) => [
    String(one.attempt),
    one.outcome ?? (one.startedAt === null ? 'assigned' : 'running'),
    one.agent,
    one.runId,
    one.failure === null ? (one.recalled ?? '') : `${one.failure.kind}: ${one.failure.message}`,
  ]);
  if (rows.length > 0) context.terminal.out(table(['ATTEMPT', 'OUTCOME', 'AGENT', 'RUN', 'WHY'], rows));
};

const pairs = (text: string, known: Readonly<Record<string, string>> | undefined): Record<string, string> => {
  const at = text.indexOf('=');
  return { ...known, [at < 0 ? text : text.slice(0, at)]: at < 0 ? '' : text.slice(at + 1) };
};

const registerAdd = (task: Command, context: CliContext): void => {
  withStackFlags(task.command('add'))
    .description('Put a task in a queue; the prompt is the words given, or standard input')
    .argument('[prompt...]')
    .option('--queue <name>', 'the queue', 'main')
    .option('--lane <name>', 'a lane of it, which may have a limit of its own')
    .option('--priority <n>', 'higher goes first; -1000 to 1000, default 0')
    .option('--agent <name>', 'the only agent that may do it; default: any that can')
    .option('--provider <name>', 'kind of program: exec (default), claude, codex or acp')
    .option('--label <name>', 'what its runner must have been given; again for more', collect)
    .option('--program <word>', 'program to run and its arguments, one flag for each word', collect)
    .option('--workspace <name>', "folder of the runner to work in; default: the session's own")
    .option('--session <id>', 'go on in this session, with its agent; default: a new one for each attempt')
    .option('--title <text>', 'short name for lists')
    .option('--replay <rule>', 'when a runner is lost: requeue (default) or fail')
    .option('--max-attempts <n>', 'how often it may be tried without anybody asking')
    .option('--lease-ms <ms>', 'how long a silent runner keeps it')
    .option('--turn-timeout-ms <ms>', 'hard limit of a turn')
    .option('--reference <text>', 'where it comes from; again for more', collect)
    .option('--meta <name=value>', 'anything worth keeping with it; again for more', pairs)
    .option('--idempotency-key <key>', 'the same key and order give the same task, however often it is sent')
    .addHelpText(
      'after',
      '\nExamples:\n  fleetlog task add --queue fix "make the tests pass" --priority 5\n  fleetlog task add --queue docs --lane slow --label gpu < prompt.txt',
    )
    .action((words: string[], flags: AddFlags) => add(context, words, flags));
};

/** Registers the commands. */
export const registerTaskCommands = (program: Command, context: CliContext): void => {
  const task = program
    .command('task')
    .description(
      'Queues of work for whichever agent is free: add, list, show, cancel, retry, stats, read, queues, order',
    );
  registerAdd(task, context);
  withStackFlags(task.command('list'))
    .description('Tasks in the order in which they go: higher priority first, then the older one')
    .option('--queue <name>', 'only of this queue')
    .option('--lane <name>', 'only of this lane')
    .option('--state <names>', 'only in these states, separated by commas')
    .option('--limit <n>', '1 to 100')
    .option('--cursor <cursor>', 'go on after a page')
    .action((flags: ListFlags) => list(context, flags));
  withStackFlags(task.command('show'))
    .description('One task with all its attempts and, while it waits, its place in the queue')
    .argument('<task>')
    .action((taskId: string, flags: StackFlags) => show(context, taskId, flags));
  registerTaskChangeCommands(task, context);
  withStackFlags(task.command('queues'))
    .description(
      'Queues: how many tasks in which state and lane, which goes next, and why the first ones wait',
    )
    .option('--queue <name>', 'only this one')
    .action((flags: StackFlags) => showQueues(context, flags));
  withStackFlags(task.command('order'))
    .description('The order of a queue and each change of it, as it happens: task, old place → new place')
    .argument('<queue>')
    .option('--limit <places>', 'the first places that are watched (default: 100)')
    .action((queue: string, flags: StackFlags & { limit?: string }) => followOrder(context, queue, flags));
  registerTaskStatsCommands(task, context);
};
