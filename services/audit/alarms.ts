// Puts alarms about the reports of runners on record, and their end: an entry of EVENTS beside the reports themselves. Looks at the
// summaries of bucket `sources` now and then. Any number of instances may look: each append expects the last alarm that the
// summary knows, so an alarm is told once. Decides nothing by itself (alarms.policy.ts).
import { aborted } from '#libs/service/aborted.ts';
import { toFault, type Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { Stamped } from '#libs/projections/projection.ts';
import type { ReadView } from '#libs/projections/read-view.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { ReportData } from '#streams/reports.ts';
import { alarmedOf, dueAlarm, dueClearing, type AlarmRules } from './alarms.policy.ts';
import { sizeOf, type NumberRange } from './number-ranges.view.ts';
import type { SourceSummary } from './source.view.ts';

/** An alarm, or its end, for logs and metrics. */
export type AlarmNews = { readonly agent: string; readonly seq: number } & (
  | { readonly kind: 'alarm'; readonly alarm: ReportData<'source-alarm'> }
  | { readonly kind: 'cleared'; readonly cleared: ReportData<'source-cleared'> }
);

/** What is missing of a runner by the alarms on record. */
export interface OpenAlarm {
  readonly agent: string;
  readonly reports: number;
  readonly ranges: readonly NumberRange[];
}

interface Parts {
  readonly view: ReadView<SourceSummary>;
  /** The log of EVENTS. */
  readonly events: EventLog;
  readonly clock: Clock;
  readonly graceMs: number;
  readonly observe: (news: AlarmNews) => void;
  readonly onTrouble: (agent: string, fault: Fault) => void;
  readonly afterLook: () => void;
}

export interface Alarms {
  /** Looks at all runners once. Throws the log's faults. */
  look(): Promise<void>;
  /** Looks every so often until the signal aborts. */
  watch(everyMs: number, signal: AbortSignal): Promise<void>;
  open(): readonly OpenAlarm[];
}

const SOURCE = '/service/audit';
/** How long a look waits for the summaries to catch up before it is left to the next. */
const SHOWN_WITHIN_MS = 5000;

type Told =
  | { readonly name: 'source-alarm'; readonly data: ReportData<'source-alarm'>; readonly lastSeq: number }
  | {
      readonly name: 'source-cleared';
      readonly data: ReportData<'source-cleared'>;
      readonly lastSeq: number;
    };

const rangesText = (ranges: readonly NumberRange[]): string =>
  ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join('.');

const entryOf = ({ name, data }: Told, view: SourceSummary, { now, seq }: { now: number; seq: number }) => {
  const { tenant, project, agent } = view;
  const meta = {
    boundary: { tenant, project },
    agent,
    // What it is about, and the summary that shows it: whoever looks at the same says the same.
    id: `sources.${agent}.${name}.${seq}.${rangesText(data.ranges.slice(0, 4))}`,
    source: SOURCE,
    timeMs: now,
    actor: 'service:audit',
  };
  return name === 'source-alarm'
    ? encodeReport(name, data, meta)
    : encodeReport('source-cleared', data, meta);
};

const isQuiet = ({ numberings }: SourceSummary): boolean =>
  numberings.every(
    ({ missing, repeated, cleared }) => missing.length === 0 && repeated === null && cleared.length === 0,
  );

/** Its sequence; undefined: somebody else told something meanwhile, and the summary will show it. */
const tell = async (
  { events, clock }: Pick<Parts, 'events' | 'clock'>,
  told: Told,
  { seq, state }: Stamped<SourceSummary>,
): Promise<number | undefined> => {
  const entry = entryOf(told, state, { now: clock.now(), seq });
  let expectedSeq = told.lastSeq;
  for (;;) {
    const outcome = await events.append({ ...entry, expectedSeq });
    if (outcome.kind === 'appended') return outcome.seq;
    // The stream has forgotten the last one (by age or size).
    if (outcome.actualSeq >= expectedSeq) return undefined;
    expectedSeq = outcome.actualSeq;
  }
};

const lookAt = async (parts: Parts, source: Stamped<SourceSummary>, rules: AlarmRules): Promise<void> => {
  const { agent, alarmSeq, clearedSeq } = source.state;
  const alarm = dueAlarm(source.state, rules);
  if (alarm !== undefined) {
    const told = { name: 'source-alarm', data: alarm, lastSeq: alarmSeq } as const;
    const seq = await tell(parts, told, source);
    if (seq !== undefined) parts.observe({ kind: 'alarm', agent, seq, alarm });
  }
  const cleared = dueClearing(source.state);
  if (cleared === undefined) return;
  const told = { name: 'source-cleared', data: cleared, lastSeq: clearedSeq } as const;
  const seq = await tell(parts, told, source);
  if (seq !== undefined) parts.observe({ kind: 'cleared', agent, seq, cleared });
};

export const createAlarms = (parts: Parts): Alarms => {
  const { view, events, clock } = parts;

  const troubled = (): readonly (readonly [string, Stamped<SourceSummary>])[] =>
    [...view.list()].filter(([, { state }]) => !isQuiet(state));

  const look = async (): Promise<void> => {
    if (troubled().length === 0) return;
    const { firstSeq, lastSeq } = await events.bounds();
    const rules = { graceMs: parts.graceMs, now: clock.now(), isWhole: firstSeq <= 1 };
    // What seems to be missing may stand in what has not been folded yet: an hour of it, after an outage of this service.
    if (!(await isShown(lastSeq))) return;
    for (const [, source] of troubled()) {
      try {
        await lookAt(parts, source, rules);
      } catch (error) {
        parts.onTrouble(source.state.agent, toFault(error));
      }
    }
  };

  const isShown = async (seq: number): Promise<boolean> => {
    try {
      await view.waitFor(seq, { timeoutMs: SHOWN_WITHIN_MS });
      return true;
    } catch (error) {
      if (toFault(error).code === 'VIEW_BEHIND') return false;
      throw error;
    }
  };

  return {
    look,
    watch: async (everyMs, signal) => {
      await Promise.race([view.ready, aborted(signal)]);
      while (!signal.aborted) {
        await look();
        parts.afterLook();
        await clock.sleep(everyMs, signal);
      }
    },
    open: () =>
      [...view.list()].flatMap(([, { state }]) => {
        const ranges = alarmedOf(state).flatMap((numbering) => numbering.ranges);
        return ranges.length === 0 ? [] : [{ agent: state.agent, reports: sizeOf(ranges), ranges }];
      }),
  };
};
