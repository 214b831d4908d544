// fleetlog runner: the runner of one agent in the foreground, beside a stack on this machine, until Ctrl-C. What it needs to know follows from
// the data directory of the stack; every other setting is a variable, as for `node services/main.mjs runner`, which is for other machines.
import { aborted } from '#libs/service/aborted.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { bufferBase } from '#libs/outbox/file-names.ts';
import { makeFolder } from '#libs/outbox/make-folder.ts';
import type { StartedProcess } from '#libs/service/start-process.ts';
import { keepYoungGenerationSmall } from '#libs/system/young-generation.ts';
import { runnerInboxPrefix } from '#streams/accounts.ts';
import { nameSchema } from '#streams/ids.ts';
import { runnerUser } from '#streams/runner-user.ts';
import type { Command } from 'commander';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { dataDirectory, findConnection } from './cli/connection.ts';
import type { CliContext } from './cli/context.ts';
import { runnerFolder } from './host/runner-folder.ts';
import { openLogFile, type LogFile } from './log-file.ts';
import { runnerFile } from './stack-secrets.ts';

interface RunnerFlags {
  readonly data?: string;
  readonly workspaces?: string;
  readonly json?: boolean;
}

const invalid = (message: string): Fault => new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });

const agentOf = (text: string): string => {
  const agent = nameSchema.safeParse(text);
  if (agent.success) return agent.data;
  throw invalid(`agent ${JSON.stringify(text)}: expected 1 to 64 of a-z 0-9 _ - and a letter or digit first`);
};

/** The password that `fleetlog agent add` has made. */
const passwordOf = (dataDir: string, agent: string): string => {
  const path = join(dataDir, 'secrets', runnerFile(agent));
  if (existsSync(path)) return readFileSync(path, 'utf8').trim();
  throw invalid(
    `there is no agent ${agent} in this stack (${path} is not there): fleetlog agent add ${agent}`,
  );
};

/** Where the agent has worked on this machine before, so that it goes on there; and no two runners of it write what is not each other's. */
const folderOf = (dataDir: string, name: string, agent: string): string => {
  const places = [join(dataDir, 'runner'), runnerFolder(join(dataDir, 'host'), agent).dataDir];
  const known = places.find((place) => existsSync(`${bufferBase(place, name)}.sqlite`));
  return known ?? join(dataDir, 'runners', agent);
};

interface Places {
  readonly runnerDataDir: string;
  readonly runnerWorkspaceRoot: string;
}

interface Here extends Places {
  readonly runner: StartedProcess;
  readonly log: LogFile;
  readonly logPath: string;
}

const startHere = async (context: CliContext, agent: string, flags: RunnerFlags): Promise<Here> => {
  const { environment, workingDirectory, terminal } = context;
  const dataDir = dataDirectory(flags.data, environment, workingDirectory);
  const { natsUrl, tenant, project } = await findConnection(flags, environment, workingDirectory);
  const password = passwordOf(dataDir, agent);
  const places: Places = {
    runnerDataDir: folderOf(dataDir, `${tenant}/${project}/${agent}`, agent),
    runnerWorkspaceRoot: resolve(workingDirectory, flags.workspaces ?? join(dataDir, 'workspaces', agent)),
  };
  makeFolder(places.runnerDataDir);
  const logPath = join(places.runnerDataDir, 'runner.log');
  const log = openLogFile(logPath, (line) => terminal.note(line));
  const access = {
    servers: natsUrl.split(','),
    name: `runner-${agent}`,
    user: runnerUser(agent),
    password,
    inboxPrefix: runnerInboxPrefix(agent),
  };
  keepYoungGenerationSmall();
  // The runner is loaded for this command only.
  const { startBeside } = await import('./stack-parts.ts');
  const settings = { runnerAgent: agent, runnerTenant: tenant, runnerProject: project, ...places };
  const runner = await startBeside(
    { environment, logSink: log, onWarning: (line) => terminal.note(line) },
    ['runner'],
    access,
    settings,
  );
  return { runner, log, logPath, ...places };
};

const announce = (
  { terminal }: CliContext,
  agent: string,
  { runner, logPath, runnerDataDir, runnerWorkspaceRoot }: Here,
  isJson: boolean,
): void => {
  const places = {
    health: `${runner.healthUrl}/readyz`,
    data: runnerDataDir,
    log: logPath,
    workspaces: runnerWorkspaceRoot,
  };
  if (isJson) return terminal.out(JSON.stringify({ ready: true, agent, ...places }));
  terminal.out(`The runner of ${agent} is up; Ctrl-C drains and ends it.`);
  for (const [name, place] of Object.entries(places)) terminal.out(`  ${name.padEnd(11)} ${place}`);
  terminal.out('Try, in another terminal:');
  terminal.out(`  ./fleetlog run start --agent ${agent} "…" --watch`);
};

const run = async (context: CliContext, word: string, flags: RunnerFlags): Promise<void> => {
  const { terminal, signal } = context;
  const agent = agentOf(word);
  const here = await startHere(context, agent, flags);
  const { runner, log } = here;
  try {
    announce(context, agent, here, flags.json === true);
    await Promise.race([runner.failed.then((error) => Promise.reject(error)), aborted(signal)]);
  } finally {
    terminal.note('draining; Ctrl-C again ends at once');
    const { late } = await runner.drain();
    for (const name of late) terminal.note(`did not stop in time: ${name}`);
    log.close();
  }
};

/** Registers the command. */
export const registerRunnerCommand = (program: Command, context: CliContext): void => {
  program
    .command('runner')
    .description('Run an agent of this stack here, until Ctrl-C')
    .argument('<agent>', 'made by: fleetlog agent add <agent>')
    .option('--data <dir>', 'data directory of a stack started here (default: $FLEETLOG_DATA or ./data)')
    .option('--workspaces <dir>', 'where it works (default: workspaces/<agent> in the data directory)')
    .option('--json', 'print one JSON line when it is up')
    .addHelpText(
      'after',
      '\nEvery setting of a runner is a variable as well (FLEETLOG_RUNNER_PROGRAM, FLEETLOG_RUNNER_CONCURRENCY, …): node services/main.mjs --help\n' +
        'lists them, and that is also how a runner is started on another machine. Agents that a policy wants are started by a host, not by hand.\n' +
        '\nExample:\n  fleetlog agent add reviewer-1\n  FLEETLOG_RUNNER_PROGRAM=/usr/local/bin/my-agent fleetlog runner reviewer-1',
    )
    .action((agent: string, flags: RunnerFlags) => run(context, agent, flags));
};
