// What happened to a policy, in one plain sentence for each event: for `fleetlog why`, lists and logs. Pure.
import { isoTime } from './envelope.ts';
import type { PolicyEvent, PolicyEventType } from './policy.ts';

type EventOf<Type extends PolicyEventType> = Extract<PolicyEvent, { readonly type: Type }>;

const seconds = (ms: number): string => `${Math.round(ms / 100) / 10} s`;

const START_WORDS: Readonly<Record<EventOf<'fleetlog.policy.starting.v1'>['cause'], string>> = {
  'always-on': 'it is always on',
  'message-trigger': 'there is mail for it',
  scheduled: 'its calendar says so',
  operator: 'a person asked for it',
  restart: 'it is started anew',
  'backoff-expired': 'its wait after a failure is over',
};

const STOP_WORDS: Readonly<Record<EventOf<'fleetlog.policy.stopping.v1'>['cause'], string>> = {
  operator: 'a person asked for it',
  paused: 'the policy is paused',
  removed: 'the policy was removed',
  'idle-timeout': 'it was idle',
  limit: 'it has reached a limit',
  'daily-restart': 'it is started anew once a day',
  'restart-on-update': 'it is to follow an update',
  stuck: 'it was stuck',
};

/** That somebody asked is said, and why stands with the asking. */
const tellsMore = (cause: keyof typeof STOP_WORDS, reason: string): boolean =>
  !['operator', 'paused', 'removed'].includes(cause) && reason !== STOP_WORDS[cause];

const STUCK_WORDS: Readonly<Record<EventOf<'fleetlog.policy.stuck.v1'>['step'], string>> = {
  report: 'a person has to answer, it is left alone',
  nudge: 'it was nudged',
  interrupt: 'its turn was interrupted',
};

const MOST_CHARACTERS = 300;

/** On one line, as a sentence has it. */
const oneLine = (text: string): string => {
  const flat = text.replaceAll(/\s+/g, ' ').trim();
  return flat.length > MOST_CHARACTERS ? `${flat.slice(0, MOST_CHARACTERS)}…` : flat;
};

/** Fields named in a sentence; a new policy differs in all of them. */
const MOST_FIELDS = 6;

const appliedWords = ({ version, changed, rolledBackTo }: EventOf<'fleetlog.policy.applied.v1'>): string => {
  if (rolledBackTo !== null) return `version ${version} was applied: version ${rolledBackTo} again`;
  if (version === 1) return 'the policy was applied for the first time (version 1)';
  const named = changed.slice(0, MOST_FIELDS).join(', ');
  const more = changed.length - MOST_FIELDS;
  return `version ${version} was applied (${named}${more > 0 ? ` and ${more} more` : ''})`;
};

const WORDS: { readonly [Type in PolicyEventType]: (event: EventOf<Type>) => string } = {
  'fleetlog.policy.applied.v1': appliedWords,
  'fleetlog.policy.removed.v1': ({ reason }) => `the policy was removed: ${reason}`,
  'fleetlog.policy.start-asked.v1': ({ reason }) => `a start was asked for: ${reason}`,
  'fleetlog.policy.stop-asked.v1': ({ reason }) => `a stop was asked for: ${reason}`,
  'fleetlog.policy.restart-asked.v1': ({ cause, reason, idleMs }) =>
    `a restart was asked for (${cause}): ${reason}${idleMs > 0 ? `; it waits for ${seconds(idleMs)} of idleness` : ''}`,
  'fleetlog.policy.paused.v1': ({ reason }) => `the policy was paused: ${reason}`,
  'fleetlog.policy.resumed.v1': ({ reason }) => `the policy was resumed: ${reason}`,
  'fleetlog.policy.reset.v1': ({ reason }) => `failures were forgotten: ${reason}`,
  'fleetlog.policy.waiting-for-host.v1': ({ message }) => `it waits for a host: ${message}`,
  'fleetlog.policy.starting.v1': ({ host, cause, version }) =>
    `${host} was told to start it (version ${version}), because ${START_WORDS[cause]}`,
  'fleetlog.policy.running.v1': ({ runnerId, host }) =>
    `its runner ${runnerId} announced itself from ${host}`,
  'fleetlog.policy.healthy.v1': ({ failures }) =>
    `it has run long enough: ${failures === 1 ? 'one failure is' : `${failures} failures are`} forgotten`,
  'fleetlog.policy.stuck.v1': ({ step, evidence }) =>
    `it looks stuck (${evidence.detail}); ${STUCK_WORDS[step]}`,
  'fleetlog.policy.unstuck.v1': ({ turnId }) =>
    `${turnId === null ? 'the turn' : `turn ${turnId}`} goes on again, or is over`,
  'fleetlog.policy.stopping.v1': ({ host, cause, reason, isRestart }) =>
    `${host} was told to stop it, because ${STOP_WORDS[cause]}${tellsMore(cause, reason) ? ` (${reason})` : ''}${isRestart ? '; it is started again then' : ''}`,
  'fleetlog.policy.stop-escalated.v1': ({ host, tries }) =>
    `it was not gone in time; ${host} was told to kill it (${tries})`,
  'fleetlog.policy.stopped.v1': ({ how, exitCode, signal, spawnId }) => {
    if (spawnId === null) return 'it is not wanted any more';
    if (how === 'vanished') return 'it has stopped: its runner is not heard of';
    if (how === 'refused') return 'it was not running';
    if (how === 'host-stopped') return 'its host was stopped, and had ended it before';
    if (how === 'broker-moved') return 'its host ended it, to start it anew where the broker is now';
    return `it has stopped${signal === null ? '' : ` by ${signal}`}${exitCode === null ? '' : ` with exit code ${exitCode}`}`;
  },
  'fleetlog.policy.backoff.v1': ({ message, failures, until, delayMs }) =>
    `it failed: ${oneLine(message)} (failure ${failures} in a row); the next start is at ${isoTime(until)}, after ${seconds(delayMs)}`,
  'fleetlog.policy.failed.v1': ({ policy, message, failures }) =>
    `it failed: ${oneLine(message)} (failure ${failures} in a row); that is too often, or will not get better: see to it, then: fleetlog policy reset ${policy}`,
  'fleetlog.policy.stray-found.v1': ({ spawnId, host }) =>
    `a runner of an earlier start (${spawnId}) was alive on ${host}, which was told to end it`,
};

/** The sentence of an event, without its time. */
export const policyWords = (event: PolicyEvent): string => {
  // The table has the words of each type; the compiler cannot follow the pairing through a union.
  const words = WORDS[event.type] as (event: PolicyEvent) => string;
  return words(event);
};
