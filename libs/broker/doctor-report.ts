// What `fleetlog doctor` has to say, as data. How it is printed is the command line's business.
import type { LocateAttempt } from './locate.ts';

/** `warn`: works, with a drawback that is stated. `fail`: Fleetlog cannot run like this. */
export type DoctorStatus = 'pass' | 'warn' | 'fail';

export interface DoctorCheck {
  readonly name:
    | 'node'
    | 'platform'
    | 'broker'
    | 'checksum'
    | 'data-dir'
    | 'disk-space'
    | 'disk-speed'
    | 'port';
  readonly status: DoctorStatus;
  readonly detail: string;
  /** What to do; absent where nothing needs doing. */
  readonly fix?: string;
}

export interface DoctorReport {
  /** No check failed. Warnings do not count. */
  readonly isHealthy: boolean;
  readonly checks: readonly DoctorCheck[];
  /** Every place that was looked at for a broker, in order. */
  readonly attempts: readonly LocateAttempt[];
}

/** One finding. */
export const check = (
  name: DoctorCheck['name'],
  status: DoctorStatus,
  detail: string,
  fix?: string,
): DoctorCheck => ({
  name,
  status,
  detail,
  ...(fix === undefined ? {} : { fix }),
});
