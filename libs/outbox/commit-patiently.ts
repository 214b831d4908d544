// Waiting out a disk that takes nothing for a while (full, busy): the one place where writers of a buffer wait. Everybody who asks meanwhile waits
// in line, so what is committed through one of these keeps its order.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Change, Enqueued, Outbox } from './outbox.ts';

const RETRY_MS = 1000;

/** Writes to a buffer that wait instead of failing while that may help. */
export interface PatientCommit {
  /** As `Outbox.commit`. Rejects with faults of the class `never` alone: `OUTBOX_CORRUPT`, `OUTBOX_CLOSED`, `OUTBOX_KEYLESS`. */
  (change: Change): Promise<readonly Enqueued[]>;
}

/** A line of its own: those of other lines do not wait with it. */
export const createPatientCommit = (
  outbox: Pick<Outbox, 'commit'>,
  clock: Pick<Clock, 'sleep'>,
): PatientCommit => {
  const line: { gate?: Promise<void> | undefined } = {};
  const waitForDisk = async (): Promise<void> => {
    await clock.sleep(RETRY_MS);
    line.gate = undefined;
  };
  return async (change) => {
    for (;;) {
      while (line.gate !== undefined) await line.gate;
      try {
        return await outbox.commit(change);
      } catch (error) {
        if (!(error instanceof Fault) || error.retry !== 'later') throw error;
        line.gate ??= waitForDisk();
      }
    }
  };
};
