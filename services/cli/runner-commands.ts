// fleetlog runners: which runners are alive. Read from the gateway.
import { presenceSchema } from '#streams/buckets.ts';
import type { Command } from 'commander';
import { z } from 'zod';
import { invocation, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { ago, table } from './output.ts';

const runnersSchema = z.object({ agents: z.array(z.string()), runners: z.array(presenceSchema) });

const listRunners = async (context: CliContext, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const page = await call.api.call({ path: '/api/v1/runners' }, runnersSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const now = context.clock.now();
  const rows = page.runners.map((runner) => [
    runner.agent,
    runner.runnerId,
    runner.providers.join(','),
    runner.version,
    `${ago(runner.seenAt, now)} ago`,
    String(runner.buffered),
  ]);
  context.terminal.out(table(['AGENT', 'RUNNER', 'PROVIDERS', 'VERSION', 'SEEN', 'BUFFERED'], rows));
  if (rows.length === 0) context.terminal.note('no runner is alive');
};

/** Registers the command. */
export const registerRunnerCommands = (program: Command, context: CliContext): void => {
  withStackFlags(program.command('runners'))
    .description('Runners that are alive')
    .action((flags: StackFlags) => listRunners(context, flags));
};
