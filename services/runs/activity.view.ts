// What goes on inside a run, as a fold of its reports (bucket `activity`). Pure and total over every released report.
// Counts what was reported, also by a runner that has lost its claim: whether a report moved the run is in TRANSITIONS.
import type { ActivityView } from '#streams/buckets.ts';
import type { Report } from '#streams/report-codec.ts';
import type { ReportData, ReportName, RunlessReportName } from '#streams/reports.ts';
import type { Boundary } from '#streams/subjects.ts';

/** The value of the bucket without its stamp. */
export type ActivitySummary = Omit<ActivityView, 'seq'>;

/** A report and where it stands. */
export interface PlacedReport {
  readonly boundary: Boundary;
  readonly agent: string;
  readonly seq: number;
  /** When it happened at its source, epoch ms. */
  readonly occurredAt: number;
  readonly report: Report;
}

const TEXT_CHARACTERS = 500;

/** The end of a text, because the last words say where the work stands. */
const lastWords = (text: string): string => text.slice(-TEXT_CHARACTERS);

const nothing = (): Partial<ActivitySummary> => ({});

/** What a report changes besides being counted. */
const CHANGE: {
  readonly [Name in ReportName]: (view: ActivitySummary, data: ReportData<Name>) => Partial<ActivitySummary>;
} = {
  'tool-started': ({ tools }) => ({ tools: tools + 1 }),
  'file-changed': ({ filesChanged }) => ({ filesChanged: filesChanged + 1 }),
  text: (_view, { text }) => (text === '' ? {} : { lastText: lastWords(text) }),
  // Providers say what was used so far: the newest stands for all.
  usage: (_view, { usage }) => ({ usage }),
  'turn-finished': (_view, { result }) => (result.usage === undefined ? {} : { usage: result.usage }),
  'report-refused': ({ refused }) => ({ refused: refused + 1 }),
  'approval-wanted': nothing,
  'approval-withdrawn': nothing,
  'answer-refused': nothing,
  'command-acknowledged': nothing,
  'command-finished': nothing,
  'turn-started': nothing,
  reasoning: nothing,
  'tool-finished': nothing,
  'session-bound': nothing,
  'session-forked': nothing,
  'session-mode': nothing,
  plan: nothing,
  'session-primed': nothing,
  'turn-signalled': nothing,
  output: nothing,
  'unknown-line': nothing,
  'prompt-echoed': nothing,
  'hook-failed': nothing,
  'session-ended': nothing,
  'stop-gate': nothing,
  insight: nothing,
  gap: nothing,
  'source-alarm': nothing,
  'source-cleared': nothing,
  'mail-injected': nothing,
  // Of no run.
  'mail-delivered': nothing,
  'mail-expired': nothing,
  'mail-posted': nothing,
  'spawn-started': nothing,
  'spawn-refused': nothing,
  'agent-exited': nothing,
  'unknown-agent-stopped': nothing,
};

type AnyChange = (view: ActivitySummary, data: Report['data']) => Partial<ActivitySummary>;

const first = (
  { boundary, agent, seq, occurredAt }: PlacedReport,
  about: { readonly runId: string; readonly sessionId: string },
): ActivitySummary => ({
  tenant: boundary.tenant,
  project: boundary.project,
  runId: about.runId,
  sessionId: about.sessionId,
  agent,
  firstSeq: seq,
  lastSeq: seq,
  reports: 0,
  tools: 0,
  filesChanged: 0,
  refused: 0,
  lastText: null,
  usage: null,
  lastReportAt: occurredAt,
});

/** False for what is about the runner, its mail or a host. */
const isOfRun = (report: Report): report is Exclude<Report, { readonly name: RunlessReportName }> =>
  'runId' in report.data;

/** The run a report is about; undefined for one that is about none. */
export const runIdOfReport = (report: Report): string | undefined =>
  isOfRun(report) ? report.data.runId : undefined;

/**
 * The summary after one more report. A refusal cannot be a run's first report (what was refused came before it), so
 * without a summary it is passed over. Does not skip what it has seen: the projection does, by the stored sequence.
 */
export const foldActivity = (
  view: ActivitySummary | undefined,
  placed: PlacedReport,
): ActivitySummary | undefined => {
  const { report, seq, occurredAt } = placed;
  if (!isOfRun(report)) return view;
  const before = view ?? (report.name === 'report-refused' ? undefined : first(placed, report.data));
  // A report says itself which run it is about: what an agent says about the run of another does not count.
  if (before === undefined || before.agent !== placed.agent) return view;
  return {
    ...before,
    ...(CHANGE[report.name] as AnyChange)(before, report.data),
    lastSeq: seq,
    reports: before.reports + 1,
    lastReportAt: Math.max(before.lastReportAt, occurredAt),
  };
};
