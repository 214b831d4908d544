// fleetlog session: the conversations of agents: lists by attention, one of them, its record and output, what has been read, and the
// storage of those whose time is over. Everything goes through the gateway.
import { SESSION_API } from '#streams/http/sessions.ts';
import type { Command } from 'commander';
import { invocation, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { itemLine } from './feed-line.ts';
import { fieldLines } from './field-lines.ts';
import { ago, table, withoutControls } from './output.ts';
import { wholeNumber } from './work-arguments.ts';

const pathOf = (sessionId: string, what = ''): string =>
  `/api/v1/sessions/${encodeURIComponent(sessionId)}${what}`;

/** The flags that are given as a query. */
const queryOf = (flags: Readonly<Record<string, string | undefined>>): string => {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(flags)) if (value !== undefined) query.set(name, value);
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
};

interface ListFlags extends StackFlags {
  readonly state?: string;
  readonly agent?: string;
  readonly provider?: string;
  readonly reader?: string;
  readonly limit?: string;
  readonly cursor?: string;
}

const list = async (context: CliContext, flags: ListFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const { state, agent, provider, reader, limit, cursor } = flags;
  const query = queryOf({ state, agent, provider, reader, limit, cursor });
  const page = await call.api.call({ path: `/api/v1/sessions${query}` }, SESSION_API.listSessions.answer);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const now = context.clock.now();
  const rows = page.sessions.map((session) => [
    session.sessionId,
    session.attentionState,
    session.executionState === 'terminal' ? (session.lastOutcome ?? 'terminal') : session.executionState,
    session.agent,
    String(session.runs),
    ago(session.lastActivityAt, now),
    String(session.version),
    withoutControls(session.title ?? ''),
  ]);
  const head = ['SESSION', 'ATTENTION', 'STATE', 'AGENT', 'RUNS', 'ACTIVE', 'VERSION', 'TITLE'];
  context.terminal.out(table(head, rows));
  if (page.next !== null) {
    const again = Object.entries({ state, agent, provider, reader, limit, cursor: page.next });
    const words = again.flatMap(([name, value]) => (value === undefined ? [] : [`--${name} ${value}`]));
    context.terminal.note(`more: fleetlog session list ${words.join(' ')}`);
  }
};

