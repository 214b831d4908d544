// The report that tells of reports which will never arrive.
import { ESSENTIAL, type Gap, type NewRecord } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { makeId } from '#streams/ids.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { Boundary } from '#streams/subjects.ts';

const reasonOf = ({ reason, kinds, dropped }: Gap): string => {
  if (reason === 'lost') return `the buffer was unreadable; at most ${dropped} reports are missing`;
  const what = Object.entries(kinds).map(([kind, count]) => `${count} ${kind}`);
  return `the buffer was full; dropped: ${what.join(', ')}`;
};

/** Builds the record of a gap. */
export const gapReporter =
  (parts: {
    readonly boundary: Boundary;
    readonly agent: string;
    readonly clock: Clock;
    readonly ids: Ids;
  }) =>
  (gap: Gap): NewRecord => {
    const { boundary, agent, clock, ids } = parts;
    const { firstSourceSeq, lastSourceSeq, dropped, ranges, lane } = gap;
    const data = {
      firstSourceSeq,
      lastSourceSeq,
      dropped,
      reason: reasonOf(gap),
      ranges: ranges.map(([first, last]): [number, number] => [first, last]),
      ...(lane !== '' && { sessionId: lane }),
    };
    const occurredAt = clock.now();
    const entry = encodeReport('gap', data, {
      boundary,
      agent,
      id: makeId('event', ids.ulid()),
      source: `/runner/${agent}`,
      timeMs: occurredAt,
      actor: `agent:${agent}`,
    });
    return { ...entry, lane, kind: 'gap', worth: ESSENTIAL, occurredAt };
  };
