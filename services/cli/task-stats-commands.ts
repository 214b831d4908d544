// fleetlog task stats and read: counts of tasks, what wants attention first, and what has been read. All through the gateway.
import { TASK_API } from '#streams/http/tasks.ts';
import type { Command } from 'commander';
import { invocation, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { table, withoutControls } from './output.ts';
import { wholeNumber } from './work-arguments.ts';

const countsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

const stats = async (
  context: CliContext,
  flags: StackFlags & { readonly queue?: string; readonly reader?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const query = new URLSearchParams();
  for (const name of ['queue', 'reader'] as const)
    if (flags[name] !== undefined) query.set(name, flags[name]);
  const path = `/api/v1/commander?${query.toString()}`;
  const snapshot = await call.api.call({ path }, TASK_API.getCommander.answer);
  if (call.isJson) return context.terminal.out(JSON.stringify(snapshot));
  const { total, states, lanes, maxSeq } = snapshot.stats;
  context.terminal.out(`tasks    ${total}, last change at ${maxSeq}`);
  context.terminal.out(`states   ${countsText(states)}`);
  context.terminal.out(`lanes    ${countsText(lanes)}`);
  const rows = snapshot.tasks.map((one) => [
    one.taskId,
    one.state,
    one.attentionState,
    `${one.queue}/${one.lane}`,
    String(one.priority),
    withoutControls(one.title ?? ''),
  ]);
  if (rows.length > 0)
    context.terminal.out(table(['TASK', 'STATE', 'ATTENTION', 'QUEUE', 'PRIORITY', 'TITLE'], rows));
};

const read = async (
  context: CliContext,
  taskId: string,
  flags: StackFlags & { readonly reader?: string; readonly seen?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const path = `/api/v1/tasks/${encodeURIComponent(taskId)}`;
  // Without a version, what is shown now is what was seen.
  const version =
    wholeNumber('--seen', flags.seen) ?? (await call.api.call({ path }, TASK_API.getTask.answer)).seq;
  const body = { reader: flags.reader, version };
  const answer = await call.api.call(
    { method: 'POST', path: `${path}/read`, body },
    TASK_API.readTask.answer,
  );
  if (call.isJson) return context.terminal.out(JSON.stringify(answer));
  context.terminal.out(`${answer.reader} has seen ${taskId} up to ${answer.version}`);
};

/** Registers the commands under `task`. */
export const registerTaskStatsCommands = (task: Command, context: CliContext): void => {
  withStackFlags(task.command('stats'))
    .description('How many tasks in which state and lane, and the 20 that want attention first')
    .option('--queue <name>', 'of this queue; default: of all of them together')
    .option('--reader <name>', 'only tasks that are under way or unread for this reader')
    .action((flags: StackFlags & { queue?: string; reader?: string }) => stats(context, flags));
  withStackFlags(task.command('read'))
    .description('Note that a task was read: what changes after it is unread again')
    .argument('<task>')
    .option('--reader <name>', "who has read it; default: whoever's token it is")
    .option('--seen <version>', 'the sequence that was seen; default: the one that is shown now')
    .action((taskId: string, flags: StackFlags & { reader?: string; seen?: string }) =>
      read(context, taskId, flags),
    );
};
