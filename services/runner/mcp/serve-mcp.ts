// The program of `fleetlog mcp`: the tools on standard input and output, for the turn that its environment names. Ends with its input.
import { StdioServerTransport } from '@modelcontextprotocol/server/stdio';
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { CONTROL_VARIABLE, TOKEN_VARIABLE } from '#services/runner/control/control-variables.ts';
import { createLocalClient } from '#libs/local-http/local-client.ts';
import { createMcpServer } from './mcp-server.ts';

export interface McpSurroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly version: string;
}

/** Resolves when whoever uses the tools has gone. Faults: `CONTROL_MISSING` (never: this is no turn of a runner). */
export const serveMcp = async ({ environment, clock, ids, version }: McpSurroundings): Promise<void> => {
  const address = environment[CONTROL_VARIABLE];
  const token = environment[TOKEN_VARIABLE];
  if (address === undefined || token === undefined)
    throw new Fault({
      code: 'CONTROL_MISSING',
      retry: 'never',
      message: `${CONTROL_VARIABLE} and ${TOKEN_VARIABLE} are not set: fleetlog mcp works in a turn of a runner, which sets them`,
    });
  const server = createMcpServer({ client: createLocalClient({ address, token }, clock), ids, version });
  const gone = Promise.withResolvers<void>();
  process.stdin.once('end', () => gone.resolve());
  process.stdin.once('close', () => gone.resolve());
  await server.connect(new StdioServerTransport());
  await gone.promise;
  await server.close();
};
