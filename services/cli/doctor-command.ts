// fleetlog doctor: what this machine has and lacks, whether or not a stack runs. Changes nothing.
import type { Command } from 'commander';
import { createApiClient } from './api-client.ts';
import type { StackFlags } from './command.ts';
import { CommandFailed } from './command.ts';
import { dataDirectory, findConnection } from './connection.ts';
import type { CliContext } from './context.ts';
import type { DoctorCheck } from './doctor-report.ts';
import { toFault } from '#libs/kernel/fault.ts';
import { z } from 'zod';

const MARK = { pass: 'ok  ', warn: 'warn', fail: 'FAIL' } as const;

const stackCheck = async (context: CliContext, flags: StackFlags): Promise<DoctorCheck> => {
  try {
    const connection = await findConnection(flags, context.environment, context.workingDirectory);
    await createApiClient(connection).call({ path: '/api/v1/runs?limit=1' }, z.unknown());
    return { name: 'stack', status: 'pass', detail: `answers at ${connection.apiUrl}` };
  } catch (error) {
    const { code, message } = toFault(error);
    return { name: 'stack', status: 'warn', detail: `${code}: ${message}` };
  }
};

const doctor = async (context: CliContext, flags: StackFlags): Promise<void> => {
  const report = await context.diagnose(
    dataDirectory(flags.data, context.environment, context.workingDirectory),
  );
  const checks = [...report.checks, await stackCheck(context, flags)];
  if (flags.json === true) context.terminal.out(JSON.stringify({ ...report, checks }));
  else
    for (const { name, status, detail, fix } of checks) {
      context.terminal.out(`${MARK[status]}  ${name}: ${detail}`);
      if (fix !== undefined) context.terminal.out(`      → ${fix}`);
    }
  if (!report.isHealthy) throw new CommandFailed();
};

/** Registers the command. */
export const registerDoctorCommand = (program: Command, context: CliContext): void => {
  program
    .command('doctor')
    .description('Check this machine: Node, the broker program, disk, ports, and the running stack')
    .option('--data <dir>', 'data directory (default: $FLEETLOG_DATA or ./data)')
    .option('--json', 'print JSON')
    .action((flags: StackFlags) => doctor(context, flags));
};
