// Finds queued runs whose instruction COMMANDS no longer keeps (it forgets by age and size, also what a runner has not taken yet)
// and instructs their agents again, oldest run first and a few at a time, so that a long queue does not push itself out.
// A run that is instructed twice is claimed once. Does not know of runners: it looks at times in the stream only.
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Instructions } from './instructions.ts';
import type { RunLog } from './run-log.ts';
import { nowAndThen, type UnfinishedRuns } from './unfinished-runs.ts';
import type { UnfinishedRun } from './unfinished-runs.view.ts';

interface Parts {
  readonly runLog: RunLog;
  readonly instructions: Instructions;
  /** The log of COMMANDS. */
  readonly commands: EventLog;
  readonly clock: Clock;
  readonly onTrouble: (runId: string, fault: Fault) => void;
}

export interface LostInstructions {
  /** Looks after all queued runs now and then, until the signal aborts. Throws the log's faults. */
  sweep(unfinished: UnfinishedRuns, everyMs: number, signal: AbortSignal): Promise<void>;
}

/** What COMMANDS keeps. */
interface Kept {
  readonly firstSeq: number;
  /** When the oldest entry was stored; infinite when there is none. */
  readonly sinceMs: number;
}

/** Runs that are instructed again at once. */
const MOST = 16;
/** What the clocks of those who queue a run and of the broker may differ by: so much later a loss is noticed. */
const SKEW_MS = 60_000;

export const createLostInstructions = (parts: Parts): LostInstructions => {
  const { runLog, instructions, commands, clock } = parts;
  /** When this instance has instructed a run again. */
  const reminded = new Map<string, number>();

  /** Undefined while nothing was ever dropped. */
  const keptNow = async (): Promise<Kept | undefined> => {
    const { firstSeq } = await commands.bounds();
    if (firstSeq <= 1) return undefined;
    for await (const { storedAt } of commands.replay({ from: { seq: firstSeq } }))
      return { firstSeq, sinceMs: storedAt };
    return { firstSeq, sinceMs: Number.POSITIVE_INFINITY };
  };

  const remind = async ({ boundary, runId }: UnfinishedRun, { firstSeq }: Kept): Promise<void> => {
    const { state: run } = await runLog.load({ boundary, runId, actor: 'service:runs' });
    // The occasion: whoever finds the same stream says it under the same id.
    if (run?.state === 'queued') await instructions.remind(boundary, run, `first${firstSeq}`);
    reminded.set(runId, clock.now());
  };

  const lostOf = (queued: readonly UnfinishedRun[], { sinceMs }: Kept): readonly UnfinishedRun[] =>
    queued
      .filter(({ runId, updatedAt }) => Math.max(updatedAt, reminded.get(runId) ?? 0) + SKEW_MS < sinceMs)
      .toSorted((a, b) => a.updatedAt - b.updatedAt)
      .slice(0, MOST);

  const look = async (unfinished: UnfinishedRuns): Promise<void> => {
    const queued = unfinished.queued();
    const ids = new Set(queued.map(({ runId }) => runId));
    for (const runId of reminded.keys()) if (!ids.has(runId)) reminded.delete(runId);
    const kept = queued.length === 0 ? undefined : await keptNow();
    if (kept === undefined) return;
    for (const run of lostOf(queued, kept)) {
      try {
        await remind(run, kept);
      } catch (error) {
        parts.onTrouble(run.runId, toFault(error));
      }
    }
  };

  return {
    sweep: (unfinished, everyMs, signal) =>
      nowAndThen({ unfinished, clock, everyMs, signal }, () => look(unfinished)),
  };
};
