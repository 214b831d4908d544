// Audit — watches over the record itself: notices what is missing of the reports of a runner, or came twice, and puts an alarm on
// record. Any number of instances may run. Repairs nothing; what verifies and rebuilds projections are commands (see cli).
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { duration } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';
import { createReadView } from '#libs/projections/read-view.ts';
import type { Loop, ServiceContext } from '#libs/service/context.ts';
import { defineService } from '#libs/service/define-service.ts';
import { projectionLoop } from '#libs/service/loops.ts';
import { scratchBucket } from '#streams/buckets.ts';
import { buildDeadLetter } from '#streams/dead-letters.ts';
import { sourceViewSchema } from '#streams/source-view.ts';
import { createAlarms, type Alarms, type AlarmNews, type OpenAlarm } from './alarms.ts';
import { sourcesProjection } from './projections.ts';

const AuditConfig = configSchema({
  graceMs: duration({ min: 100 })
    .default(120_000)
    .describe(
      'How long a number may be missing among the reports of a runner before it is an alarm: a refused report is overtaken meanwhile.',
    ),
  lookMs: duration({ min: 50 }).default(5000).describe('How often the numbers of all runners are looked at.'),
});
type Context = ServiceContext<ConfigOf<typeof AuditConfig>>;

/** Nobody waits for the summaries: gathered, they cost a write a second and not one a report. */
const PACE_MS = 1000;
const sourceSummary = sourceViewSchema.omit({ seq: true });

const textOf = (open: readonly OpenAlarm[]): string => {
  if (open.length === 0) return 'no report of any runner is missing';
  const [first] = open.map(
    ({ agent, reports, ranges }) => `${agent} misses ${reports}, from ${ranges[0]?.[0]}`,
  );
  return `${open.length} with missing reports: ${first}${open.length > 1 ? ' …' : ''}; see fleetlog alarms`;
};

const report = ({ logger, metrics }: Context): ((news: AlarmNews) => void) => {
  const raised = metrics.counter('fleetlog_source_alarms_total', 'Alarms about the reports of runners.', [
    'problem',
  ]);
  return (news) => {
    const { agent, seq } = news;
    if (news.kind === 'cleared') {
      const { ranges, reports } = news.cleared;
      return logger.info('missing reports came or were named', { agent, seq, reports, ranges });
    }
    const { problem, ranges, reports, noticedSeq } = news.alarm;
    raised.add({ problem });
    logger.error('reports of a runner are missing or came twice', {
      agent,
      seq,
      problem,
      reports,
      ranges,
      noticedSeq,
    });
  };
};

/** The alarm loop with what it reads; the view lives as long as the loop. */
const alarmLoop = (context: Context): Loop => {
  const { clock, config, logger, metrics } = context;
  const missing = metrics.gauge(
    'fleetlog_source_missing_reports',
    'Reports of a runner that an alarm names.',
    ['agent'],
  );
  const observe = report(context);
  let alarms: Alarms | undefined;
  let shown: readonly OpenAlarm[] = [];
  const show = (): void => {
    const open = alarms?.open() ?? [];
    for (const { agent } of shown) missing.remove({ agent });
    for (const { agent, reports } of open) missing.set({ agent }, reports);
    shown = open;
  };
  // An alarm is about a runner: this service is well, and goes on.
  context.checks.add('reports', () => ({ ok: true, detail: textOf(shown) }));
  return {
    name: 'alarms',
    run: async (signal) => {
      const failed = Promise.withResolvers<never>();
      const view = createReadView({
        projection: { name: 'sources', bucket: 'sources', parse: (value) => sourceSummary.parse(value) },
        kv: context.bucket('sources'),
        clock,
        onInvalid: (key, error) => logger.warn('a summary cannot be read', { viewKey: key, error }),
        onFatal: failed.reject,
      });
      alarms = createAlarms({
        view,
        events: context.log('EVENTS'),
        clock,
        graceMs: config.graceMs,
        observe,
        onTrouble: (agent, fault) =>
          logger.warn('an alarm is left to the next look', { agent, error: fault }),
        afterLook: show,
      });
      try {
        await Promise.race([alarms.watch(config.lookMs, signal), failed.promise]);
      } finally {
        await view.stop();
      }
    },
  };
};

export const audit = defineService({
  name: 'audit',
  config: AuditConfig,
  loops: (context) => [
    projectionLoop(context, {
      projection: sourcesProjection,
      deadLetters: createDeadLetters({ log: context.log('DEADLETTERS'), build: buildDeadLetter }),
      scratch: scratchBucket,
      limits: { paceMs: PACE_MS },
    }),
    alarmLoop(context),
  ],
});
