// fleetlog conformance: whether a program keeps the contract of the provider `exec`. Starts it a few times in a folder of its own, as a runner
// would; needs no stack.
import { duration } from '#libs/config/fields.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { Command } from 'commander';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CommandFailed } from './cli/command.ts';
import type { CliContext } from './cli/context.ts';
import { table } from './cli/output.ts';
import { judgeTrials } from './runner/providers/exec/conformance.policy.ts';
import { runTrials } from './runner/providers/exec/conformance.ts';

interface ConformanceFlags {
  readonly prompt: string;
  readonly timeout: string;
  readonly json?: boolean;
}

const timeoutOf = (text: string): number => {
  const parsed = duration({ min: 100 }).safeParse(text);
  if (parsed.success) return parsed.data;
  throw new Fault({
    code: 'ARGUMENT_INVALID',
    retry: 'never',
    message: `--timeout ${JSON.stringify(text)}: expected a time such as 30s or 5m`,
  });
};

/** A program that is named by its place is looked for from here; it is started in another folder. */
const placed = (
  { workingDirectory }: CliContext,
  [command = '', ...parameters]: readonly string[],
): readonly string[] => [command.includes('/') ? resolve(workingDirectory, command) : command, ...parameters];

const test = async (
  context: CliContext,
  words: readonly string[],
  flags: ConformanceFlags,
): Promise<void> => {
  const { clock, ids, environment, terminal } = context;
  const program = placed(context, words);
  const timeoutMs = timeoutOf(flags.timeout);
  const workspace = await realpath(await mkdtemp(join(tmpdir(), 'fleetlog-conformance-')));
  try {
    const { prompt } = flags;
    const id = `conformance-${ids.ulid()}`;
    const verdicts = judgeTrials(
      await runTrials({ program, prompt, workspace, timeoutMs, clock, environment, id }),
    );
    const count = (outcome: string): number =>
      verdicts.filter((verdict) => verdict.outcome === outcome).length;
    const tally = { passed: count('pass'), failed: count('fail'), skipped: count('skip') };
    if (flags.json === true) terminal.out(JSON.stringify({ program, ...tally, rules: verdicts }));
    else {
      const rows = verdicts.map(({ id: rule, means, outcome, detail }) => [
        outcome,
        rule,
        detail === '' ? means : detail,
      ]);
      terminal.out(table(['', 'RULE', ''], rows));
      terminal.note(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
    }
    if (tally.failed > 0) throw new CommandFailed();
  } finally {
    await rm(workspace, { recursive: true, force: true });
  }
};

/** Registers the command. */
export const registerConformanceCommand = (program: Command, context: CliContext): void => {
  program
    .command('conformance')
    .description('Whether a program keeps the contract of the provider exec; exit code 1 if it breaks a rule')
    .argument('<program...>', 'the program and its arguments, behind --')
    .option('--prompt <text>', 'what it is asked; choose something that it can do quickly', 'Say hello.')
    .option('--timeout <time>', 'how long one trial may take', '60s')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      '\nThe program is started three times in an empty folder: with the prompt, with the largest prompt there is, and once to be ended with\n' +
        'SIGTERM. A rule that the trials say nothing about (no tool was used, …) is skipped. Files among the arguments\n' +
        'must be absolute paths. The contract: services/runner/providers/exec/README.md\n' +
        '\nExample:\n  fleetlog conformance --prompt "List the files." -- ./my-agent --fast',
    )
    .action((words: string[], flags: ConformanceFlags) => test(context, words, flags));
};
