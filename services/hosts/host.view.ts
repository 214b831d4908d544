// The summary of a host as a fold of its transitions (bucket `hosts`). Pure and total over every released event. Nothing is decided
// from it. Times are those of the events, so a rebuild gives the same values.
import type { HostView } from '#streams/host-views.ts';
import type { HostEvent } from '#streams/host.ts';
import type { Boundary } from '#streams/subjects.ts';
import { factsOf } from './host-state.policy.ts';

/** The value of the bucket without its stamp. */
export type HostSummary = Omit<HostView, 'seq'>;

/** An event and whose it is. */
export interface PlacedHostEvent {
  readonly boundary: Boundary;
  readonly event: HostEvent;
}

type Registered = Extract<HostEvent, { readonly type: 'fleetlog.host.registered.v1' }>;
type Change = Exclude<HostEvent, Registered>;
type ChangeOf<Type extends Change['type']> = Extract<Change, { readonly type: Type }>;
type Changed = Partial<HostSummary> & { readonly updatedAt: number };

const first = (event: Registered, { tenant, project }: Boundary): HostSummary => ({
  tenant,
  project,
  host: event.host,
  state: 'offline',
  ...factsOf(event),
  journalId: event.journalId,
  bootId: null,
  isDraining: false,
  reason: null,
  onlineAt: null,
  offlineAt: null,
  updateRequestedAt: null,
  registeredAt: event.registeredAt,
  updatedAt: event.registeredAt,
});

/** What an event changes; each says when it happened. */
const CHANGE: {
  readonly [Type in Change['type']]: (view: HostSummary, event: ChangeOf<Type>) => Changed;
} = {
  'fleetlog.host.online.v1': (view, { bootId, onlineAt }) => ({
    state: view.isDraining ? 'draining' : 'online',
    bootId,
    reason: view.isDraining ? view.reason : null,
    onlineAt,
    offlineAt: null,
    updatedAt: onlineAt,
  }),
  'fleetlog.host.offline.v1': (view, { reason, offlineAt }) => ({
    state: 'offline',
    bootId: null,
    reason: view.isDraining ? view.reason : reason,
    offlineAt,
    updatedAt: offlineAt,
  }),
  'fleetlog.host.drain-requested.v1': (view, { reason, requestedAt }) => ({
    state: view.state === 'online' ? 'draining' : view.state,
    isDraining: true,
    reason,
    updatedAt: requestedAt,
  }),
  'fleetlog.host.drain-ended.v1': (view, { endedAt }) => ({
    state: view.state === 'draining' ? 'online' : view.state,
    isDraining: false,
    reason: null,
    updatedAt: endedAt,
  }),
  'fleetlog.host.update-requested.v1': (_view, { requestedAt }) => ({
    updateRequestedAt: requestedAt,
    updatedAt: requestedAt,
  }),
  'fleetlog.host.retired.v1': (_view, { reason, retiredAt }) => ({
    state: 'retired',
    bootId: null,
    reason,
    updatedAt: retiredAt,
  }),
};

/** The summary after one more event; undefined while the host was not registered. */
export const foldHost = (
  view: HostSummary | undefined,
  { boundary, event }: PlacedHostEvent,
): HostSummary | undefined => {
  if (view?.state === 'retired') return view;
  if (event.type === 'fleetlog.host.registered.v1')
    return view === undefined
      ? first(event, boundary)
      : { ...view, ...factsOf(event), journalId: event.journalId, updatedAt: event.registeredAt };
  if (view === undefined) return undefined;
  const change = (CHANGE[event.type] as (view: HostSummary, event: Change) => Changed)(view, event);
  return { ...view, ...change, updatedAt: Math.max(view.updatedAt, change.updatedAt) };
};
