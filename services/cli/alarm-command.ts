// fleetlog alarms: which reports of which runner are missing from the record or came twice, as the audit service has noticed.
import { sourceViewSchema, type SourceView } from '#streams/source-view.ts';
import type { Command } from 'commander';
import { z } from 'zod';
import { invocation, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { ago, table } from './output.ts';

const sourcesSchema = z.object({ sources: z.array(sourceViewSchema) });

/** One thing that is wrong with the reports of a runner. */
interface Alarm {
  readonly agent: string;
  readonly problem: 'missing' | 'repeated' | 'unlisted';
  readonly reports: number;
  /** First and last number, where they are known. */
  readonly range: readonly [number, number] | null;
  readonly buffer: string | null;
  /** When it was noticed, epoch ms, and the alarm in EVENTS. */
  readonly noticedAt: number | null;
  readonly alarmSeq: number | null;
}

const missingOf = ({ agent, numberings }: SourceView): readonly Alarm[] =>
  numberings.flatMap(({ buffer, missing }) =>
    missing.flatMap(({ range, seenAt, alarmSeq }): readonly Alarm[] => {
      if (alarmSeq === null) return [];
      const reports = range[1] - range[0] + 1;
      return [{ agent, problem: 'missing', reports, range, buffer, noticedAt: seenAt, alarmSeq }];
    }),
  );

const alarmsOf = (source: SourceView): readonly Alarm[] => {
  const { agent, repeated, unlisted, alarmSeq } = source;
  const told = alarmSeq === 0 ? null : alarmSeq;
  const nowhere = { agent, range: null, buffer: null, noticedAt: null, alarmSeq: told };
  return [
    ...missingOf(source),
    ...(repeated > 0 ? [{ ...nowhere, problem: 'repeated', reports: repeated } as const] : []),
    ...(unlisted > 0 ? [{ ...nowhere, problem: 'unlisted', reports: unlisted } as const] : []),
  ];
};

const listAlarms = async (context: CliContext, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const { sources } = await call.api.call({ path: '/api/v1/sources' }, sourcesSchema);
  const alarms = sources.flatMap(alarmsOf);
  if (call.isJson) return context.terminal.out(JSON.stringify({ alarms }));
  if (alarms.length === 0) return context.terminal.note('no report of any runner is missing');
  const now = context.clock.now();
  const rows = alarms.map(({ agent, problem, reports, range, noticedAt, alarmSeq }) => [
    agent,
    problem,
    String(reports),
    range === null ? '' : range.join('–'),
    noticedAt === null ? '' : `${ago(noticedAt, now)} ago`,
    alarmSeq === null ? '' : `EVENTS ${alarmSeq}`,
  ]);
  context.terminal.out(table(['AGENT', 'PROBLEM', 'REPORTS', 'NUMBERS', 'NOTICED', 'ALARM'], rows));
  context.terminal.note(
    'a refused report waits in its runner: fleetlog outbox list; one that a runner gave up is a dead letter: fleetlog replay DEADLETTERS',
  );
};

/** Registers the command. */
export const registerAlarmCommand = (program: Command, context: CliContext): void => {
  withStackFlags(program.command('alarms'))
    .description('Reports of runners that are missing from the record, or came twice')
    .action((flags: StackFlags) => listAlarms(context, flags));
};
