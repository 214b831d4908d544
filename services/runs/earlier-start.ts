// The start of a turn whose end is handled first: two instances may each have one of them in hand. The record of a run should have its start, so
// it is looked for in the log, and handled as the queue would, under the same id: whoever comes second changes nothing. A turn that ended before
// its program was started has none.
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { RunCommand } from '#streams/run.ts';
import { typedFilter, type AgentPlace } from '#streams/subjects.ts';
import { isHeld, type RunState } from './run-state.policy.ts';

type Finish = Extract<RunCommand, { readonly kind: 'finish-turn' }>;

/** What a report in the log moves, as far as it is looked at here. */
interface Moving {
  readonly runId: string;
  readonly command: RunCommand;
}

/** What clocks of runner and broker may differ by. */
const SKEW_MS = 60_000;

/** Whether the run, as far as it is known, waits for the start of the turn that ends. */
export const lacksStart = (run: RunState, { fence }: Finish): boolean =>
  run !== undefined && run.claims === fence && isHeld(run) && run.turnId === null;

/** The report of the turn's start that the log has, if any. `read`: what a report in the log moves. Faults: the log's. */
export const findStart = async <Report extends Moving>(
  events: EventLog,
  { agent, runId, turn, ...boundary }: AgentPlace & { readonly runId: string; readonly turn: Finish },
  read: (entry: StoredEntry) => Report | undefined,
): Promise<Report | undefined> => {
  const { turnId, endedAt, result } = turn;
  const replay = events.replay({
    subjects: [typedFilter('evt', { ...boundary, id: agent, type: 'turn-started' })],
    from: { atMs: Math.max(0, endedAt - result.durationMs - SKEW_MS) },
  });
  for await (const entry of replay) {
    const found = read(entry);
    if (found?.runId === runId && found.command.kind === 'start-turn' && found.command.turnId === turnId)
      return found;
  }
  return undefined;
};
