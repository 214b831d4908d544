// How many agents are started anew for an update at once, in the whole deployment: so many slots, keys of the bucket `leases`. Whoever
// holds one keeps it until its agent runs again, by its record; nobody has to give one back, so none is lost with an instance. An agent
// that does not come back keeps its slot until the key expires: what an update breaks, it breaks slowly.
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue, KeyValueEntry } from '#libs/ports/key-value.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { nameSchema } from '#streams/ids.ts';
import { z } from 'zod';
import type { PolicyTarget } from './policy-log.ts';
import type { Policy } from './policy-state.policy.ts';

const holderSchema = z.object({
  tenant: nameSchema,
  project: nameSchema,
  policy: nameSchema,
  /** The start that is ended for the update. */
  spawnId: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

const SLOT_TTL_MS = 600_000;
/** From the slot to the transition. Longer: whoever took it went down, or the agent was needed after all. */
const BEGIN_MS = 30_000;

const slotKey = (at: number): string => `updates.slot.${at}`;

/** True while the holder is not known to be done. */
const isUnderWay = (holder: Pick<Holder, 'spawnId'>, policy: Policy | undefined, heldMs: number): boolean => {
  if (policy === undefined || policy.isRemoved) return false;
  const { state, spawn, restart } = policy;
  if (state === 'running') return spawn?.spawnId === holder.spawnId && heldMs < BEGIN_MS;
  return state !== 'stopped' || restart !== null;
};

type Place = Pick<PolicyTarget, 'boundary' | 'policy'>;

export interface UpdateSlots {
  /** True: the agent may be started anew now; asked again for the same start it is true again. Faults: those of bucket and log. */
  take(place: Place, spawnId: string): Promise<boolean>;
}

interface Parts {
  /** The bucket `leases`. */
  readonly leases: KeyValue;
  readonly load: (place: Place) => Promise<Policy | undefined>;
  readonly clock: Clock;
  /** Slots of the deployment. */
  readonly count: number;
}

export const createUpdateSlots = ({ leases, load, clock, count }: Parts): UpdateSlots => {
  const holderOf = (entry: KeyValueEntry | undefined): Holder | undefined =>
    entry === undefined ? undefined : holderSchema.safeParse(parseJson(entry.value)).data;

  const isFree = async (entry: KeyValueEntry | undefined): Promise<boolean> => {
    const holder = holderOf(entry);
    if (entry === undefined || holder === undefined) return true;
    const { tenant, project, policy } = holder;
    const state = await load({ boundary: { tenant, project }, policy });
    return !isUnderWay(holder, state, clock.now() - entry.writtenAt);
  };

  return {
    take: async ({ boundary, policy }, spawnId) => {
      const mine: Holder = { tenant: boundary.tenant, project: boundary.project, policy, spawnId };
      const slots = await Promise.all(Array.from({ length: count }, (_none, at) => leases.get(slotKey(at))));
      const isMine = (entry: KeyValueEntry | undefined): boolean => {
        const holder = holderOf(entry);
        return holder?.spawnId === spawnId && holder.policy === policy;
      };
      if (slots.some(isMine)) return true;
      for (const [at, entry] of slots.entries()) {
        if (!(await isFree(entry))) continue;
        const expectedRevision = entry?.revision ?? 0;
        const options = { expectedRevision, ttlMs: SLOT_TTL_MS };
        // A conflict: somebody else was faster here.
        const outcome = await leases.put(slotKey(at), jsonBytes(mine), options);
        if (outcome.kind === 'stored') return true;
      }
      return false;
    },
  };
};
