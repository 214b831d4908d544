// Entries one after another by single appends: what `appendInOrder` means, for logs that have no quicker way.
import type { AppendOutcome, EventLog, NewEntry } from './event-log.ts';

/** See {@link EventLog.appendInOrder}. */
export const appendInOrder = async (
  append: EventLog['append'],
  entries: readonly NewEntry[],
): Promise<readonly AppendOutcome[]> => {
  const outcomes: AppendOutcome[] = [];
  for (const entry of entries) {
    const outcome = await append(entry);
    outcomes.push(outcome);
    if (outcome.kind === 'conflict') break;
  }
  return outcomes;
};
