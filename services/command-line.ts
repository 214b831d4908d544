// Composition root of the command line: the real terminal, clock, environment and broker behind services/cli.
// What only some commands need (services, the broker's program, the connection) is loaded when one of them asks for it.
import { parseTime, systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { systemProcess } from '#libs/system/process-control.ts';
import { readBuildFacts } from '#libs/system/process-facts.ts';
import type { Connection } from './cli/connection.ts';
import type { CommandGroup } from './cli/command-groups.ts';
import type { CliContext, FleetPorts, Terminal } from './cli/context.ts';
import { withoutControls, type ExitCode } from './cli/output.ts';
import { runCli } from './cli/program.ts';
import { frameOf } from './cli/screen.ts';

const terminal: Terminal = {
  // Into a file or a pipe goes what there is, byte for byte.
  out: (line) => void process.stdout.write(`${process.stdout.isTTY ? withoutControls(line) : line}\n`),
  note: (line) => void process.stderr.write(`${process.stderr.isTTY ? withoutControls(line) : line}\n`),
  flushed: () =>
    process.stdout.writableNeedDrain
      ? new Promise((resolve) => process.stdout.once('drain', () => resolve()))
      : Promise.resolve(),
  ...(process.stdout.isTTY && {
    redraw: (text) => {
      // A terminal that does not know its size says 0.
      const size = { rows: process.stdout.rows || 24, columns: process.stdout.columns || 80 };
      process.stdout.write(frameOf(withoutControls(text), size));
    },
  }),
};

const openFleet = async (connection: Connection): Promise<FleetPorts> => {
  const { connectTo, readersOf } = await import('./wire.ts');
  const { natsTopologyDriver } = await import('#libs/nats/topology-driver.ts');
  const handle = await connectTo(
    {
      servers: connection.natsUrl.split(','),
      name: 'fleetlog-cli',
      ...(connection.natsUser !== undefined && { user: connection.natsUser }),
      ...(connection.natsPassword !== undefined && { password: connection.natsPassword }),
      // A person waits: what does not answer at once is told, and the command can be given again.
      waitMs: 1_000,
    },
    systemClock,
  );
  return { ...readersOf(handle), topology: natsTopologyDriver(handle), close: () => handle.close() };
};

const diagnoseMachine: CliContext['diagnose'] = async (dataDir) => {
  const { diagnose } = await import('#libs/broker/doctor.ts');
  const { locateOptionsFrom } = await import('#libs/broker/locate.ts');
  return diagnose({
    locate: locateOptionsFrom({ ...readEnvironment(), FLEETLOG_OFFLINE: '1' }, systemClock),
    dataDir,
    ports: [{ port: 7710, purpose: 'HTTP API' }],
    clock: systemClock,
  });
};

const readStandardInput = async (): Promise<string | undefined> => {
  if (process.stdin.isTTY) return undefined;
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
};

/** Commands beside those of services/cli. */
export const OWN_COMMANDS: readonly CommandGroup[] = [
  { names: ['up'], load: async () => (await import('./up-command.ts')).registerUpCommand },
  { names: ['runner'], load: async () => (await import('./runner-command.ts')).registerRunnerCommand },
  { names: ['secrets'], load: async () => (await import('./secrets-command.ts')).registerSecretsCommand },
  { names: ['token'], load: async () => (await import('./token-command.ts')).registerTokenCommand },
  { names: ['hook', 'mcp'], load: async () => (await import('./turn-commands.ts')).registerTurnCommands },
  {
    names: ['workspace'],
    load: async () => (await import('./workspace-command.ts')).registerWorkspaceCommand,
  },
  {
    names: ['conformance'],
    load: async () => (await import('./conformance-command.ts')).registerConformanceCommand,
  },
];

/** What differs between the terminal of a person and a test. */
export type Surroundings = Pick<
  CliContext,
  'terminal' | 'environment' | 'workingDirectory' | 'signal' | 'readStandardInput'
>;

/** Runs one command line of the product (without the program's name) in the given surroundings. Resolves with its exit code. */
export const runFleetlog = (argv: readonly string[], surroundings: Surroundings): Promise<ExitCode> => {
  const context: CliContext = {
    ...surroundings,
    version: readBuildFacts().version,
    clock: systemClock,
    ids: systemIds,
    parseTime,
    projections: async () => (await import('./projections.ts')).projections,
    openFleet,
    diagnose: diagnoseMachine,
  };
  return runCli(argv, context, OWN_COMMANDS);
};

/** Runs the command line of this process to its end. */
export const runCommandLine = async (): Promise<void> => {
  const interrupted = new AbortController();
  const forget = systemProcess.onSignal((signal) => {
    // A second signal while something drains ends it at once.
    if (interrupted.signal.aborted) systemProcess.exit(signal === 'SIGINT' ? 130 : 143);
    interrupted.abort();
  });
  // A reader that went away (`| head`) is a normal end.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') systemProcess.exit(0);
  });
  process.exitCode = await runFleetlog(process.argv.slice(2), {
    terminal,
    environment: readEnvironment(),
    workingDirectory: process.cwd(),
    signal: interrupted.signal,
    readStandardInput,
  });
  forget();
};
