// What a host is, as folded from its history. Pure; the rules that make the history are in host.decider.ts.
import type { HostEvent, HostFacts } from '#streams/host.ts';

/** A host as folded from its history; undefined before it was registered. */
export interface Host {
  readonly journalId: string;
  readonly facts: HostFacts;
  /** When a process of it said last on record that it is there, or what it is: its presence follows, and may not be there yet. 0: it is offline. */
  readonly saidAt: number;
  /** The process that is heard of; null while none is. */
  readonly bootId: string | null;
  readonly isDraining: boolean;
  readonly isRetired: boolean;
}
export type HostState = Host | undefined;

type Registered = Extract<HostEvent, { readonly type: 'fleetlog.host.registered.v1' }>;
type Change = Exclude<HostEvent, Registered>;
type ChangeOf<Type extends Change['type']> = Extract<Change, { readonly type: Type }>;

const EVOLVE: {
  readonly [Type in Change['type']]: (event: ChangeOf<Type>) => Partial<Host>;
} = {
  'fleetlog.host.online.v1': ({ bootId, onlineAt }) => ({ bootId, saidAt: onlineAt }),
  'fleetlog.host.offline.v1': () => ({ bootId: null, saidAt: 0 }),
  'fleetlog.host.drain-requested.v1': () => ({ isDraining: true }),
  'fleetlog.host.drain-ended.v1': () => ({ isDraining: false }),
  'fleetlog.host.update-requested.v1': () => ({}),
  'fleetlog.host.retired.v1': () => ({ isRetired: true, bootId: null }),
};

/** The facts of an event or an announcement, without what else it holds. */
export const factsOf = ({
  labels,
  capacity,
  providers,
  version,
  contract,
  platform,
}: HostFacts): HostFacts => ({
  labels,
  capacity,
  providers,
  version,
  contract,
  platform,
});

/** The host after one more event. Total over every released event. */
export const evolveHost = (host: HostState, event: HostEvent): HostState => {
  if (host?.isRetired === true) return host;
  if (event.type === 'fleetlog.host.registered.v1') {
    const known = { journalId: event.journalId, facts: factsOf(event), saidAt: event.registeredAt };
    return host === undefined
      ? { ...known, bootId: null, isDraining: false, isRetired: false }
      : { ...host, ...known };
  }
  if (host === undefined) return undefined;
  return { ...host, ...(EVOLVE[event.type] as (event: Change) => Partial<Host>)(event) };
};
