// fleetlog task cancel and retry: of tasks that are named, or of all that are chosen by queue, lane and state. What one task refuses
// holds up no other; everything goes through the gateway, task by task.
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { Command } from 'commander';
import { z } from 'zod';
import { CommandFailed, invocation, withStackFlags, type Invocation, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { exitCodeOf, table } from './output.ts';

type What = 'cancel' | 'retry';

interface ChangeFlags extends StackFlags {
  readonly queue?: string;
  readonly lane?: string;
  readonly state?: string;
  readonly yes?: boolean;
  readonly reason?: string;
  readonly idempotencyKey?: string;
}

/** The states of what is chosen where the command does not say. What somebody cancelled is not taken up again unasked. */
const USUAL_STATES: Readonly<Record<What, string>> = {
  cancel: 'pending,assigned,running',
  retry: 'failed,blocked',
};
/** Asked for at once. */
const AT_ONCE = 8;
/** A word about progress after so many. */
const TELL_EVERY = 200;
/** Shown of what would be changed, and of what was refused. */
const SHOWN = 10;

const changedSchema = z.object({ taskId: z.string(), seq: z.number(), state: z.string() });
type Changed = z.infer<typeof changedSchema>;
const pageSchema = z.object({
  tasks: z.array(z.object({ taskId: z.string(), state: z.string(), title: z.string().nullish() })),
  next: z.string().nullish(),
});
type Chosen = z.infer<typeof pageSchema>['tasks'][number];

const usage = (message: string): Fault => new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });

/** All that are chosen, in the order of the list. */
const choose = async ({ api }: Invocation, what: What, flags: ChangeFlags): Promise<readonly Chosen[]> => {
  const found: Chosen[] = [];
  const query = new URLSearchParams({ limit: '100', state: flags.state ?? USUAL_STATES[what] });
  for (const name of ['queue', 'lane'] as const) if (flags[name] !== undefined) query.set(name, flags[name]);
  for (;;) {
    const page = await api.call({ path: `/api/v1/tasks?${query.toString()}` }, pageSchema);
    found.push(...page.tasks);
    if (typeof page.next !== 'string') return found;
    query.set('cursor', page.next);
  }
};

interface OneChange {
  readonly what: What;
  readonly taskId: string;
  readonly reason?: string | undefined;
  readonly key?: string | undefined;
}

const changeOne = ({ api }: Invocation, { what, taskId, reason, key }: OneChange): Promise<Changed> =>
  api.call(
    {
      method: 'POST',
      path: `/api/v1/tasks/${encodeURIComponent(taskId)}/${what}`,
      body: reason === undefined ? {} : { reason },
      idempotencyKey: key,
    },
    changedSchema,
  );

interface Refused {
  readonly taskId: string;
  readonly code: string;
  readonly message: string;
}

