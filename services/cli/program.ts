// The command `fleetlog`: every command in one program, one way to print errors and to end.
import { Command, CommanderError } from 'commander';
import { isTurnCommand, registerAgentCommands } from './agent-commands.ts';
import { registerAlarmCommand } from './alarm-command.ts';
import { registerApprovalCommands } from './approval-commands.ts';
import { CommandFailed } from './command.ts';
import type { CliContext } from './context.ts';
import { registerDoctorCommand } from './doctor-command.ts';
import { printError, type ExitCode } from './output.ts';
import { registerManagedCommands } from './managed-commands.ts';
import { registerHostCommands } from './host-commands.ts';
import { registerMailCommands } from './mail-commands.ts';
import { registerOutboxCommands } from './outbox-commands.ts';
import { registerPolicyCommands } from './policy-commands.ts';
import { registerProjectionCommands } from './projection-commands.ts';
import { registerProvisionCommand } from './provision-command.ts';
import { registerRunCommands } from './run-commands.ts';
import { registerUnstickCommand } from './run-tell-commands.ts';
import { registerRunnerCommands } from './runner-commands.ts';
import { registerSessionCommands } from './session-commands.ts';
import { registerStreamCommands } from './stream-commands.ts';
import { registerTaskCommands } from './task-commands.ts';

/** A command that another part of the product brings (up, service, secrets). */
export type Registration = (program: Command, context: CliContext) => void;

const isJsonAsked = (argv: readonly string[]): boolean => argv.includes('--json');

const build = (argv: readonly string[], context: CliContext, more: readonly Registration[]): Command => {
  const program = new Command('fleetlog')
    .description('An event-sourced control plane for fleets of coding agents')
    .version(context.version)
    // Or the program's own --version would be taken out of: fleetlog host update HOST --version 1.2.3
    .enablePositionalOptions()
    .exitOverride()
    .showHelpAfterError('(add --help for what there is)')
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => context.terminal.out(text.trimEnd()),
      writeErr: (text) => {
        if (!isJsonAsked(argv)) context.terminal.note(text.trimEnd());
      },
    });
  const everything = [
    ...more,
    registerRunCommands,
    registerUnstickCommand,
    registerTaskCommands,
    registerPolicyCommands,
    registerManagedCommands,
    registerSessionCommands,
    registerRunnerCommands,
    registerApprovalCommands,
    registerMailCommands,
    registerHostCommands,
    registerAlarmCommand,
    registerStreamCommands,
    registerProjectionCommands,
    registerOutboxCommands,
    registerProvisionCommand,
    registerDoctorCommand,
  ];
  // Inside a turn an agent speaks for itself, not for a person.
  const all = isTurnCommand(argv, context.environment) ? [registerAgentCommands] : everything;
  for (const register of all) register(program, context);
  return program;
};

/** Runs one command line (without the program's name). Resolves with the exit code; everything has been printed by then. */
export const runCli = async (
  argv: readonly string[],
  context: CliContext,
  more: readonly Registration[] = [],
): Promise<ExitCode> => {
  try {
    await build(argv, context, more).parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommandFailed) return 1;
    if (error instanceof CommanderError) return usageError(error, argv, context);
    if (context.signal.aborted) return 0;
    return printError(context.terminal, error, isJsonAsked(argv));
  }
};

const usageError = (error: CommanderError, argv: readonly string[], context: CliContext): ExitCode => {
  if (error.exitCode === 0) return 0;
  if (isJsonAsked(argv))
    context.terminal.out(
      JSON.stringify({ error: { code: 'ARGUMENT_INVALID', message: error.message, retry: 'never' } }),
    );
  return 2;
};
