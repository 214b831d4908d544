// Hosts that are not heard of any more: a presence that expires takes its host offline, by a transition. The expiry arrives as a message;
// a sweep over the summaries is there for those that no watch has told of (the service was away). Losing nothing twice is up to the rules.
import { handleOnSight } from '#libs/commands/handle-on-sight.ts';
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import { InvariantBroken } from '#libs/kernel/invariant.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { parseJson } from '#streams/entry.ts';
import { hostPresenceKey, hostViewSchema } from '#streams/host-views.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { HostLog } from './host-log.ts';

interface Parts {
  readonly hostLog: HostLog;
  readonly presence: KeyValue;
  /** Bucket `hosts`. */
  readonly hosts: KeyValue;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly onTrouble: (host: string, fault: Fault) => void;
}

interface Place {
  readonly boundary: Boundary;
  readonly host: string;
}

const parseKey = (key: string): Place | undefined => {
  const [tenant, project, kind, host, ...rest] = key.split('.');
  if (tenant === undefined || project === undefined || host === undefined) return undefined;
  return kind === 'host' && rest.length === 0 ? { boundary: { tenant, project }, host } : undefined;
};

const aliveSchema = hostViewSchema.pick({
  tenant: true,
  project: true,
  host: true,
  state: true,
  bootId: true,
});

export interface LostHosts {
  /** Takes hosts offline as their presence expires, until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /** Looks at all summaries now and then. */
  sweep(everyMs: number, signal: AbortSignal): Promise<void>;
}

export const createLostHosts = ({ hostLog, presence, hosts, clock, ids, onTrouble }: Parts): LostHosts => {
  const lose = async ({ boundary, host }: Place): Promise<void> => {
    const reason = 'not heard of within its time';
    await handleOnSight(hostLog, {
      target: { boundary, host, actor: 'service:hosts' },
      options: { id: `${host}.lose.${ids.ulid()}` },
      // The record first: a process that has announced itself since the silence is not the one that is silent.
      look: async (state) => {
        if (state === undefined || state.bootId === null) return undefined;
        if ((await presence.get(hostPresenceKey(boundary, host))) !== undefined) return undefined;
        return { kind: 'lose' as const, host, bootId: state.bootId, reason };
      },
    });
  };
  const tryToLose = async (place: Place): Promise<void> => {
    try {
      await lose(place);
    } catch (error) {
      if (error instanceof InvariantBroken) throw error;
      onTrouble(place.host, toFault(error));
    }
  };
  const look = async (): Promise<void> => {
    const keys: string[] = [];
    for await (const key of hosts.keys()) keys.push(key);
    for (const { value } of (await hosts.getMany(keys)).values()) {
      const parsed = aliveSchema.safeParse(parseJson(value));
      if (!parsed.success || parsed.data.bootId === null) continue;
      const { tenant, project, host } = parsed.data;
      await tryToLose({ boundary: { tenant, project }, host });
    }
  };
  return {
    watch: async (signal) => {
      for await (const event of presence.watch({ signal })) {
        if (event.kind !== 'expired' && event.kind !== 'deleted') continue;
        const place = parseKey(event.key);
        if (place !== undefined) await tryToLose(place);
      }
    },
    sweep: async (everyMs, signal) => {
      while (!signal.aborted) {
        await clock.sleep(everyMs, signal);
        if (!signal.aborted) await look();
      }
    },
  };
};
