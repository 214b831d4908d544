// fleetlog unstick: what a run or a task waits for, and, with --fix, what is safe to do about it. A task that is under way waits for what
// its run waits for.
import type { Command } from 'commander';
import { COMMAND_API } from '#streams/http/commands.ts';
import { taskViewSchema, type TaskView } from '#streams/task-view.ts';
import { runPath } from './api-client.ts';
import { CommandFailed, invocation, withStackFlags, type Invocation, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { whyItWaits } from './queue-command.ts';

interface UnstickFlags extends StackFlags {
  readonly fix?: boolean;
}

const unstickRun = async (call: Invocation, runId: string, isFix: boolean): Promise<void> => {
  const { terminal } = call.context;
  const answer = await call.api.call(
    isFix
      ? { method: 'POST', path: runPath(runId, 'unstick'), body: {} }
      : { path: runPath(runId, 'waiting') },
    COMMAND_API.explainRun.answer,
  );
  const { words, remedy, fixed, state, waitsFor } = answer;
  if (call.isJson) terminal.out(JSON.stringify(answer));
  else {
    terminal.out(`${runId} is ${state}, waits for: ${waitsFor}`);
    for (const line of words) terminal.out(`  ${line}`);
    if (fixed) terminal.out(`done: ${remedy ?? ''}`);
    else if (remedy !== null) terminal.note(`to ${remedy}: fleetlog unstick ${runId} --fix`);
  }
  // Asked to do something, and there was nothing safe to do.
  if (isFix && !fixed && waitsFor !== 'nothing') throw new CommandFailed();
};

/** A task without a run that could be looked at. */
const explainTask = async (call: Invocation, task: TaskView): Promise<{ readonly isStuck: boolean }> => {
  const { terminal } = call.context;
  const { taskId, state, failure } = task;
  const isPending = state === 'pending';
  const waitsFor = isPending ? ((await whyItWaits(call, task)) ?? 'its turn') : 'nothing';
  if (call.isJson) terminal.out(JSON.stringify({ taskId, state, waitsFor, runId: null }));
  else {
    terminal.out(`${taskId} is ${state}, waits for: ${waitsFor}`);
    if (failure !== null) terminal.out(`  ${failure.kind}: ${failure.message}`);
    if (!isPending && state !== 'completed')
      terminal.note(`to let it wait for a further attempt: fleetlog task retry ${taskId}`);
  }
  return { isStuck: isPending };
};

const unstickTask = async (call: Invocation, taskId: string, isFix: boolean): Promise<void> => {
  const task = await call.api.call({ path: `/api/v1/tasks/${encodeURIComponent(taskId)}` }, taskViewSchema);
  const last = task.attempts.at(-1);
  if (last !== undefined && last.outcome === null) {
    if (!call.isJson)
      call.context.terminal.out(`${taskId} is ${task.state}; its attempt ${last.attempt} is ${last.runId}`);
    return unstickRun(call, last.runId, isFix);
  }
  const { isStuck } = await explainTask(call, task);
  if (!isFix || !isStuck) return;
  call.context.terminal.note('nothing here would make it go sooner: see fleetlog task queues');
  throw new CommandFailed();
};

const unstick = async (context: CliContext, id: string, flags: UnstickFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const isFix = flags.fix === true;
  return id.startsWith('tsk_') ? unstickTask(call, id, isFix) : unstickRun(call, id, isFix);
};

/** Registers `fleetlog unstick`. */
export const registerUnstickCommand = (program: Command, context: CliContext): void => {
  withStackFlags(program.command('unstick'))
    .description('Say what a run or a task waits for, in plain words; with --fix, do what is safe about it')
    .argument('<id>', 'of a run or a task')
    .option('--fix', 'do it; exit code 1 when there is nothing safe to do')
    .addHelpText(
      'after',
      '\nExamples:\n  fleetlog unstick run_01…\n  fleetlog unstick run_01… --fix\n  fleetlog unstick tsk_01…',
    )
    .action((id: string, flags: UnstickFlags) => unstick(context, id, flags));
};
