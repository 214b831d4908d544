// fleetlog sessions and fleetlog runners: who talks with whom, and which runners are alive. Read from the gateway.
import { presenceSchema } from '#streams/buckets.ts';
import { sessionViewSchema } from '#streams/session-view.ts';
import type { Command } from 'commander';
import { z } from 'zod';
import { invocation, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { ago, table } from './output.ts';

const sessionsSchema = z.object({ sessions: z.array(sessionViewSchema), next: z.string().nullish() });
const runnersSchema = z.object({ agents: z.array(z.string()), runners: z.array(presenceSchema) });

const listSessions = async (
  context: CliContext,
  flags: StackFlags & { readonly agent?: string; readonly cursor?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const query = new URLSearchParams();
  if (flags.agent !== undefined) query.set('agent', flags.agent);
  if (flags.cursor !== undefined) query.set('cursor', flags.cursor);
  const page = await call.api.call({ path: `/api/v1/sessions?${query.toString()}` }, sessionsSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const now = context.clock.now();
  const rows = page.sessions.map((session) => [
    session.sessionId,
    session.activeRuns.length > 0 ? 'active' : (session.lastOutcome ?? 'idle'),
    session.agent,
    String(session.runs),
    ago(session.lastActivityAt, now),
    session.title ?? '',
  ]);
  context.terminal.out(table(['SESSION', 'STATE', 'AGENT', 'RUNS', 'ACTIVE', 'TITLE'], rows));
  if (typeof page.next === 'string')
    context.terminal.note(`more: fleetlog sessions list --cursor ${page.next}`);
};

const showSession = async (context: CliContext, sessionId: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const shown = await call.api.call(
    { path: `/api/v1/sessions/${encodeURIComponent(sessionId)}` },
    z.record(z.string(), z.unknown()),
  );
  if (call.isJson) return context.terminal.out(JSON.stringify(shown));
  context.terminal.out(JSON.stringify(shown, null, 2));
};

const listRunners = async (context: CliContext, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const page = await call.api.call({ path: '/api/v1/runners' }, runnersSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const now = context.clock.now();
  const rows = page.runners.map((runner) => [
    runner.agent,
    runner.runnerId,
    runner.providers.join(','),
    runner.version,
    `${ago(runner.seenAt, now)} ago`,
    String(runner.buffered),
  ]);
  context.terminal.out(table(['AGENT', 'RUNNER', 'PROVIDERS', 'VERSION', 'SEEN', 'BUFFERED'], rows));
  if (rows.length === 0) context.terminal.note('no runner is alive');
};

/** Registers the commands. */
export const registerSessionCommands = (program: Command, context: CliContext): void => {
  const sessions = program.command('sessions').description('Conversations of agents');
  withStackFlags(sessions.command('list'))
    .description('Sessions, latest activity first')
    .option('--agent <name>', 'only of this agent')
    .option('--cursor <cursor>', 'go on after a page')
    .action((flags: StackFlags) => listSessions(context, flags));
  withStackFlags(sessions.command('show'))
    .description('One session, whole')
    .argument('<session>')
    .action((sessionId: string, flags: StackFlags) => showSession(context, sessionId, flags));
  withStackFlags(program.command('runners'))
    .description('Runners that are alive')
    .action((flags: StackFlags) => listRunners(context, flags));
};