const show = async (
  context: CliContext,
  sessionId: string,
  flags: StackFlags & { readonly reader?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const path = pathOf(sessionId, queryOf({ reader: flags.reader }));
  const session = await call.api.call({ path }, SESSION_API.getSession.answer);
  if (call.isJson) return context.terminal.out(JSON.stringify(session));
  for (const line of fieldLines(session, context.clock.now(), ['tenant', 'project', 'seq', 'links']))
    context.terminal.out(line);
};

interface PageFlags extends StackFlags {
  readonly run?: string;
  readonly after?: string;
  readonly limit?: string;
  readonly all?: boolean;
}

/** Pages of the record: one, or with `--all` every one up to the end as it is now. */
const pages = async (
  context: CliContext,
  { sessionId, what }: { readonly sessionId: string; readonly what: 'trace' | 'output' },
  flags: PageFlags,
): Promise<void> => {
  const call = await invocation(context, flags);
  let { after, run } = flags;
  for (;;) {
    const path = pathOf(sessionId, `/${what}${queryOf({ run, after, limit: flags.limit })}`);
    const page = await call.api.call({ path, signal: context.signal }, SESSION_API.getSessionTrace.answer);
    if (call.isJson) context.terminal.out(JSON.stringify(page));
    else for (const item of page.events) context.terminal.out(itemLine(item));
    await context.terminal.flushed();
    if (!call.isJson && page.runId === null) context.terminal.note('no run was ever in this session');
    if (flags.all === true && page.hasMore && page.next !== null) {
      after = page.next;
      // The run that is looked at stays the same, whatever begins meanwhile.
      run = page.runId ?? undefined;
      continue;
    }
    if (!call.isJson && page.next !== null)
      context.terminal.note(
        `${page.hasMore ? 'more' : 'that is all so far; later'}: fleetlog session ${what} ${sessionId} --run ${page.runId} --after ${page.next}`,
      );
    return;
  }
};

const read = async (
  context: CliContext,
  sessionId: string,
  flags: StackFlags & { readonly reader?: string; readonly seen?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const { reader } = flags;
  const seen = wholeNumber('--seen', flags.seen);
  // Without a version, what is shown now is what was seen.
  const version =
    seen ?? (await call.api.call({ path: pathOf(sessionId) }, SESSION_API.getSession.answer)).version;
  const answer = await call.api.call(
    { method: 'POST', path: pathOf(sessionId, '/read'), body: { reader, version } },
    SESSION_API.readSession.answer,
  );
  if (call.isJson) return context.terminal.out(JSON.stringify(answer));
  context.terminal.out(`${answer.reader} has seen ${sessionId} up to ${answer.version}`);
};

const collect = async (
  context: CliContext,
  flags: StackFlags & { readonly dryRun?: boolean },
): Promise<void> => {
  const call = await invocation(context, flags);
  const answer = await call.api.call(
    { method: 'POST', path: '/api/v1/sessions/collect', body: { trial: flags.dryRun === true } },
    SESSION_API.collectSessions.answer,
  );
  if (call.isJson) return context.terminal.out(JSON.stringify(answer));
  const now = context.clock.now();
  const rows = answer.evicted.map((one) => [
    one.sessionId,
    withoutControls(one.name),
    `${ago(one.expiresAt, now)} ago`,
  ]);
  if (rows.length > 0) context.terminal.out(table(['SESSION', 'STORAGE', 'EXPIRED'], rows));
  const what = answer.trial ? 'would be given up' : 'given up';
  context.terminal.note(
    `storage of ${rows.length} sessions ${what}${answer.hasMore ? '; there is more: again' : ''}`,
  );
};

const registerPages = (session: Command, context: CliContext): void => {
  const what = {
    trace: 'The record of a run: transitions and reports in one order',
    output: 'What a run put out: texts, output of tools and programs, changed files, mistakes, the end',
  } as const;
  for (const name of ['trace', 'output'] as const)
    withStackFlags(session.command(name))
      .description(what[name])
      .argument('<session>')
      .option('--run <id>', 'of this run; default: the active one, else the last')
      .option('--after <cursor>', 'go on after a page')
      .option('--limit <n>', 'items of a page, at most 500')
      .option('--all', 'every page up to the end as it is now; with --json one page a line')
      .action((sessionId: string, flags: PageFlags) => pages(context, { sessionId, what: name }, flags));
};

/** Registers the commands. */
export const registerSessionCommands = (program: Command, context: CliContext): void => {
  const session = program
    .command('session')
    .alias('sessions')
    .description('Conversations of agents: list, show, trace, output, read, gc');
  withStackFlags(session.command('list'))
    .description(
      'Sessions by attention: active, then unread, then read; within each the latest activity first',
    )
    .option('--state <list>', 'default (active or unread), all, running, unread, terminal or idle')
    .option('--agent <name>', 'only of this agent')
    .option('--provider <name>', 'only with this kind of program')
    .option('--reader <name>', 'what is unread for this reader; without one everything is that is not active')
    .option('--limit <n>', 'sessions of a page, at most 100')
    .option('--cursor <cursor>', 'go on after a page')
    .addHelpText(
      'after',
      '\nExamples:\n  fleetlog session list --reader anna\n  fleetlog session list --state all --agent builder-1 --json',
    )
    .action((flags: ListFlags) => list(context, flags));
  withStackFlags(session.command('show'))
    .description('One session, whole')
    .argument('<session>')
    .option('--reader <name>', 'and what it is to this reader')
    .action((sessionId: string, flags: StackFlags & { reader?: string }) => show(context, sessionId, flags));
  registerPages(session, context);
  withStackFlags(session.command('read'))
    .description('Note that a session was read: what changes after it is unread again')
    .argument('<session>')
    .option('--reader <name>', "who has read it; default: whoever's token it is")
    .option('--seen <version>', 'the version that was seen; default: the one that is shown now')
    .action((sessionId: string, flags: StackFlags & { reader?: string; seen?: string }) =>
      read(context, sessionId, flags),
    );
  withStackFlags(session.command('gc'))
    .description(
      'Give up the storage of sessions whose time is over now; the collector does it by itself now and then',
    )
    .option('--dry-run', 'only say which')
    .action((flags: StackFlags & { dryRun?: boolean }) => collect(context, flags));
};
