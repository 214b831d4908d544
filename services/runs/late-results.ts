// Results that are in the log although nobody has acted on them yet: before a lost lease is believed, the log is asked whether the
// holder had finished. A result that is found is handled as the queue would have, under the same id, so whoever comes second changes nothing.
import type { Handled } from '#libs/consumers/disposition.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import { typedFilter, type Boundary } from '#streams/subjects.ts';
import { readableReport, type TurnReport } from './reports.ts';
import type { Run } from './run-state.policy.ts';

interface Parts {
  /** The log of EVENTS. */
  readonly events: EventLog;
  readonly handle: (report: TurnReport) => Promise<Handled>;
}

export interface LateResults {
  /** Handles the result of the run's present claim if the log has one; false: it has none, or it moved nothing. */
  settle(boundary: Boundary, run: Run): Promise<boolean>;
}

/** What clocks of control plane and broker may differ by. */
const SKEW_MS = 60_000;

export const createLateResults = ({ events, handle }: Parts): LateResults => {
  const find = async (boundary: Boundary, run: Run): Promise<TurnReport | undefined> => {
    const { runId, agent, createdAt } = run.created;
    const replay = events.replay({
      subjects: ['turn-finished', 'approval-wanted'].map((type) =>
        typedFilter('evt', { ...boundary, id: agent, type }),
      ),
      from: { atMs: createdAt - SKEW_MS },
    });
    for await (const entry of replay) {
      const report = readableReport(entry);
      if (report?.runId === runId && report.command.fence === run.claims && endsClaim(report)) return report;
    }
    return undefined;
  };
  return {
    settle: async (boundary, run) => {
      const report = await find(boundary, run);
      return report !== undefined && (await handle(report)).kind !== 'rejected';
    },
  };
};

/** A question whose program waits leaves the claim as it is. */
const endsClaim = ({ command }: TurnReport): boolean =>
  command.kind === 'finish-turn' || (command.kind === 'ask-approval' && command.call.mode === 'parked');