/** Changes them a few at a time, until the signal aborts. What cannot be reached ends it: rejects, after telling how far it came. */
const changeAll = async (
  call: Invocation,
  what: What,
  taskIds: readonly string[],
  flags: ChangeFlags,
): Promise<{ readonly changed: readonly Changed[]; readonly refused: readonly Refused[] }> => {
  const { signal, terminal } = call.context;
  const changed: Changed[] = [];
  const refused: Refused[] = [];
  const waiting = taskIds.values();
  const failure: { fault?: Fault } = {};
  const work = async (): Promise<void> => {
    for (const taskId of waiting) {
      if (signal.aborted || failure.fault !== undefined) return;
      const key = flags.idempotencyKey && `${flags.idempotencyKey}.${taskId}`;
      try {
        changed.push(await changeOne(call, { what, taskId, reason: flags.reason, key }));
      } catch (error) {
        const fault = toFault(error);
        if (exitCodeOf(fault) === 3) failure.fault = fault;
        else refused.push({ taskId, code: fault.code, message: fault.message });
      }
      const done = changed.length + refused.length;
      if (done % TELL_EVERY === 0) terminal.note(`${done} of ${taskIds.length}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const isWhole = changed.length + refused.length === taskIds.length;
  if (!isWhole) terminal.note(`stopped: ${changed.length} of ${taskIds.length} tasks are done`);
  if (failure.fault !== undefined) throw failure.fault;
  return { changed, refused };
};

const isChoice = ({ queue, lane, state }: ChangeFlags): boolean =>
  queue !== undefined || lane !== undefined || state !== undefined;

/** What would be done, and how to do it. */
const showChoice = ({ context, isJson }: Invocation, what: What, chosen: readonly Chosen[]): void => {
  const { terminal } = context;
  const taskIds = chosen.map(({ taskId }) => taskId);
  if (isJson) return terminal.out(JSON.stringify({ chosen: taskIds, done: false }));
  const rows = chosen.slice(0, SHOWN).map(({ taskId, state, title }) => [taskId, state, title ?? '']);
  if (rows.length > 0) terminal.out(table(['TASK', 'STATE', 'TITLE'], rows));
  if (chosen.length > SHOWN) terminal.out(`and ${chosen.length - SHOWN} more`);
  const tasks = chosen.length === 1 ? '1 task' : `${chosen.length} tasks`;
  terminal.note(
    chosen.length === 0 ? 'there is no such task' : `nothing was done; to ${what} ${tasks}, add --yes`,
  );
};

const several = async (call: Invocation, what: What, taskIds: readonly string[], flags: ChangeFlags) => {
  const { terminal } = call.context;
  const { changed, refused } = await changeAll(call, what, taskIds, flags);
  if (call.isJson) terminal.out(JSON.stringify({ changed, refused }));
  else {
    const states = new Map<string, number>();
    for (const { state } of changed) states.set(state, (states.get(state) ?? 0) + 1);
    for (const [state, count] of states) terminal.out(`${count} ${count === 1 ? 'is' : 'are'} ${state}`);
    for (const { taskId, code, message } of refused.slice(0, SHOWN))
      terminal.note(`${taskId} ${code}: ${message}`);
    if (refused.length > 0) terminal.note(`${refused.length} of ${taskIds.length} were refused`);
  }
  if (changed.length < taskIds.length) throw new CommandFailed();
};

const change = async (
  context: CliContext,
  what: What,
  taskIds: readonly string[],
  flags: ChangeFlags,
): Promise<void> => {
  const isNamed = taskIds.length > 0;
  if (isNamed === isChoice(flags))
    throw usage(
      isNamed
        ? 'name tasks, or choose them by --queue, --lane and --state: not both'
        : `which tasks? name them, or choose them: fleetlog task ${what} --queue fix --yes`,
    );
  const call = await invocation(context, flags);
  const [only] = taskIds;
  if (only !== undefined && taskIds.length === 1) {
    const { reason, idempotencyKey: key } = flags;
    const answer = await changeOne(call, { what, taskId: only, reason, key });
    return context.terminal.out(call.isJson ? JSON.stringify(answer) : `${answer.taskId} is ${answer.state}`);
  }
  if (isNamed) return several(call, what, [...new Set(taskIds)], flags);
  const chosen = await choose(call, what, flags);
  if (flags.yes !== true || chosen.length === 0) return showChoice(call, what, chosen);
  return several(
    call,
    what,
    chosen.map(({ taskId }) => taskId),
    flags,
  );
};

const withChoice = (command: Command, what: What): Command =>
  withStackFlags(command)
    .argument('[tasks...]')
    .option('--queue <name>', 'all of this queue')
    .option('--lane <name>', 'all of this lane')
    .option('--state <names>', `all in these states, separated by commas; default: ${USUAL_STATES[what]}`)
    .option('--yes', 'do it to all that were chosen so; without it they are shown');

/** Registers the commands under `task`. */
export const registerTaskChangeCommands = (task: Command, context: CliContext): void => {
  withChoice(task.command('cancel'), 'cancel')
    .description('Cancel tasks and the runs that do them; one that has ended stays as it is')
    .option('--reason <text>', 'why, for the record')
    .action((taskIds: string[], flags: ChangeFlags) => change(context, 'cancel', taskIds, flags));
  withChoice(task.command('retry'), 'retry')
    .description('Let tasks that failed, are blocked or were cancelled wait for a further attempt')
    .option('--idempotency-key <key>', 'the same key retries once, however often it is sent')
    .addHelpText(
      'after',
      '\nExamples:\n  fleetlog task retry tsk_01…\n  fleetlog task retry --queue fix          # shows what failed or is blocked there\n  fleetlog task retry --queue fix --yes    # lets all of it wait again',
    )
    .action((taskIds: string[], flags: ChangeFlags) => change(context, 'retry', taskIds, flags));
};
