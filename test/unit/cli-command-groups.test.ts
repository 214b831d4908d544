// A command line loads only the file that its first word is listed for: the list must say what the files bring.
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { OWN_COMMANDS, runFleetlog } from '#services/command-line.ts';
import { CLI_COMMANDS } from '#services/cli/command-groups.ts';
import type { CliContext } from '#services/cli/context.ts';
import { recordedTerminal } from '#test/support/recorded-terminal.ts';

const run = async (...argv: readonly string[]): Promise<{ code: number; out: string; note: string }> => {
  const { terminal, out, note } = recordedTerminal();
  const code = await runFleetlog(argv, {
    terminal,
    environment: {},
    workingDirectory: '/nowhere',
    signal: new AbortController().signal,
    readStandardInput: async () => undefined,
  });
  return { code, out: out.join('\n'), note: note.join('\n') };
};

describe('the commands of a command line', () => {
  test('each group is listed under exactly the names of the commands that it brings', async () => {
    for (const group of [...OWN_COMMANDS, ...CLI_COMMANDS]) {
      const program = new Command();
      // What a command needs of its surroundings it asks for when it runs.
      (await group.load())(program, {} as CliContext);
      const names = program.commands.flatMap((command) => [command.name(), ...command.aliases()]);
      expect(names.toSorted(), group.names.join()).toEqual(group.names.toSorted());
    }
  });

  test('no name is listed twice', () => {
    const names = [...OWN_COMMANDS, ...CLI_COMMANDS].flatMap((group) => group.names);
    expect(new Set(names).size).toBe(names.length);
  });

  test('a misspelt command is told the near one, and the help names all', async () => {
    expect(await run('aprovals')).toMatchObject({
      code: 2,
      note: expect.stringContaining('(Did you mean approvals?)') as string,
    });
    const help = await run('--help');
    expect(help.code).toBe(0);
    for (const { names } of [...OWN_COMMANDS, ...CLI_COMMANDS]) expect(help.out).toContain(`  ${names[0]}`);
  });
});
