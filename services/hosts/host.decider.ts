// The rules of a host: when it counts as registered, online and offline, what drain, update and retire do. Pure.
// Guarantees: one process of a name at a time; a fact that has changed is on record once; retired absorbs everything. Does not know
// what a host runs (its presence does) and starts nothing (see lifecycle).
//
// (none) ─announce→ registered ─announce→ online ─lose→ offline ─announce→ online …
//    any ─announce with other facts→ registered (again)      any ─drain→ draining ─undrain→ not draining
//    any but online ─retire→ retired
import { accept, reject, unchanged, type Decider, type Decision } from '#libs/kernel/decider.ts';
import { OLDEST_CONTRACT } from '#streams/contract-version.ts';
import type { HostCommand, HostEvent, HostFacts } from '#streams/host.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import { evolveHost, factsOf, type Host, type HostState } from './host-state.policy.ts';

/** Refusals of a host. */
export type HostRejection = Extract<RejectionCode, `HOST_${string}` | 'CONTRACT_TOO_OLD'>;

type HostDecision = Decision<HostEvent, HostRejection>;
type CommandOf<Kind extends HostCommand['kind']> = Extract<HostCommand, { readonly kind: Kind }>;
type Announce = CommandOf<'announce'>;

const isSame = (one: HostFacts, other: HostFacts): boolean =>
  JSON.stringify(factsOf(one)) === JSON.stringify(factsOf(other));

const retired = (host: string): HostDecision =>
  reject('HOST_RETIRED', `host ${host} was retired; a machine that comes back needs another name`, { host });

/** From what a host said on record to its presence; what is looked up within it proves nothing. No presence is over sooner. */
const PRESENT_WITHIN_MS = 1000;

/** Clocks jump: what was said in the future was said long ago. */
const saidJustNow = ({ saidAt }: Host, now: number): boolean => Math.abs(now - saidAt) < PRESENT_WITHIN_MS;

const refusalOf = (command: Announce, host: HostState, now: number): HostDecision | undefined => {
  const { host: name, facts, journalId, isOtherAlive } = command;
  if (facts.contract < OLDEST_CONTRACT)
    return reject(
      'CONTRACT_TOO_OLD',
      `host ${name} (version ${facts.version}) speaks contract ${facts.contract}; at least ${OLDEST_CONTRACT} is needed: install a newer version there`,
      { contract: facts.contract, oldest: OLDEST_CONTRACT },
    );
  if (host?.isRetired === true) return retired(name);
  const isOther = host !== undefined && host.journalId !== journalId;
  // Two machines of one name that announce themselves at once see nobody alive, both of them.
  if (isOther && (isOtherAlive || saidJustNow(host, now)))
    return reject(
      'HOST_ELSEWHERE',
      `another host called ${name} is alive; give this one another name, or stop that one and wait until it counts as gone`,
      { host: name },
    );
  return undefined;
};

/** One event at a time: whoever announces asks again until nothing is left to say. */
const announce = (command: Announce, host: HostState, now: number): HostDecision => {
  const refusal = refusalOf(command, host, now);
  if (refusal !== undefined) return refusal;
  const { host: name, journalId, bootId, facts } = command;
  if (host === undefined || host.journalId !== journalId || !isSame(host.facts, facts))
    return accept({
      type: 'fleetlog.host.registered.v1',
      host: name,
      journalId,
      ...factsOf(facts),
      registeredAt: now,
    });
  if (host.bootId === bootId) return unchanged;
  const { version } = facts;
  return accept({ type: 'fleetlog.host.online.v1', host: name, bootId, version, onlineAt: now });
};

interface Named {
  readonly name: string;
  readonly now: number;
}

const lose = ({ bootId, reason }: CommandOf<'lose'>, host: Host, { name, now }: Named): HostDecision =>
  host.bootId !== bootId || saidJustNow(host, now)
    ? unchanged
    : accept({ type: 'fleetlog.host.offline.v1', host: name, bootId, reason, offlineAt: now });

const drain = ({ reason }: CommandOf<'drain'>, host: Host, { name, now }: Named): HostDecision => {
  if (host.isRetired) return retired(name);
  if (host.isDraining) return unchanged;
  return accept({ type: 'fleetlog.host.drain-requested.v1', host: name, reason, requestedAt: now });
};

const undrain = (_: CommandOf<'undrain'>, host: Host, { name, now }: Named): HostDecision => {
  if (host.isRetired) return retired(name);
  if (!host.isDraining) return unchanged;
  return accept({ type: 'fleetlog.host.drain-ended.v1', host: name, endedAt: now });
};

const update = ({ version, reason }: CommandOf<'update'>, host: Host, { name, now }: Named): HostDecision =>
  host.isRetired
    ? retired(name)
    : accept({ type: 'fleetlog.host.update-requested.v1', host: name, version, reason, requestedAt: now });

/** Its agents would go on where nobody sees them, and its name is gone: not while its process is there. */
const retire = ({ reason }: CommandOf<'retire'>, host: Host, { name, now }: Named): HostDecision => {
  if (host.isRetired) return unchanged;
  if (host.bootId !== null)
    return reject(
      'HOST_ONLINE',
      `host ${name} is there: drain it, stop its process, and retire it when it is offline`,
      { host: name },
    );
  return accept({ type: 'fleetlog.host.retired.v1', host: name, reason, retiredAt: now });
};

type Decide<Kind extends HostCommand['kind']> = (
  command: CommandOf<Kind>,
  host: Host,
  named: Named,
) => HostDecision;

const DECIDE: { readonly [Kind in Exclude<HostCommand['kind'], 'announce'>]: Decide<Kind> } = {
  lose,
  drain,
  undrain,
  update,
  retire,
};

const decide = (command: HostCommand, host: HostState, { now }: { readonly now: number }): HostDecision => {
  if (command.kind === 'announce') return announce(command, host, now);
  const name = command.host;
  if (host === undefined) return reject('HOST_UNKNOWN', `no host is called ${name}`, { host: name });
  // The table has the handler of each kind; the compiler cannot follow the pairing through a union.
  return (DECIDE[command.kind] as Decide<Exclude<HostCommand['kind'], 'announce'>>)(command, host, {
    name,
    now,
  });
};

/** The decider of the host aggregate; its contract is streams/host.ts. */
export const hostDecider: Decider<HostCommand, HostEvent, HostState, HostRejection> = {
  initial: undefined,
  decide,
  evolve: evolveHost,
};
