// The reactor of the lifecycle service: transitions of policies become instructions to hosts. Ids follow from the transition, so one that comes again instructs nobody twice. A start that is over is not asked for.
import { createHash } from 'node:crypto';
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Envelope } from '#streams/envelope.ts';
import { idFromDigest } from '#streams/ids.ts';
import { encodeInstruction } from '#streams/instruction-codec.ts';
import { decodePolicyEvent } from '#streams/policy-codec.ts';
import type { PolicyEvent, PolicyEventType } from '#streams/policy.ts';
import type { Boundary } from '#streams/subjects.ts';
import { ACTOR, policyKey, SOURCE } from './policy-log.ts';
import type { PolicyState, Spawn } from './policy-state.policy.ts';

/** A transition of a policy, from its entry. */
export interface PolicyTransition {
  readonly boundary: Boundary;
  readonly event: PolicyEvent;
  readonly envelope: Envelope;
  readonly seq: number;
}

/** The transition of an entry; undefined for one of a newer version. Throws `POLICY_UNREADABLE` (never). */
export const decodePolicyTransition = (entry: StoredEntry): PolicyTransition | undefined => {
  const reading = decodePolicyEvent(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'POLICY_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind === 'unknown') return undefined;
  const { event, envelope, place } = reading;
  return { boundary: { tenant: place.tenant, project: place.project }, event, envelope, seq: entry.seq };
};

type EventOf<Type extends PolicyEventType> = Extract<PolicyEvent, { readonly type: Type }>;

/** A stop is worth doing long after it was asked for: a host that comes back ends what nobody wants. */
const STOP_DEADLINE_MS = 24 * 3_600_000;
const KILL_MS = 0;

interface Stop {
  readonly spawnId: string;
  readonly agent: string;
  readonly host: string;
  readonly graceful: boolean;
  readonly timeoutMs: number;
  readonly reason: string;
  /** The last word about a start: one order, whichever transition it follows from. */
  readonly isLast?: true;
}

/** What is to be ended after a transition; undefined: nothing. */
const stopAfter = (event: PolicyEvent, agent: string): Stop | undefined => {
  if (event.type === 'fleetlog.policy.stopping.v1')
    return { ...event, graceful: event.isGraceful, reason: event.cause };
  if (event.type === 'fleetlog.policy.stop-escalated.v1')
    return { ...event, graceful: false, timeoutMs: KILL_MS, reason: `not gone in time, try ${event.tries}` };
  if (event.type === 'fleetlog.policy.stray-found.v1')
    return { ...event, graceful: true, timeoutMs: 10_000, reason: 'of an earlier start' };
  if (event.type !== 'fleetlog.policy.backoff.v1' && event.type !== 'fleetlog.policy.failed.v1')
    return undefined;
  // Where nobody knows whether it lives, it must be gone before the next one starts.
  const isSure = event.cause === 'exited' || event.cause === 'refused';
  return isSure ? undefined : killOf({ ...event, agent }, event.cause);
};

const killOf = (
  { spawnId, agent, host }: Pick<Stop, 'spawnId' | 'agent' | 'host'>,
  reason: string,
): Stop => ({
  spawnId,
  agent,
  host,
  graceful: false,
  timeoutMs: KILL_MS,
  reason,
  isLast: true,
});

export interface Instructions {
  /** `state` is the policy as it is now. Faults: those of the log. */
  follow(transition: PolicyTransition, state: PolicyState): Promise<void>;
}

interface Parts {
  /** The log of COMMANDS. */
  readonly commands: EventLog;
}

const metaOf = ({ boundary, envelope, event }: PolicyTransition, host: string, id: string) => ({
  boundary,
  id,
  source: SOURCE,
  timeMs: event.decidedAt,
  actor: ACTOR,
  causation: envelope.id,
  correlation: event.policy,
  target: host,
});

const asked = ({ envelope, event }: PolicyTransition, cause: string) => ({
  commandId: idFromDigest('command', createHash('sha256').update(cause).digest()),
  policy: event.policy,
  requestedBy: envelope.actor,
  requestedAt: event.decidedAt,
});

/** What of a configuration a host is told. */
const launchOf = ({ config }: Spawn) => {
  const {
    provider,
    workspace,
    prompt,
    permissionMode,
    programArguments,
    labels,
    tags,
    capabilities,
    settings,
  } = config;
  return {
    provider,
    ...(workspace !== undefined && { workspace }),
    ...(prompt !== undefined && { prompt }),
    ...(permissionMode !== undefined && { permissionMode }),
    programArguments,
    labels,
    tags,
    capabilities,
    settings,
  };
};

export const createInstructions = ({ commands }: Parts): Instructions => {
  const start = async (
    transition: PolicyTransition,
    { spawnId, agent, host, cause: reason, deadlineAt }: EventOf<'fleetlog.policy.starting.v1'>,
    policy: PolicyState,
  ): Promise<void> => {
    const spawn = policy?.spawn;
    // Over already: by a host that refused an earlier copy, or by its deadline.
    if (policy === undefined || spawn?.spawnId !== spawnId) return;
    // The order to end the one before may be in the hands of an instance that has died, and would come after this one.
    if (policy.unsure !== null) await stop(transition, killOf(policy.unsure, 'a new start'));
    const { id } = transition.envelope;
    const data = { ...asked(transition, id), ...launchOf(spawn), spawnId, agent, host, reason, deadlineAt };
    // No expectation: instructions to one host do not depend on one another but by their spawn ids.
    await commands.append(encodeInstruction('agent-spawn', data, metaOf(transition, host, `${id}.spawn`)));
  };

  const stop = async (transition: PolicyTransition, what: Stop): Promise<void> => {
    const { spawnId, agent, host, graceful, timeoutMs, reason, isLast } = what;
    const { boundary, event, envelope } = transition;
    const id =
      isLast === true
        ? `${policyKey({ boundary, policy: event.policy })}.${spawnId}.kill`
        : `${envelope.id}.shutdown`;
    const deadlineAt = event.decidedAt + STOP_DEADLINE_MS;
    const order = { spawnId, agent, host, graceful, timeoutMs, reason, deadlineAt };
    const data = { ...asked(transition, isLast === true ? id : envelope.id), ...order };
    await commands.append(encodeInstruction('agent-shutdown', data, metaOf(transition, host, id)));
  };

  return {
    follow: async (transition, policy) => {
      const { event } = transition;
      if (event.type === 'fleetlog.policy.starting.v1') return start(transition, event, policy);
      const what = stopAfter(event, policy?.config.agent ?? event.policy);
      if (what !== undefined) await stop(transition, what);
    },
  };
};
