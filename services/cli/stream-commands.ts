// fleetlog tail and fleetlog replay: what is happening, and what happened, straight from the streams.
import { Fault } from '#libs/kernel/fault.ts';
import type { ReplayOptions, ReplayStart } from '#libs/ports/event-log.ts';
import type { Command } from 'commander';
import { invocation, withFleet, withStackFlags, type Invocation, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { entryLine, entryObject, type PlacedEntry } from './entry-line.ts';
import { mergedReplay } from './merge-streams.ts';
import { chooseStreams, type StreamQuestion } from './stream-choice.ts';
import { parsePoint, type Point } from './time-argument.ts';

interface ReadFlags extends StackFlags, StreamQuestion {
  readonly from?: string;
  readonly to?: string;
  readonly limit?: string;
}

const collect = (value: string, list: string[] | undefined): string[] => [...(list ?? []), value];

const withChoice = (command: Command): Command =>
  withStackFlags(command)
    .option(
      '--subject <filter>',
      'only these subjects, * and > allowed; may be given more than once',
      collect,
    )
    .option(
      '--stream <name>',
      'only this stream (EVENTS, COMMANDS, TRANSITIONS, MESSAGES, DEADLETTERS, TIMERS); may be given more than once',
      collect,
    )
    .option('--agent <name>', "only this agent's reports, instructions and mail")
    .option('--run <id>', "only this run's transitions");

const point = (context: CliContext, flag: string, text: string | undefined): Point | undefined =>
  text === undefined ? undefined : parsePoint(flag, text, context.clock.now(), context.parseTime);

const limitOf = (text: string | undefined): number => {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const limit = Number(text);
  if (Number.isSafeInteger(limit) && limit > 0) return limit;
  throw new Fault({
    code: 'ARGUMENT_INVALID',
    retry: 'never',
    message: `--limit ${JSON.stringify(text)}: expected a number from 1 on`,
  });
};

const onlyOneStream = (flag: string, streams: number): void => {
  if (streams === 1) return;
  throw new Fault({
    code: 'ARGUMENT_INVALID',
    retry: 'never',
    message: `${flag} as a sequence needs one stream, and ${streams} are read: add --stream NAME, or give a time`,
  });
};

const print = async ({ context, isJson }: Invocation, entry: PlacedEntry): Promise<void> => {
  context.terminal.out(isJson ? JSON.stringify(entryObject(entry)) : entryLine(entry));
  await context.terminal.flushed();
};

const optionsOf = (
  from: ReplayStart | undefined,
  signal: AbortSignal,
  subjects: readonly string[],
): ReplayOptions => ({
  signal,
  ...(from !== undefined && { from }),
  ...(subjects.length > 0 && { subjects }),
});

const replay = async (context: CliContext, flags: ReadFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const choices = chooseStreams(flags);
  const from = point(context, '--from', flags.from);
  const to = point(context, '--to', flags.to);
  for (const [flag, value] of [
    ['--from', from],
    ['--to', to],
  ] as const)
    if (value !== undefined && 'seq' in value) onlyOneStream(flag, choices.length);
  const limit = limitOf(flags.limit);
  const untilMs = to !== undefined && 'atMs' in to ? to.atMs : Number.POSITIVE_INFINITY;
  await withFleet(call, async (fleet) => {
    const logs = choices.map(({ stream, subjects }) => {
      const log = fleet.log(stream);
      const toSeq = to !== undefined && 'seq' in to ? { toSeq: to.seq } : {};
      return { stream, replay: () => log.replay({ ...optionsOf(from, context.signal, subjects), ...toSeq }) };
    });
    let printed = 0;
    for await (const entry of mergedReplay(logs, {})) {
      if (entry.storedAt > untilMs || context.signal.aborted) break;
      await print(call, entry);
      if (++printed >= limit) break;
    }
    if (!call.isJson && printed === 0) context.terminal.note('nothing there in these bounds');
  });
};

/** What was stored before now, merged in the order of storing; then what comes, as it comes. */
const tail = async (context: CliContext, flags: ReadFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const choices = chooseStreams(flags);
  const from = point(context, '--from', flags.from);
  if (from !== undefined && 'seq' in from) onlyOneStream('--from', choices.length);
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  let left = limitOf(flags.limit);
  const show = async (entry: PlacedEntry): Promise<void> => {
    if (left <= 0 || signal.aborted) return;
    // Counted before it is printed: another stream may bring an entry meanwhile.
    left -= 1;
    await print(call, entry);
    if (left <= 0) stop.abort();
  };
  await withFleet(call, async (fleet) => {
    const reads = await Promise.all(
      choices.map(async ({ stream, subjects }) => {
        const log = fleet.log(stream);
        return { stream, subjects, log, head: (await log.bounds()).lastSeq };
      }),
    );
    if (!call.isJson)
      context.terminal.note(`following ${choices.map(({ stream }) => stream).join(', ')}; Ctrl-C ends`);
    const past = reads.map(({ stream, subjects, log, head }) => ({
      stream,
      replay: () => log.replay({ ...optionsOf(from, signal, subjects), toSeq: head }),
    }));
    if (from !== undefined) for await (const entry of mergedReplay(past, {})) await show(entry);
    const first = (head: number): number =>
      from !== undefined && 'seq' in from ? Math.max(from.seq, head + 1) : head + 1;
    await Promise.all(
      reads.map(async ({ stream, subjects, log, head }) => {
        const options = { ...optionsOf({ seq: first(head) }, signal, subjects), follow: true };
        for await (const entry of log.replay(options)) await show({ ...entry, stream });
      }),
    );
  });
};

/** Registers both commands. */
export const registerStreamCommands = (program: Command, context: CliContext): void => {
  withChoice(program.command('tail'))
    .description('Show what is appended to the streams, as it comes')
    .option('--from <point>', 'begin earlier: a sequence, a time, or how long ago (10m, 2h)')
    .option('--limit <n>', 'end after so many entries')
    .addHelpText(
      'after',
      '\nExamples:\n  fleetlog tail\n  fleetlog tail --agent builder-1 --from 10m\n  fleetlog tail --stream TRANSITIONS --json | jq .data',
    )
    .action((flags: ReadFlags) => tail(context, flags));
  withChoice(program.command('replay'))
    .description('Show what was appended to the streams, in order, and end')
    .option(
      '--from <point>',
      'first entry: a sequence (of one stream), a time, or how long ago (10m, 2h); default: the beginning',
    )
    .option('--to <point>', 'last entry, likewise; default: what is there now')
    .option('--limit <n>', 'end after so many entries')
    .addHelpText(
      'after',
      '\nOrder is that of the stream; several streams are merged by the time of storing.\n\nExamples:\n  fleetlog replay --from 1h --json\n  fleetlog replay --stream EVENTS --from 1 --to 500\n  fleetlog replay --subject "fleet.*.*.run.*.*" --from 2026-11-21T07:00:00Z --to 2026-11-21T08:00:00Z',
    )
    .action((flags: ReadFlags) => replay(context, flags));
};
