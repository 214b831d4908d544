// What `fleetlog doctor` shows, as data. Collected by libs/broker/doctor.ts, which the CLI does not import.

export interface DoctorCheck {
  readonly name: string;
  readonly status: 'pass' | 'warn' | 'fail';
  readonly detail: string;
  readonly fix?: string;
}

export interface DoctorReport {
  readonly isHealthy: boolean;
  readonly checks: readonly DoctorCheck[];
}
