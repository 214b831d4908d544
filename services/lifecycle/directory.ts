// Which policies there are and how their agents stand, in memory, from the buckets `policies` and `agents`: whom a runner, a turn or a
// host concerns. A hint: nothing is decided from it, and whoever is looked at in vain is left as it is.
import type { KeyValue, WatchEvent, WatchOptions } from '#libs/ports/key-value.ts';
import { viewKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { managedAgentSchema, policyViewSchema } from '#streams/policy-views.ts';
import type { PolicyConfig } from '#streams/policy-config.ts';
import type { PolicyStateName } from '#streams/policy-causes.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { z } from 'zod';
import type { Place } from './keeper.ts';

interface Entry {
  readonly boundary: Boundary;
  readonly config: PolicyConfig;
  readonly isRemoved: boolean;
}

/** What counts of a policy's value: not its history. */
const wanted = policyViewSchema.pick({
  tenant: true,
  project: true,
  policy: true,
  config: true,
  isRemoved: true,
});

const standing = managedAgentSchema.pick({
  tenant: true,
  project: true,
  policy: true,
  state: true,
  host: true,
  sinceAt: true,
  seq: true,
});

/** How an agent stands, as the summary says. */
export interface Standing extends Place {
  readonly state: PolicyStateName;
  /** Where it runs, or ran last. */
  readonly host: string | null;
  /** Of the last change of `state`, epoch ms. */
  readonly sinceAt: number;
  readonly seq: number;
}

const watchesTurns = ({ config: { health } }: Entry): boolean =>
  health.stuckAfterSeconds > 0 || health.sameCalls > 0;

/** True when a turn that begins, or ends, may lead to something. */
const CARES: Readonly<Record<'turn-started' | 'turn-finished', (entry: Entry) => boolean>> = {
  'turn-started': watchesTurns,
  'turn-finished': (entry) => {
    const { limits, restartOnUpdate } = entry.config;
    return limits.runs > 0 || limits.spendMicroUsd > 0 || restartOnUpdate || watchesTurns(entry);
  },
};

const LIVE: ReadonlySet<PolicyStateName> = new Set(['starting', 'running', 'stopping']);

/** Whether there is an agent, or is about to be. */
export const isLive = ({ state }: Pick<Standing, 'state'>): boolean => LIVE.has(state);

export class Directory {
  readonly #policies = new Map<string, Entry>();
  readonly #byAgent = new Map<string, Set<string>>();
  readonly #standings = new Map<string, Standing>();
  readonly #waiting = new Set<string>();
  readonly #live = new Set<string>();

  /** Names of policies whose agent has this name, removed ones included. */
  of(boundary: Boundary, agent: string): readonly string[] {
    return [...(this.#byAgent.get(viewKey(boundary, agent)) ?? [])];
  }

  /** Those of them that a turn of the agent may lead to something for. */
  caringFor(boundary: Boundary, agent: string, what: keyof typeof CARES): readonly string[] {
    return this.of(boundary, agent).filter((policy) => {
      const entry = this.#policies.get(viewKey(boundary, policy));
      return entry !== undefined && CARES[what](entry);
    });
  }

  /** Another policy than this one that has the agent and was not removed. */
  holderOf(boundary: Boundary, agent: string, except: string): string | undefined {
    return this.of(boundary, agent).find(
      (policy) => policy !== except && this.#policies.get(viewKey(boundary, policy))?.isRemoved === false,
    );
  }

  configOf({ boundary, policy }: Place): PolicyConfig | undefined {
    return this.#policies.get(viewKey(boundary, policy))?.config;
  }

  /** True while an agent runs, or is about to. */
  get hasLive(): boolean {
    return this.#live.size > 0;
  }

  get hasWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Those that wait for a host. */
  waiting(): readonly Standing[] {
    return [...this.#waiting].flatMap((key) => this.#standings.get(key) ?? []);
  }

  /** Names of those that run on a host. */
  on({ tenant, project }: Boundary, host: string): readonly string[] {
    return this.standings()
      .filter(({ boundary, state, host: there }) => {
        const isHere = boundary.tenant === tenant && boundary.project === project;
        return isHere && state === 'running' && there === host;
      })
      .map(({ policy }) => policy);
  }

  standingOf({ boundary, policy }: Place): Standing | undefined {
    return this.#standings.get(viewKey(boundary, policy));
  }

  standings(): readonly Standing[] {
    return [...this.#standings.values()];
  }

  /** Takes in a change of the bucket `policies`; gives what is new: a policy, or another agent of one. */
  notePolicy(event: WatchEvent): (Place & { readonly agent: string }) | undefined {
    if (event.kind !== 'put') return undefined;
    const parsed = wanted.safeParse(parseJson(event.entry.value));
    if (!parsed.success) return undefined;
    const { tenant, project, policy, config, isRemoved } = parsed.data;
    const boundary = { tenant, project };
    const key = viewKey(boundary, policy);
    const before = this.#policies.get(key);
    if (before !== undefined && before.config.agent !== config.agent)
      this.#byAgent.get(viewKey(boundary, before.config.agent))?.delete(policy);
    this.#policies.set(key, { boundary, config, isRemoved });
    const agentKey = viewKey(boundary, config.agent);
    const names = this.#byAgent.get(agentKey) ?? new Set<string>();
    names.add(policy);
    this.#byAgent.set(agentKey, names);
    return before?.config.agent === config.agent ? undefined : { boundary, policy, agent: config.agent };
  }

  /** Takes in a change of the bucket `agents`; gives the standing that it is now. */
  noteAgent(event: WatchEvent): Standing | undefined {
    if (event.kind !== 'put') return undefined;
    const parsed = standing.safeParse(parseJson(event.entry.value));
    if (!parsed.success) return undefined;
    const { tenant, project, ...stands } = parsed.data satisfies z.infer<typeof standing>;
    const { policy, state } = stands;
    const boundary = { tenant, project };
    const key = viewKey(boundary, policy);
    const now = { boundary, ...stands };
    this.#standings.set(key, now);
    if (state === 'waiting-for-host') this.#waiting.add(key);
    else this.#waiting.delete(key);
    if (isLive(now)) this.#live.add(key);
    else this.#live.delete(key);
    return now;
  }
}

/** Feeds the changes of a bucket until the signal aborts. Values are windows on larger buffers: whoever keeps one copies it. */
export const followBucket = async (
  bucket: KeyValue,
  options: Pick<WatchOptions, 'keys' | 'lateMs' | 'signal'>,
  note: (event: WatchEvent) => void,
): Promise<void> => {
  for await (const events of bucket.watchTogether({ ...options, borrowsValues: true }))
    for (const event of events) note(event);
};
