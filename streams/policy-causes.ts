// The words of a policy on the wire: how it stands, and why it is started, stopped, waits or fails. Pure data.

/** How a policy stands. `failed`: it crashed too often, and a person has to reset it. */
export const POLICY_STATES = [
  'stopped',
  'starting',
  'running',
  'stopping',
  'backoff',
  'waiting-for-host',
  'failed',
] as const;
export type PolicyStateName = (typeof POLICY_STATES)[number];

/** Why it is started. */
export const START_CAUSES = [
  'always-on',
  'message-trigger',
  'scheduled',
  'operator',
  'restart',
  'backoff-expired',
] as const;
export type StartCause = (typeof START_CAUSES)[number];

/** Why it is started anew. */
export const RESTART_CAUSES = ['operator', 'daily-restart', 'restart-on-update', 'stuck'] as const;
export type RestartCause = (typeof RESTART_CAUSES)[number];

/** Why it is stopped. */
export const STOP_CAUSES = [
  'operator',
  'paused',
  'removed',
  'idle-timeout',
  'limit',
  ...RESTART_CAUSES.slice(1),
] as const;
export type StopCause = (typeof STOP_CAUSES)[number];

/** What counts as a failure. */
export const FAILURE_CAUSES = ['vanished', 'exited', 'refused', 'timed-out'] as const;
export type FailureCause = (typeof FAILURE_CAUSES)[number];

/** Why it waits for a host. */
export const WAIT_CODES = [
  'HOST_UNKNOWN',
  'HOST_OFFLINE',
  'HOST_DRAINING',
  'HOST_FULL',
  'HOST_LOW',
  'NO_HOST_FITS',
  'AGENT_TAKEN',
] as const;
export type WaitCode = (typeof WAIT_CODES)[number];
