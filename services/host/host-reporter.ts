// Reports of a host on their way to the disk, together with the change of the journal that they tell of. Waits out a full disk. Does not
// send anything: the buffer does.
import { createPatientCommit } from '#libs/outbox/commit-patiently.ts';
import { ESSENTIAL, type Gap, type NewRecord, type Note, type Outbox } from '#libs/outbox/outbox.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import type { HostReportData, HostReportName } from '#streams/host-reports.ts';
import { makeId } from '#streams/ids.ts';
import { encodeReport, type ReportMeta } from '#streams/report-codec.ts';
import type { Boundary } from '#streams/subjects.ts';

/** All reports of a host in one order. */
const LANE = 'host';

interface Parts {
  readonly boundary: Boundary;
  readonly host: string;
  readonly clock: Clock;
  readonly ids: Ids;
}

const metaOf = ({ boundary, host, clock }: Parts, id: string, causation?: string): ReportMeta => ({
  boundary,
  agent: host,
  id,
  source: `/host/${host}`,
  timeMs: clock.now(),
  actor: `host:${host}`,
  ...(causation !== undefined && { causation }),
});

/** The record that tells of reports which will never arrive. */
export const hostGapRecord =
  (parts: Parts) =>
  ({ firstSourceSeq, lastSourceSeq, dropped, reason, ranges }: Gap): NewRecord => {
    const data = {
      firstSourceSeq,
      lastSourceSeq,
      dropped,
      reason: reason === 'lost' ? 'the buffer was unreadable' : 'the buffer was full',
      ranges: ranges.map(([first, last]): [number, number] => [first, last]),
    };
    const entry = encodeReport('gap', data, metaOf(parts, makeId('event', parts.ids.ulid())));
    return { ...entry, lane: LANE, kind: 'gap', worth: ESSENTIAL };
  };

export interface HostReporter {
  /** Resolves when report and notes are on disk. `id` is fixed by what it is about: the same report made twice is one. */
  write<Name extends HostReportName>(
    name: Name,
    data: HostReportData<Name>,
    options: { readonly id: string; readonly notes?: readonly Note[]; readonly causation?: string },
  ): Promise<void>;
  /** Notes alone. */
  note(notes: readonly Note[]): Promise<void>;
}

export const createHostReporter = (
  parts: Parts & { readonly redactor: Redactor },
  outbox: Outbox,
): HostReporter => {
  const commit = createPatientCommit(outbox, parts.clock);
  return {
    write: async (name, data, { id, notes = [], causation }) => {
      const redacted = parts.redactor.value(data).value as typeof data;
      const entry = encodeReport(name, redacted, metaOf(parts, id, causation));
      await commit({ records: [{ ...entry, lane: LANE, kind: name, worth: ESSENTIAL }], notes });
    },
    note: async (notes) => {
      await commit({ notes });
    },
  };
};
