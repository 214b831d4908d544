// Has running servers take up their configuration files anew. Needs a connection of a user of the system account.
import { Fault } from '#libs/kernel/fault.ts';
import type { NatsConnectionHandle } from './connect.ts';
import { thrownFault } from './errors.ts';

/** How long servers of a cluster may take to say that they are there. */
const ROLL_CALL_MS = 2000;
/** How long one may take to read its files: a hundred thousand permissions are some seconds. */
const RELOAD_MS = 60_000;

interface ServerWord {
  readonly server?: { readonly id?: string; readonly name?: string };
  readonly error?: { readonly description?: string };
}

const refused = (name: string, why: string): Fault =>
  new Fault({
    code: 'BROKER_RELOAD_FAILED',
    retry: 'later',
    message: `the broker ${name} has not taken up its configuration: ${why}`,
  });

/** Asks every server. Faults: `BROKER_RELOAD_FAILED` (later: one refuses its files), `REQUEST_UNAVAILABLE` (later). */
export const reloadServers = async ({ nc }: NatsConnectionHandle): Promise<void> => {
  try {
    const names = new Map<string, string>();
    const answers = await nc.requestMany('$SYS.REQ.SERVER.PING', '', {
      strategy: 'stall',
      maxWait: ROLL_CALL_MS,
    });
    for await (const message of answers) {
      const { server } = message.json<ServerWord>();
      if (server?.id !== undefined) names.set(server.id, server.name ?? server.id);
    }
    if (names.size === 0) throw refused('', 'no server answers the system account');
    for (const [id, name] of names) {
      const answer = await nc.request(`$SYS.REQ.SERVER.${id}.RELOAD`, '', { timeout: RELOAD_MS });
      const { error } = answer.json<ServerWord>();
      if (error !== undefined) throw refused(name, error.description ?? 'it does not say why');
    }
  } catch (error) {
    throw error instanceof Fault ? error : thrownFault('REQUEST', 'reload of the broker', error);
  }
};
