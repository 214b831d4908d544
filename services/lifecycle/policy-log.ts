// The policy aggregate on its log: commands are decided against the folded history and appended to TRANSITIONS. Ids are derived from
// what caused the command, so that a repeat, or another instance, makes the same append.
import type { CommandHandler, Known } from '#libs/commands/command-handler.ts';
import { createCommandHandler } from '#libs/commands/handle-command.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { historyOf } from '#streams/entry.ts';
import { decodePolicyEvent, encodePolicyEvent } from '#streams/policy-codec.ts';
import type { PolicyEvent } from '#streams/policy.ts';
import type { PolicyCommand } from '#streams/policy-commands.ts';
import { aggregateSubject, type Boundary } from '#streams/subjects.ts';
import type { PolicyState } from './policy-state.policy.ts';
import { policyDecider, type PolicyRejection } from './policy.decider.ts';

/** A policy, and on whose behalf something is done to it. */
export interface PolicyTarget {
  readonly boundary: Boundary;
  readonly policy: string;
  /** `user:anna`, `service:lifecycle`. */
  readonly actor: string;
  /** Id of what caused the command. */
  readonly causation?: string;
}

/** Decides and appends; see libs/commands. */
export type PolicyLog = CommandHandler<
  PolicyTarget,
  PolicyCommand,
  PolicyEvent,
  PolicyState,
  PolicyRejection
>;

/** The process that appends the transitions of policies. */
export const SOURCE = '/service/lifecycle';
export const ACTOR = 'service:lifecycle';

/** Begins every id that is made for a policy. */
export const policyKey = ({ boundary, policy }: Pick<PolicyTarget, 'boundary' | 'policy'>): string =>
  `${boundary.tenant}.${boundary.project}.${policy}`;

/** The event of an entry; undefined: of a newer version, passed over. Throws `POLICY_UNREADABLE` (never): nothing is decided from a history that is not understood. */
const decodeEntry = (entry: StoredEntry): PolicyEvent | undefined =>
  historyOf(decodePolicyEvent(entry), entry, 'POLICY_UNREADABLE')?.event;

/** The policy, and where its record stood, at or after an entry of its own: from memory where that is new enough. What came later has its own occasion. */
export const policyAt = async (
  policyLog: PolicyLog,
  target: PolicyTarget,
  seq: number | undefined,
): Promise<Known<PolicyState>> => {
  const known = policyLog.remembered(target);
  return seq !== undefined && known !== undefined && known.seq >= seq ? known : policyLog.load(target);
};

/** Builds the handler; `log` is that of TRANSITIONS. */
export const createPolicyLog = (parts: {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly ids: Ids;
}): PolicyLog =>
  createCommandHandler<PolicyTarget, PolicyCommand, PolicyEvent, PolicyState, PolicyRejection>({
    ...parts,
    decider: policyDecider,
    subjectOf: ({ boundary, policy }) => aggregateSubject(boundary, 'policy', policy),
    encode: (event, { target, id }) =>
      encodePolicyEvent(event, {
        boundary: target.boundary,
        id,
        source: SOURCE,
        timeMs: event.decidedAt,
        actor: target.actor,
        correlation: target.policy,
        ...(target.causation !== undefined && { causation: target.causation }),
      }),
    decodeEntry,
    // A policy may be as old as the fleet: what is kept in memory is bounded by bytes, not by names.
    cacheSize: 50_000,
  });
