// Until when a question may be answered: keys of the bucket `leases` that expire by themselves, so the broker says when the time is over.
// A sweep over the unfinished runs is the backstop for what happened while nobody watched. Both only hint: the expiry is appended by
// the rules, under an id that follows from run and approval, so any number of instances record it once.
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { approvalDeadlineKey, type ApprovalDeadline } from '#streams/buckets.ts';
import { jsonBytes } from '#streams/entry.ts';
import type { Boundary } from '#streams/subjects.ts';
import { ttlOf } from './leases.ts';
import { attemptCommandId, type RunLog } from './run-log.ts';
import { nowAndThen, type UnfinishedRuns } from './unfinished-runs.ts';

interface Parts {
  readonly runLog: RunLog;
  /** The bucket `leases`. */
  readonly bucket: KeyValue;
  readonly clock: Clock;
  readonly onTrouble: (runId: string, fault: Fault) => void;
}

/** A question and whose it is. */
interface ApprovalPlace {
  readonly boundary: Boundary;
  readonly runId: string;
  readonly approvalId: string;
}

export interface ApprovalDeadlines {
  /** Has the broker say when the time is over. Written before the question is appended; harmless without one, and when repeated. */
  set(place: ApprovalPlace, waitMs: number): Promise<void>;
  /** Nobody needs to be told any more. */
  remove(place: ApprovalPlace): Promise<void>;
  /** Ends the question if its time is over; harmless otherwise. Throws the log's faults. */
  look(place: ApprovalPlace): Promise<void>;
  /** Follows the expiry of the keys until the signal aborts. */
  watch(signal: AbortSignal): Promise<void>;
  /** Looks for questions whose time is over now and then, until the signal aborts. */
  sweep(unfinished: UnfinishedRuns, everyMs: number, signal: AbortSignal): Promise<void>;
}

/** The key may expire no earlier than the question, whose time counts from its append. */
const LATER_MS = 1000;
/** Expiries looked into at once. */
const WIDTH = 16;

/** The question of a key (`<tenant>.<project>.approval.<runId>.<approvalId>`), or undefined. */
const parseKey = (key: string): ApprovalPlace | undefined => {
  const [tenant, project, kind, runId, approvalId, ...rest] = key.split('.');
  if (tenant === undefined || project === undefined || kind !== 'approval' || rest.length > 0)
    return undefined;
  if (runId === undefined || approvalId === undefined) return undefined;
  return { boundary: { tenant, project }, runId, approvalId };
};

export const createApprovalDeadlines = (parts: Parts): ApprovalDeadlines => {
  const { runLog, bucket, clock } = parts;

  const expire = async ({ boundary, runId, approvalId }: ApprovalPlace): Promise<void> => {
    const target = { boundary, runId, actor: 'service:runs' };
    const { state: run } = await runLog.load(target);
    if (run?.open.every((open) => open.approvalId !== approvalId) !== false) return;
    const nextCommandId = attemptCommandId(runId, run.claims + 1);
    const command = { kind: 'expire-approval', approvalId, nextCommandId } as const;
    await runLog.handle(target, command, { id: `${runId}.expire-approval.${approvalId}` });
  };
  /** Never rejects: what fails here is found again by the sweep. */
  const tryToExpire = async (place: ApprovalPlace): Promise<void> => {
    try {
      await expire(place);
    } catch (error) {
      parts.onTrouble(place.runId, toFault(error));
    }
  };
  const sweepOnce = async (unfinished: UnfinishedRuns): Promise<void> => {
    for (const { boundary, runId } of unfinished.overdue(clock.now())) {
      const { state: run } = await runLog.load({ boundary, runId, actor: 'service:runs' });
      for (const { approvalId } of run?.open ?? []) await tryToExpire({ boundary, runId, approvalId });
    }
  };

  return {
    set: async ({ boundary, runId, approvalId }, waitMs) => {
      const ttlMs = ttlOf(waitMs + LATER_MS);
      const value: ApprovalDeadline = { runId, approvalId, expiresAt: clock.now() + waitMs };
      await bucket.put(approvalDeadlineKey(boundary, runId, approvalId), jsonBytes(value), { ttlMs });
    },
    remove: async ({ boundary, runId, approvalId }) => {
      await bucket.delete(approvalDeadlineKey(boundary, runId, approvalId));
    },
    look: expire,
    watch: async (signal) => {
      const busy = new Set<Promise<void>>();
      for await (const event of bucket.watch({ keys: ['*.*.approval.*.*'], signal })) {
        const place = event.kind === 'expired' ? parseKey(event.key) : undefined;
        if (place === undefined) continue;
        const work = tryToExpire(place);
        busy.add(work);
        void work.finally(() => busy.delete(work));
        if (busy.size >= WIDTH) await Promise.race(busy);
      }
      await Promise.all(busy);
    },
    sweep: (unfinished, everyMs, signal) =>
      nowAndThen({ unfinished, clock, everyMs, signal }, () => sweepOnce(unfinished)),
  };
};
