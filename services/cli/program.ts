// The command `fleetlog`: every command in one program, one way to print errors and to end.
import { Command, CommanderError } from 'commander';
import { CommandFailed } from './command.ts';
import { registrationsFor, type CommandGroup, type Registration } from './command-groups.ts';
import type { CliContext } from './context.ts';
import { printError, type ExitCode } from './output.ts';

const isJsonAsked = (argv: readonly string[]): boolean => argv.includes('--json');

const build = (
  argv: readonly string[],
  context: CliContext,
  registrations: readonly Registration[],
): Command => {
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
  for (const register of registrations) register(program, context);
  return program;
};

/**
 * Runs one command line (without the program's name), with the commands that other parts of the product bring (up, service, secrets).
 * Resolves with the exit code; everything has been printed by then.
 */
export const runCli = async (
  argv: readonly string[],
  context: CliContext,
  more: readonly CommandGroup[] = [],
): Promise<ExitCode> => {
  try {
    const registrations = await registrationsFor(argv, context, more);
    await build(argv, context, registrations).parseAsync([...argv], { from: 'user' });
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
