// Follows one run over the gateway's live stream until it has ended, over broken connections (services/client).
import { Fault, toFault } from '#libs/kernel/fault.ts';
import { createClient } from '#services/client/client.ts';
import type { ApiEvent } from '#services/client/api-stream.ts';
import type { Connection } from './connection.ts';
import type { CliContext } from './context.ts';

export interface RunFeed {
  readonly connection: Connection;
  readonly runId: string;
  readonly context: Pick<CliContext, 'clock' | 'signal'>;
  /** Called in order, once for each event but the end. */
  onMessage(event: ApiEvent): Promise<void>;
}

/** Resolves when the run has ended and everything was shown, or when the signal aborts. Faults: the gateway's refusal, `API_UNREACHABLE` (later). */
export const followRun = async (feed: RunFeed): Promise<void> => {
  const { connection, runId, context } = feed;
  const { clock, signal } = context;
  const client = createClient({ url: connection.apiUrl, token: connection.apiToken, clock });
  try {
    for await (const event of client.stream('streamRun', { path: { id: runId }, signal }))
      await feed.onMessage(event);
  } catch (error) {
    const { code } = toFault(error);
    if (code !== 'API_UNREACHABLE') throw error;
    throw new Fault({
      code,
      retry: 'later',
      message: `the stream of ${runId} broke off and could not be taken up again; the run goes on: fleetlog run show ${runId}`,
      cause: error,
    });
  }
};
