// fleetlog secrets: the passwords and tokens of a deployment. `init` makes what is missing; `show` prints one when asked to.
import type { CliContext } from './cli/context.ts';
import { dataDirectory } from './cli/connection.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { nameSchema } from '#streams/ids.ts';
import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { secretsOf, shapeOf } from './stack-identity.ts';

interface SecretsFlags {
  readonly dir?: string;
  readonly credentialsDir?: string;
  readonly agents?: string;
  readonly hosts?: string;
  readonly json?: boolean;
}

/** Where the secrets are: `--dir`, beside a secret file that the environment names (in a container), or in the data directory. */
const directory = (context: CliContext, flags: SecretsFlags): string => {
  const named = context.environment['FLEETLOG_NATS_PASSWORD_FILE'];
  if (flags.dir !== undefined) return flags.dir;
  if (named !== undefined) return dirname(named);
  return join(dataDirectory(undefined, context.environment, context.workingDirectory), 'secrets');
};

/** Names separated by commas; empty text: none. */
const namesIn = (text: string): readonly string[] =>
  text.split(',').flatMap((name) => (name.trim() === '' ? [] : [nameSchema.parse(name.trim())]));

const init = async (context: CliContext, flags: SecretsFlags): Promise<void> => {
  const { environment } = context;
  const agents = namesIn(flags.agents ?? environment['FLEETLOG_FLEET_AGENTS'] ?? 'builder-1');
  const hosts = namesIn(flags.hosts ?? environment['FLEETLOG_FLEET_HOSTS'] ?? 'local');
  const boundary = {
    tenant: nameSchema.parse(environment['FLEETLOG_TENANT'] ?? 'local'),
    project: nameSchema.parse(environment['FLEETLOG_PROJECT'] ?? 'main'),
  };
  const dir = directory(context, flags);
  const shape = await shapeOf(dir, {
    agents: agents.map((agent) => ({ ...boundary, agent })),
    hosts: hosts.map((host) => ({ ...boundary, host })),
  });
  await secretsOf({ dir, credentialsDir: flags.credentialsDir ?? dir }, shape);
  context.terminal.out(
    flags.json === true ? JSON.stringify({ dir, agents, hosts }) : `secrets are in ${dir}`,
  );
};

const show = async (context: CliContext, name: string, flags: SecretsFlags): Promise<void> => {
  if (!/^[a-z0-9-]{1,80}$/.test(name))
    throw new Fault({
      code: 'ARGUMENT_INVALID',
      retry: 'never',
      message: 'expected a name such as api-token',
    });
  const path = join(directory(context, flags), name);
  try {
    const secret = (await readFile(path, 'utf8')).trim();
    context.terminal.out(flags.json === true ? JSON.stringify({ name, secret }) : secret);
  } catch (cause) {
    throw new Fault({ code: 'SECRET_UNREADABLE', retry: 'never', message: `${path} cannot be read`, cause });
  }
};

/** Registers the commands. */
export const registerSecretsCommand = (program: Command, context: CliContext): void => {
  const secrets = program.command('secrets').description('Passwords and tokens of a deployment');
  secrets
    .command('init')
    .description('Make what is missing; what is there stays')
    .option('--dir <dir>', 'directory (default: that of the data directory)')
    .option('--credentials-dir <dir>', 'directory of the passwords of runners and hosts (default: the same)')
    .option(
      '--agents <names>',
      'agents that need a password of their own, separated by commas (default: $FLEETLOG_FLEET_AGENTS or builder-1)',
    )
    .option('--hosts <names>', 'the same for hosts (default: $FLEETLOG_FLEET_HOSTS or local)')
    .option('--json', 'print JSON')
    .action((flags: SecretsFlags) => init(context, flags));
  secrets
    .command('show')
    .description('Print one, such as api-token or control-password')
    .argument('<name>')
    .option('--dir <dir>', 'directory')
    .option('--json', 'print JSON')
    .action((name: string, flags: SecretsFlags) => show(context, name, flags));
};
