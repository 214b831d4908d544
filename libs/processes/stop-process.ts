// Ends a process that is not necessarily our child, without ever hitting another one that got its number.
import type { Clock } from '#libs/ports/clock.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

const LOOK_AGAIN_MS = 10;

/** Sends a signal; false when the process is gone already. */
export const sendSignal = (pid: number, signal: NodeJS.Signals): boolean => {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
};

const waitUntilGone = async (identity: ProcessIdentity, clock: Clock, withinMs: number): Promise<boolean> => {
  const deadline = clock.monotonicMs() + withinMs;
  while (isAlive(identity)) {
    if (clock.monotonicMs() >= deadline) return false;
    await clock.sleep(LOOK_AGAIN_MS);
  }
  return true;
};

/**
 * Asks the process to end (SIGTERM, after SIGCONT in case it is paused), and kills it after `graceMs`.
 * Resolves when it is gone; false if it outlived even SIGKILL by five seconds.
 */
export const stopProcess = async (
  identity: ProcessIdentity,
  clock: Clock,
  graceMs: number,
): Promise<boolean> => {
  if (!isAlive(identity)) return true;
  sendSignal(identity.pid, 'SIGCONT');
  sendSignal(identity.pid, 'SIGTERM');
  if (await waitUntilGone(identity, clock, graceMs)) return true;
  sendSignal(identity.pid, 'SIGKILL');
  return waitUntilGone(identity, clock, 5000);
};
