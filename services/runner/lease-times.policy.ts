// When a lease is renewed, and when work under it must have ended. Pure; all times are monotonic ms of this machine.
//
// A lease counts from the moment its request was *sent*, so it can only end later than we think. Work stops before that: a
// program with side effects never runs past the lease of its run, even when the broker is away for longer. The price: a run
// outlives an outage only as long as its lease (`leaseMs`, up to an hour, is the choice of whoever creates the run).

/** What is known of a lease. */
export interface LeaseTimes {
  readonly leaseMs: number;
  /** When the last request that was granted had been sent. */
  readonly sentAtMs: number;
  /** From SIGTERM to SIGKILL, as configured. */
  readonly killAfterMs: number;
}

/** Kept free at the end of a lease: time to end the program, and a second for the clock and the machine; at most a third of the lease. */
const marginMs = ({ leaseMs, killAfterMs }: LeaseTimes): number => Math.min(leaseMs / 3, killAfterMs + 1000);

/** When the work must be stopped unless the lease was renewed by then. */
export const stopAtMs = (times: LeaseTimes): number => times.sentAtMs + times.leaseMs - marginMs(times);

/** From SIGTERM to SIGKILL when work is stopped at {@link stopAtMs}: within the margin. */
export const stopGraceMs = (times: LeaseTimes): number => Math.min(times.killAfterMs, marginMs(times) / 2);

/** When to renew next: a third of the lease after the last grant; while nobody answers, ten times a lease, every 2 s at least. */
export const renewInMs = ({ leaseMs }: LeaseTimes, isAnswered: boolean): number =>
  isAnswered ? leaseMs / 3 : Math.min(2000, leaseMs / 10);
