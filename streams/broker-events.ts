// What the broker itself tells the control plane: a runner's connection was made or has ended. Each deployment's accounts hand it over from
// the broker's own account (accounts.ts). Plain messages: nothing keeps them, and who listens later has missed them.
import { z } from 'zod';
import { agentOfRunnerUser } from './runner-user.ts';

/** Where the broker says it, in its own account; and under which name the control plane hears it. */
export const RUNNER_CONNECTIONS = {
  made: { toldAs: 'CONNECT', heardAt: 'fleet-broker.runners.connect' },
  ended: { toldAs: 'DISCONNECT', heardAt: 'fleet-broker.runners.disconnect' },
} as const;

const advisorySchema = z.object({ client: z.object({ user: z.string().optional() }) });

/** The agent whose runner it is about; undefined: it is about nobody's, or cannot be read. */
export const agentOfAdvisory = (value: unknown): string | undefined => {
  const { data } = advisorySchema.safeParse(value);
  return agentOfRunnerUser(data?.client.user);
};
