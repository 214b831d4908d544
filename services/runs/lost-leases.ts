// Finds lost leases and says so to the run: the expiry of a key is pushed by a watch; a sweep over the unfinished runs is the
// backstop for what happened while nobody watched. Both only hint: the loss is checked against the log and the lease table,
// and appended under an id that follows from run and fence, so any number of instances record it once. A claim and its lease are written at
// once, so of a claim that is young a lease that is not there may be on its way: it is looked at again a moment later.
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { Instructions } from './instructions.ts';
import type { LateResults } from './late-results.ts';
import { parseLeaseKey, type Leases } from './leases.ts';
import { isEnded, isHeld, type Run } from './run-state.policy.ts';
import { attemptCommandId, type RunLog } from './run-log.ts';
import { nowAndThen, type UnfinishedRuns } from './unfinished-runs.ts';

interface Parts {
  readonly runLog: RunLog;
  readonly leases: Leases;
  readonly instructions: Instructions;
  readonly lateResults: LateResults;
  /** The bucket of the leases. */
  readonly bucket: KeyValue;
  readonly clock: Clock;
  readonly onTrouble: (runId: string, fault: Fault) => void;
}

/** A claim is young for so long. */
const YOUNG_MS = 1000;
/** How long the last claim of a run is young yet; clocks of several instances differ. */
const youngForMs = ({ claimedAt }: Run, now: number): number => YOUNG_MS - Math.abs(now - (claimedAt ?? 0));

/** How a loss is looked into. */
interface Look {
  /** Names the expiry that was heard of, where it was: a run that waits is then told of again, once for each. */
  readonly occasion?: string | undefined;
  /** Of a young claim the lease may be on its way, and is waited for until this aborts; undefined: the lease is known to be lost. */
  readonly patience?: AbortSignal | undefined;
}

/** Losses looked into at once. */
const WIDTH = 16;

export interface LostLeases {
  /** Follows the expiry of lease keys until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /**
   * Ends the claim of the run if its lease is not there; harmless otherwise. For those who know that it is lost, however young the claim. Throws
   * the faults of log and bucket.
   */
  look(boundary: Boundary, runId: string): Promise<void>;
  /** Looks after all unfinished runs now and then, until the signal aborts. */
  sweep(unfinished: UnfinishedRuns, everyMs: number, signal: AbortSignal): Promise<void>;
}

/** Ends the claim of a run whose lease is lost, or reminds of a run that waits. */
const createExpiry = ({ runLog, leases, instructions, lateResults, clock }: Parts) => {
  const loseClaim = async (boundary: Boundary, run: Run): Promise<void> => {
    // The holder may have finished and died, or we may be behind with its reports: work that is done is not done again.
    if (await lateResults.settle(boundary, run)) return;
    const { claims: fence } = run;
    const { runId } = run.created;
    const commandId = attemptCommandId(runId, fence + 1);
    await runLog.handle(
      { boundary, runId, actor: 'service:runs' },
      { kind: 'expire-lease', fence, commandId },
      { id: `${runId}.expire.${fence}` },
    );
  };

  const expire = async (
    boundary: Boundary,
    runId: string,
    { occasion, patience }: Look = {},
  ): Promise<void> => {
    const target = { boundary, runId, actor: 'service:runs' };
    const known = runLog.remembered(target)?.state;
    // A run that has ended stays so, and most leases are given back for that: what is remembered of it is true.
    if (known !== undefined && isEnded(known.state)) return;
    const { state: run } = await runLog.load(target);
    if (run === undefined || (await leases.exists(boundary, runId))) return;
    if (isHeld(run)) {
      const waitMs = youngForMs(run, clock.now());
      if (patience === undefined || waitMs <= 0) return loseClaim(boundary, run);
      await clock.sleep(waitMs, patience);
      if (!patience.aborted) await expire(boundary, runId, { occasion, patience });
    } else if (run.state === 'queued' && occasion !== undefined)
      // A claim died before it was appended; others were refused meanwhile and may have turned away.
      await instructions.remind(boundary, run, occasion);
  };
  return expire;
};

export const createLostLeases = (parts: Parts): LostLeases => {
  const { leases, clock } = parts;
  const expire = createExpiry(parts);

  /** Never rejects: what fails here is found again by the sweep. */
  const tryToExpire = async (boundary: Boundary, runId: string, look: Look): Promise<void> => {
    try {
      await expire(boundary, runId, look);
    } catch (error) {
      parts.onTrouble(runId, toFault(error));
    }
  };

  const watch = async (signal: AbortSignal): Promise<void> => {
    const busy = new Set<Promise<void>>();
    for await (const event of parts.bucket.watch({ signal })) {
      if (event.kind !== 'expired' && event.kind !== 'deleted') continue;
      const lease = parseLeaseKey(event.key);
      if (lease === undefined) continue;
      // A deleted key was given back by whoever held it.
      const occasion = event.kind === 'expired' ? `r${event.revision}` : undefined;
      const work = tryToExpire(lease.boundary, lease.runId, { occasion, patience: signal });
      busy.add(work);
      void work.finally(() => busy.delete(work));
      if (busy.size >= WIDTH) await Promise.race(busy);
    }
    await Promise.all(busy);
  };

  const sweepOnce = async (unfinished: UnfinishedRuns, signal: AbortSignal): Promise<void> => {
    for (const run of await leases.missing([...unfinished.held()]))
      await tryToExpire(run.boundary, run.runId, { patience: signal });
  };

  return {
    look: (boundary, runId) => expire(boundary, runId),
    watch,
    sweep: (unfinished, everyMs, signal) =>
      nowAndThen({ unfinished, clock, everyMs, signal }, () => sweepOnce(unfinished, signal)),
  };
};
