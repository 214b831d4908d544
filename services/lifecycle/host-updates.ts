// What follows from the update of a host: the agents there whose policies want it are asked to start anew, once they are idle. Who runs
// there is what the host says of itself. Asked on the record of each policy, under an id that follows from the update: once, whoever asks.
import { handleOnSight } from '#libs/commands/handle-on-sight.ts';
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { parseJson } from '#streams/entry.ts';
import { decodeHostEvent } from '#streams/host-codec.ts';
import { hostPresenceKey, hostPresenceSchema } from '#streams/host-views.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { Directory } from './directory.ts';
import { ACTOR, policyKey, type PolicyLog } from './policy-log.ts';
import { UPDATE_IDLE_MS } from './policy-state.policy.ts';

/** That the runners of a host are to be started anew. */
interface HostUpdate {
  readonly boundary: Boundary;
  readonly host: string;
  readonly version: string | null;
  readonly reason: string;
  /** Of its entry. */
  readonly id: string;
}

/** The update of an entry; undefined for any other event of a host. Throws `HOST_UNREADABLE` (never). */
export const decodeHostUpdate = (entry: StoredEntry): HostUpdate | undefined => {
  const reading = decodeHostEvent(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'HOST_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind === 'unknown' || reading.event.type !== 'fleetlog.host.update-requested.v1')
    return undefined;
  const { place, event, envelope } = reading;
  const { host, version, reason } = event;
  return {
    boundary: { tenant: place.tenant, project: place.project },
    host,
    version,
    reason,
    id: envelope.id,
  };
};

interface Parts {
  readonly presence: KeyValue;
  readonly directory: Directory;
  readonly policyLog: PolicyLog;
}

/** Names of policies whose agents are on a host: as it says itself, and as the record said lately. */
const policiesOn = async (
  { presence, directory }: Parts,
  boundary: Boundary,
  host: string,
): Promise<Set<string>> => {
  const entry = await presence.get(hostPresenceKey(boundary, host));
  const seen = entry === undefined ? undefined : hostPresenceSchema.safeParse(parseJson(entry.value)).data;
  return new Set([...(seen?.runners ?? []).map(({ policy }) => policy), ...directory.on(boundary, host)]);
};

export const handleHostUpdate =
  (parts: Parts) =>
  async ({ boundary, host, version, reason, id }: HostUpdate): Promise<Handled> => {
    const to = version === null ? '' : ` to ${version}`;
    const command = {
      kind: 'restart',
      cause: 'restart-on-update',
      idleMs: UPDATE_IDLE_MS,
      reason: `${host} was updated${to}: ${reason}`.slice(0, 500),
    } as const;
    for (const policy of await policiesOn(parts, boundary, host)) {
      const target = { boundary, policy, actor: ACTOR, causation: id };
      await handleOnSight(parts.policyLog, {
        target,
        options: { id: `${policyKey(target)}.${id}.update` },
        // What has been started elsewhere meanwhile has nothing to do with this host.
        look: async (state) =>
          state?.config.restartOnUpdate === true && state.spawn?.host === host ? command : undefined,
      });
    }
    return ok;
  };
