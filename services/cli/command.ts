// The frame of every command: global flags, finding the stack, opening and closing its ports, and one way to fail.
import type { Command } from 'commander';
import { createApiClient, type ApiClient } from './api-client.ts';
import { findConnection, type Connection } from './connection.ts';
import type { CliContext, FleetPorts } from './context.ts';

/** Flags that every command that talks to a stack takes. */
export interface StackFlags {
  readonly data?: string;
  readonly natsUrl?: string;
  readonly apiUrl?: string;
  readonly json?: boolean;
}

/** Adds the flags of {@link StackFlags}. */
export const withStackFlags = (command: Command): Command =>
  command
    .option('--data <dir>', 'data directory of a stack started here (default: $FLEETLOG_DATA or ./data)')
    .option(
      '--nats-url <url>',
      'broker to talk to (default: $FLEETLOG_NATS_URL or what the stack left in its data directory)',
    )
    .option('--api-url <url>', 'gateway to talk to (default: $FLEETLOG_API_URL, likewise)')
    .option('--json', 'print JSON, one document (or one line an entry) and nothing else');

/** What an action may use. */
export interface Invocation {
  readonly context: CliContext;
  readonly connection: Connection;
  readonly api: ApiClient;
  readonly isJson: boolean;
}

/** Finds the stack for an action. Faults as {@link findConnection}. */
export const invocation = async (context: CliContext, flags: StackFlags): Promise<Invocation> => {
  const connection = await findConnection(flags, context.environment, context.workingDirectory);
  return { context, connection, api: createApiClient(connection), isJson: flags.json === true };
};

/** Runs `work` with the ports of the stack and closes them, whatever happens. */
export const withFleet = async <T>(
  { context, connection }: Invocation,
  work: (fleet: FleetPorts) => Promise<T>,
): Promise<T> => {
  const fleet = await context.openFleet(connection);
  try {
    return await work(fleet);
  } finally {
    await fleet.close();
  }
};

/** Thrown by a command that has said everything and failed: exit code 1 without a further line. */
export class CommandFailed extends Error {
  constructor() {
    super('the command failed and has said why');
    this.name = 'CommandFailed';
  }
}
