// fleetlog up: the command behind `npm start`. Starts the stack, says where everything is, shows a sample run, stays until Ctrl-C.
import { aborted } from '#libs/service/aborted.ts';
import { createApiClient } from './cli/api-client.ts';
import { dataDirectory } from './cli/connection.ts';
import { storageBudget } from './cli/provision-command.ts';
import type { CliContext } from './cli/context.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { makeFolder } from '#libs/outbox/make-folder.ts';
import { nameSchema } from '#streams/ids.ts';
import type { Command } from 'commander';
import { join } from 'node:path';
import { openLogFile } from './log-file.ts';
import { startSampleRun } from './sample-run.ts';
import type { Stack } from './up.ts';

interface UpFlags {
  readonly data?: string;
  readonly port: string;
  readonly agent: string;
  readonly quiet?: boolean;
  readonly sample: boolean;
  readonly relaxed?: boolean;
  readonly storage?: string;
  readonly json?: boolean;
}

const portOf = (text: string): number => {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new Fault({
    code: 'ARGUMENT_INVALID',
    retry: 'never',
    message: `--port ${JSON.stringify(text)}: expected 0 to 65535`,
  });
};

const whereabouts = (
  stack: Stack,
  dataDir: string,
  logFile: string,
): readonly (readonly [string, string])[] => [
  ['HTTP API', stack.connection.apiUrl],
  ['broker', `${stack.broker.url} (monitoring ${stack.broker.monitorUrl})`],
  [
    'health',
    `${stack.healthUrls.control}/readyz, runner ${stack.healthUrls.runner}/readyz, host ${stack.healthUrls.host}/readyz`,
  ],
  ['metrics', `${stack.healthUrls.control}/metrics`],
  ['data', dataDir],
  ['log', logFile],
  ['workspaces', stack.workspaces],
];

const HINTS = [
  './fleetlog run start "add a line about herons to NOTES.md" --watch',
  './fleetlog tail',
  './fleetlog replay --from 10m --json',
  './fleetlog verify',
];

const announce = (
  context: CliContext,
  flags: UpFlags,
  stack: Stack,
  places: readonly (readonly [string, string])[],
): void => {
  const { terminal } = context;
  if (flags.json === true)
    return terminal.out(
      JSON.stringify({ ready: true, ...Object.fromEntries(places), apiUrl: stack.connection.apiUrl }),
    );
  terminal.out('Fleetlog is up.');
  for (const [name, place] of places) terminal.out(`  ${name.padEnd(11)} ${place}`);
  terminal.out('Try, in another terminal:');
  for (const hint of HINTS) terminal.out(`  ${hint}`);
};

const makeDirectory = (path: string): void => {
  try {
    makeFolder(path);
  } catch (cause) {
    throw new Fault({
      code: 'DATA_DIR_UNUSABLE',
      retry: 'never',
      message: `the data directory ${path} cannot be made: ${cause instanceof Error ? cause.message : String(cause)}; choose another with --data`,
      cause,
    });
  }
};

/** Says each line once: control plane, runner and host know the same variables, but for their own. */
const once = (say: (line: string) => void): ((line: string) => void) => {
  const said = new Set<string>();
  return (line) => {
    if (!said.has(line)) say(line);
    said.add(line);
  };
};

const up = async (context: CliContext, flags: UpFlags): Promise<void> => {
  const { terminal, clock, environment } = context;
  const startedAt = clock.monotonicMs();
  const dataDir = dataDirectory(flags.data, environment, context.workingDirectory);
  makeDirectory(dataDir);
  const logFile = join(dataDir, 'fleetlog.log');
  const onTrouble = (line: string): void => terminal.note(line);
  const log = openLogFile(logFile, onTrouble);
  const onProgress = (line: string): void => {
    if (flags.quiet !== true) terminal.note(line);
  };
  // The services and the broker's program are loaded for this command only.
  const { startStack } = await import('./up.ts');
  const stack = await startStack({
    dataDir,
    port: portOf(flags.port),
    agent: nameSchema.parse(flags.agent),
    tenant: environment['FLEETLOG_TENANT'] ?? 'local',
    project: environment['FLEETLOG_PROJECT'] ?? 'main',
    environment,
    storage: storageBudget(flags.storage ?? environment['FLEETLOG_FLEET_STORAGE']),
    sync: flags.relaxed === true ? 'relaxed' : 'always',
    logSink: log,
    onProgress,
    onTrouble,
    onWarning: once(onTrouble),
  });
  try {
    announce(context, flags, stack, whereabouts(stack, dataDir, logFile));
    onProgress(`ready in ${Math.round(clock.monotonicMs() - startedAt)} ms; Ctrl-C drains and ends`);
    await Promise.race([stack.failed, work(context, flags, stack)]);
  } finally {
    onProgress('draining; Ctrl-C again ends at once');
    const late = await stack.stop();
    for (const name of late) terminal.note(`did not stop in time: ${name}`);
    onProgress('stopped; start again and it goes on where it was');
    log.close();
  }
};

const work = async (context: CliContext, flags: UpFlags, stack: Stack): Promise<void> => {
  if (flags.sample && flags.json !== true) {
    const sample = startSampleRun({
      context,
      stack,
      api: createApiClient(stack.connection),
      isQuiet: flags.quiet === true,
    });
    // A sample that fails is worth a line and no more: the stack is up.
    sample.catch((error: unknown) => context.terminal.note(`the sample run failed: ${String(error)}`));
  }
  await aborted(context.signal);
};

/** Registers the command. */
export const registerUpCommand = (program: Command, context: CliContext): void => {
  program
    .command('up')
    .description(
      'Start everything on this machine: broker, services, one runner (this is what "npm start" does)',
    )
    .option('--data <dir>', 'where everything is kept (default: $FLEETLOG_DATA or ./data)')
    .option('--port <n>', 'port of the HTTP API; 0: any free one', '7710')
    .option('--agent <name>', 'agent that the runner acts for', 'builder-1')
    .option('--quiet', 'say where everything is and no more')
    .option('--no-sample', 'start no sample run')
    .option('--storage <size>', 'bytes that streams may grow to in all, e.g. 2GiB; for small disks')
    .option(
      '--relaxed',
      'faster appends; a power cut may lose the last 100 ms (default: what is acknowledged is on disk)',
    )
    .option('--json', 'print one JSON line when ready; no sample run')
    .addHelpText('after', '\nThrough npm:\n  npm start -- --no-sample --port 8000')
    .action((flags: UpFlags) => up(context, flags));
};
