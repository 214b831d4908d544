// Whether a fleet of policies has come to rest as it is wanted, and what its whole life has broken: record and hosts, held against one
// another. Works on any ports, so in memory and on a real broker.
import type { Ports } from '#libs/service/context.ts';
import { evolvePolicy } from '#services/lifecycle/policy-fold.policy.ts';
import type { PolicyState } from '#services/lifecycle/policy-state.policy.ts';
import { policyHistory } from './policy-facts.ts';
import { judgeHistory, judgeLives, ordersOf, type Trouble } from './policy-verdict.ts';
import type { Life, ScriptedHost } from './scripted-host.ts';

type Hosts = readonly Pick<ScriptedHost, 'lives'>[];

const livesOf = (hosts: Hosts, policy: string): readonly Life[] =>
  hosts
    .flatMap(({ lives }) => lives.filter((life) => life.policy === policy))
    .toSorted((a, b) => a.bornMs - b.bornMs);

const isWanted = (policy: PolicyState): boolean =>
  policy !== undefined && !policy.isRemoved && !policy.isPaused && policy.asked !== 'stopped';

/** What should run runs, once, under the start on record; nothing else lives. An open breaker is an end, too. */
const isRight = (state: PolicyState, alive: readonly Life[]): boolean => {
  if (!isWanted(state)) return ['stopped', 'failed'].includes(state?.state ?? '') && alive.length === 0;
  if (state?.state === 'failed') return state.config.limits.restarts > 0 && alive.length === 0;
  return state?.state === 'running' && alive.length === 1 && alive[0]?.spawnId === state.spawn?.spawnId;
};

/** Those that are not as they are wanted, in words. */
export const unsettled = async (
  ports: Ports,
  hosts: Hosts,
  names: readonly string[],
): Promise<readonly string[]> => {
  const found: string[] = [];
  for (const name of names) {
    let state: PolicyState;
    for (const event of await policyHistory(ports, name)) state = evolvePolicy(state, event);
    const alive = livesOf(hosts, name).filter(({ diedMs }) => diedMs === null);
    if (!isRight(state, alive))
      found.push(`${name} is ${state?.state} (wanted: ${isWanted(state)}), alive: ${JSON.stringify(alive)}`);
  }
  return found;
};

/** What was broken on the way. */
export const judgePolicies = async (
  ports: Ports,
  {
    hosts,
    names,
    troubles,
  }: { readonly hosts: Hosts; readonly names: readonly string[]; readonly troubles: readonly Trouble[] },
): Promise<readonly string[]> => {
  const orders = await ordersOf(ports);
  const faults = orders.twice.map((spawnId) => `${spawnId} was ordered twice`);
  for (const name of names) {
    const broken = [
      ...judgeLives(livesOf(hosts, name), orders),
      ...judgeHistory(await policyHistory(ports, name), { troubles, now: ports.clock.now() }),
    ];
    faults.push(...broken.map((fault) => `${name}: ${fault}`));
  }
  return faults;
};
