// The host aggregate on the wire: a machine's process that starts and stops runners. Its events and their schemas; the rules are in
// services/hosts/host.decider.ts. What it has in memory, on disk and running is in its presence (host-views.ts), not here.
import { z } from 'zod';
import { nameSchema } from './ids.ts';
import { providerSchema } from './run.ts';

const epochMs = z.int().nonnegative();

/** What a host is: changes of it are on record. */
export const hostFactsSchema = z.object({
  /** What it has been given besides its programs (gpu, eu, …): policies may ask for it. */
  labels: z.array(nameSchema).max(64),
  /** Runners that it takes at once. */
  capacity: z.int().min(0).max(10_000),
  /** Programs that it finds on its machine. */
  providers: z.array(providerSchema).max(16),
  /** Version of the product, and of the contract that it speaks. */
  version: z.string().max(64),
  contract: z.int().nonnegative(),
  /** `linux-x64`, `darwin-arm64`. */
  platform: z.string().max(64),
});
export type HostFacts = z.infer<typeof hostFactsSchema>;

/** Made when the journal of the host was: two machines that are given one name are told apart by it. */
const journalId = z.string().min(1).max(64);
/** Made at each start of the host's process. */
const bootId = z.string().min(1).max(64);

const about = { host: nameSchema };

const registeredSchema = z.object({
  type: z.literal('fleetlog.host.registered.v1'),
  ...about,
  journalId,
  ...hostFactsSchema.shape,
  registeredAt: epochMs,
});

const onlineSchema = z.object({
  type: z.literal('fleetlog.host.online.v1'),
  ...about,
  bootId,
  version: z.string().max(64),
  onlineAt: epochMs,
});

const offlineSchema = z.object({
  type: z.literal('fleetlog.host.offline.v1'),
  ...about,
  bootId,
  reason: z.string().max(500),
  offlineAt: epochMs,
});

const drainRequestedSchema = z.object({
  type: z.literal('fleetlog.host.drain-requested.v1'),
  ...about,
  reason: z.string().max(500),
  requestedAt: epochMs,
});

const drainEndedSchema = z.object({
  type: z.literal('fleetlog.host.drain-ended.v1'),
  ...about,
  endedAt: epochMs,
});

const updateRequestedSchema = z.object({
  type: z.literal('fleetlog.host.update-requested.v1'),
  ...about,
  /** What is to run from now on; null: whatever is installed there. */
  version: z.string().max(64).nullable(),
  reason: z.string().max(500),
  requestedAt: epochMs,
});

const retiredSchema = z.object({
  type: z.literal('fleetlog.host.retired.v1'),
  ...about,
  reason: z.string().max(500),
  retiredAt: epochMs,
});

/** Every event that was ever appended to a host's subject. Unknown keys are dropped at reading: changes are additive. */
export const hostEventSchema = z.discriminatedUnion('type', [
  registeredSchema,
  onlineSchema,
  offlineSchema,
  drainRequestedSchema,
  drainEndedSchema,
  updateRequestedSchema,
  retiredSchema,
]);
export type HostEvent = z.infer<typeof hostEventSchema>;
export type HostEventType = HostEvent['type'];

/** What each event means, for the catalogue. */
export const HOST_EVENT_MEANS: Readonly<Record<HostEventType, string>> = {
  'fleetlog.host.registered.v1':
    'A host said for the first time what it is, or that something of it has changed (labels, capacity, version).',
  'fleetlog.host.online.v1': 'The host answers: a process of it, with this boot id, has announced itself.',
  'fleetlog.host.offline.v1':
    'The host was not heard of in time; what it runs may go on, but nobody can tell.',
  'fleetlog.host.drain-requested.v1': 'The host takes no new runners; those that it has go on.',
  'fleetlog.host.drain-ended.v1': 'The host takes new runners again.',
  'fleetlog.host.update-requested.v1':
    'Its runners are to be started anew when they are idle, so that they are of the version that is installed.',
  'fleetlog.host.retired.v1': 'The host is given up for good; its name is not used again. Final.',
};

/** How a host stands. `draining` is a state of its own only while it is online. */
export const HOST_STATES = ['online', 'draining', 'offline', 'retired'] as const;

/** What can be asked of a host. */
export type HostCommand =
  | {
      readonly kind: 'announce';
      readonly host: string;
      readonly journalId: string;
      readonly bootId: string;
      readonly facts: HostFacts;
      /** True when another process of this name has been heard of within its time to live. */
      readonly isOtherAlive: boolean;
    }
  | { readonly kind: 'lose'; readonly host: string; readonly bootId: string; readonly reason: string }
  | { readonly kind: 'drain'; readonly host: string; readonly reason: string }
  | { readonly kind: 'undrain'; readonly host: string }
  | {
      readonly kind: 'update';
      readonly host: string;
      readonly version: string | null;
      readonly reason: string;
    }
  | { readonly kind: 'retire'; readonly host: string; readonly reason: string };
