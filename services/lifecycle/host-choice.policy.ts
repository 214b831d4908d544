// Which host runs an agent: one that is heard of, takes new runners, has what the policy asks for and the most room left. Pure.
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { HostChoice } from '#streams/policy-commands.ts';

/** What counts of a host. */
export interface HostFacts {
  readonly host: string;
  readonly isOnline: boolean;
  /** Its process is being stopped. */
  readonly isLeaving: boolean;
  readonly isDraining: boolean;
  readonly labels: readonly string[];
  readonly providers: readonly string[];
  readonly capacity: number;
  /** Runners that it has, and those that it was told to start and has not shown yet. */
  readonly taken: number;
  readonly freeMemoryBytes: number;
}

const none = (code: Extract<HostChoice, { readonly kind: 'none' }>['code'], message: string): HostChoice => ({
  kind: 'none',
  code,
  message,
});

const wish = ({ hostLabels, provider }: PolicyConfig): string =>
  `${hostLabels.length === 0 ? '' : `with the labels ${hostLabels.join(', ')} `}that has the program ${provider}`;

const takes = ({ isOnline, isLeaving, isDraining, capacity, taken }: HostFacts): boolean =>
  isOnline && !isLeaving && !isDraining && taken < capacity;

/** Why a host does not take it now; undefined: it does. */
const obstacle = ({
  host,
  isOnline,
  isLeaving,
  isDraining,
  capacity,
  taken,
}: HostFacts): HostChoice | undefined => {
  if (!isOnline) return none('HOST_OFFLINE', `${host} is not heard of: is its process running?`);
  if (isLeaving) return none('HOST_OFFLINE', `${host} is being stopped; agents go on when it is back`);
  if (isDraining)
    return none(
      'HOST_DRAINING',
      `${host} is drained and takes no new runners; to let it: fleetlog host undrain ${host}`,
    );
  if (taken >= capacity) return none('HOST_FULL', `${host} has all ${capacity} runners that it may have`);
  return undefined;
};

const fits = ({ hostLabels, provider }: PolicyConfig, { labels, providers }: HostFacts): boolean =>
  hostLabels.every((label) => labels.includes(label)) &&
  (providers.length === 0 || providers.includes(provider));

/** The most room first; names decide among equals, so that the choice is the same everywhere. */
const compareRoom = (a: HostFacts, b: HostFacts): number =>
  b.capacity - b.taken - (a.capacity - a.taken) ||
  b.freeMemoryBytes - a.freeMemoryBytes ||
  (a.host < b.host ? -1 : 1);

/** Asked for every start, of every host: it goes through them once. */
const roomiest = (hosts: readonly HostFacts[]): HostFacts | undefined => {
  let best: HostFacts | undefined;
  for (const host of hosts)
    if (takes(host) && (best === undefined || compareRoom(host, best) < 0)) best = host;
  return best;
};

const named = (config: PolicyConfig, host: string, hosts: readonly HostFacts[]): HostChoice => {
  const found = hosts.find((one) => one.host === host);
  if (found === undefined) return none('HOST_UNKNOWN', `no host ${host} has ever announced itself`);
  if (!fits(config, found)) return none('NO_HOST_FITS', `${host} is no host ${wish(config)}`);
  return obstacle(found) ?? { kind: 'host', host };
};

/** Chooses. The reason when none takes it is that of the host that is nearest to taking it. */
export const chooseHost = (config: PolicyConfig, hosts: readonly HostFacts[]): HostChoice => {
  if (config.host !== undefined) return named(config, config.host, hosts);
  const fitting = hosts.filter((host) => fits(config, host));
  const best = roomiest(fitting);
  if (best !== undefined) return { kind: 'host', host: best.host };
  if (hosts.length === 0)
    return none(
      'HOST_OFFLINE',
      'no host has ever announced itself: start one on a machine (services/host/README.md)',
    );
  if (fitting.length === 0) return none('NO_HOST_FITS', `there is no host ${wish(config)}`);
  const online =
    fitting.find(({ isOnline, isDraining }) => isOnline && !isDraining) ??
    fitting.find(({ isOnline }) => isOnline);
  if (online === undefined) return none('HOST_OFFLINE', `no host ${wish(config)} is heard of`);
  return obstacle(online) ?? none('HOST_FULL', `no host ${wish(config)} has room`);
};
