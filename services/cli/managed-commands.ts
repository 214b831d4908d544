// The agents that policies keep, for people: fleetlog start, stop, restart, pause, resume; why (what led to the state of one, in plain
// words) and top (all of them, live).
import { POLICY_API } from '#streams/http/policies.ts';
import type { ManagedAgentView } from '#streams/policy-views.ts';
import type { Command } from 'commander';
import type { z } from 'zod';
import { invocation, withStackFlags, type Invocation, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { ago, clockText, table, withoutControls } from './output.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { wholeNumber } from './work-arguments.ts';

const WORDS = {
  start: 'Have an agent run, whatever was asked before; a wait after a failure is kept',
  stop: 'Have an agent stopped until a start is asked for, whatever its mode',
  restart: 'Start an agent anew',
  pause: 'Set a policy aside: its agent is stopped and nothing starts it',
  resume: 'Let a paused policy count again',
} as const;

const ask = async (
  context: CliContext,
  { name, what }: { readonly name: string; readonly what: keyof typeof WORDS },
  flags: StackFlags & { readonly reason?: string },
): Promise<void> => {
  const call = await invocation(context, flags);
  const body = flags.reason === undefined ? {} : { reason: flags.reason };
  const path = `/api/v1/policies/${encodeURIComponent(name)}/${what}`;
  const answer = await call.api.call({ method: 'POST', path, body }, POLICY_API.startAgent.answer);
  if (call.isJson) return context.terminal.out(JSON.stringify(answer));
  context.terminal.out(
    `${name}: ${answer.unchanged ? 'as asked already' : `${what} is asked for`}; it is ${answer.state}`,
  );
  context.terminal.note(`follow it with: fleetlog why ${name}`);
};

const standing = (
  { policy, agent, state, desired, host, failures, reason, sinceAt, stuck }: ManagedAgentView,
  now: number,
): readonly string[] => [
  `${policy} (agent ${agent}) is ${state} for ${ago(sinceAt, now)}${host === null ? '' : ` on ${host}`}`,
  `wanted: ${desired === 'by-mode' ? 'as its mode says' : desired}${failures > 0 ? `; ${failures} ${failures === 1 ? 'failure' : 'failures in a row'}` : ''}`,
  `because: ${reason}`,
  ...(stuck === null
    ? []
    : [
        `stuck: ${stuck.detail} (${stuck.kind} since ${clockText(stuck.sinceAt)}${stuck.runId === null ? '' : `; look with: fleetlog run show ${stuck.runId}`})`,
      ]),
];

const nextOf = async (
  { api, context: { clock } }: Invocation,
  agent: ManagedAgentView,
): Promise<string | undefined> => {
  if (agent.state !== 'stopped') return undefined;
  // Loaded for whoever needs it: calendars are much code.
  const { nextStep } = await import('./agent-next.ts');
  const path = `/api/v1/policies/${encodeURIComponent(agent.policy)}`;
  const { policy } = await api.call({ path }, POLICY_API.getPolicy.answer);
  if (policy.isRemoved) return undefined;
  return nextStep(agent, policy.config, { now: clock.now(), clockText });
};

const why = async (
  context: CliContext,
  name: string,
  flags: StackFlags & { readonly limit?: string },
): Promise<void> => {
  // The word is the obvious one for them, too.
  if (/^(run|tsk)_/.test(name))
    throw new Fault({
      code: 'ARGUMENT_INVALID',
      retry: 'never',
      message: `why tells of agents that policies keep; what a run or a task waits for: fleetlog unstick ${name}`,
    });
  const call = await invocation(context, flags);
  const limit = wholeNumber('--limit', flags.limit) ?? 20;
  const path = `/api/v1/policies/${encodeURIComponent(name)}/history?limit=${limit}`;
  const told = await call.api.call({ path }, POLICY_API.explainPolicy.answer);
  if (call.isJson) return context.terminal.out(JSON.stringify(told));
  const { terminal, clock } = context;
  if (told.agent !== null)
    for (const line of standing(told.agent, clock.now())) terminal.out(withoutControls(line));
  const next = told.agent === null ? undefined : await nextOf(call, told.agent);
  if (next !== undefined) terminal.out(`next: ${next}`);
  terminal.out('');
  if (told.earlier > 0) terminal.out(`  … ${told.earlier} earlier`);
  for (const { at, text, by } of told.events)
    terminal.out(
      withoutControls(`  ${clockText(at)}  ${text}${by.startsWith('user:') ? ` [${by.slice(5)}]` : ''}`),
    );
};

type Page = z.infer<typeof POLICY_API.listManagedAgents.answer>;

const agentsOf = async ({ api }: Invocation, query: string): Promise<Page['agents']> => {
  const { path, answer } = POLICY_API.listManagedAgents;
  const agents: Page['agents'] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const after: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page = await api.call({ path: `${path}?limit=100${query}${after}` }, answer);
    agents.push(...page.agents);
    cursor = page.next;
  }
  return agents;
};

const WIDTH = 60;

const stateText = ({ state, stuck }: ManagedAgentView): string =>
  stuck === null ? state : `${state}, ${stuck.kind}`;

const rowOf = (one: ManagedAgentView, now: number): readonly string[] => [
  one.policy,
  stateText(one),
  one.desired === 'by-mode' ? one.mode : one.desired,
  one.host ?? '',
  ago(one.sinceAt, now),
  String(one.restarts),
  String(one.crashes),
  one.runningVersion === null || one.runningVersion === one.version
    ? String(one.version)
    : `${one.runningVersion} of ${one.version}`,
  one.runnerVersion ?? '',
  withoutControls(one.reason.length > WIDTH ? `${one.reason.slice(0, WIDTH - 1)}…` : one.reason),
];

const HEADER = [
  'POLICY',
  'STATE',
  'WANTED',
  'HOST',
  'SINCE',
  'RESTARTS',
  'CRASHES',
  'CONFIG',
  'RUNNER',
  'WHY',
];

const screen = (agents: Page['agents'], now: number): string => {
  const counts = new Map<string, number>();
  for (const { state } of agents) counts.set(state, (counts.get(state) ?? 0) + 1);
  const summary = [...counts]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([state, count]) => `${count} ${state}`);
  const stuck = agents.filter((one) => one.stuck !== null).length;
  if (stuck > 0) summary.push(`${stuck} stuck`);
  const head = `${agents.length} ${agents.length === 1 ? 'agent' : 'agents'}${summary.length === 0 ? '' : `: ${summary.join(', ')}`}`;
  return `${head}\n${table(
    HEADER,
    agents.map((one) => rowOf(one, now)),
  )}`;
};

interface TopFlags extends StackFlags {
  readonly state?: string;
  readonly host?: string;
  readonly once?: boolean;
  readonly every?: string;
}

const top = async (context: CliContext, flags: TopFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const { terminal, clock, signal } = context;
  const query = (['state', 'host'] as const)
    .flatMap((name) => (flags[name] === undefined ? [] : [`&${name}=${encodeURIComponent(flags[name])}`]))
    .join('');
  const everyMs = (wholeNumber('--every', flags.every) ?? 2) * 1000;
  for (;;) {
    const agents = await agentsOf(call, query);
    if (call.isJson) terminal.out(JSON.stringify({ agents }));
    else if (terminal.redraw === undefined || flags.once === true) terminal.out(screen(agents, clock.now()));
    else terminal.redraw(screen(agents, clock.now()));
    if (flags.once === true || call.isJson) return;
    await terminal.flushed();
    await clock.sleep(everyMs, signal);
    if (signal.aborted) return;
  }
};

/** Registers the commands. */
export const registerManagedCommands = (program: Command, context: CliContext): void => {
  for (const what of Object.keys(WORDS) as (keyof typeof WORDS)[])
    withStackFlags(program.command(what))
      .description(WORDS[what])
      .argument('<policy>')
      .option('--reason <text>', 'why, for the record')
      .action((name: string, flags: StackFlags & { readonly reason?: string }) =>
        ask(context, { name, what }, flags),
      );
  withStackFlags(program.command('why'))
    .description('What led to the state of an agent that a policy keeps, in plain words')
    .argument('<policy>')
    .option('--limit <n>', 'the last so many events, 1 to 100', '20')
    .action((name: string, flags: StackFlags & { readonly limit?: string }) => why(context, name, flags));
  withStackFlags(program.command('top'))
    .description('The agents that policies keep, live; Ctrl-C ends it')
    .option('--state <names>', 'only in these states, separated by commas')
    .option('--host <name>', 'only of this host')
    .option('--every <seconds>', 'how often it is looked at', '2')
    .option('--once', 'print it once and end')
    .action((flags: TopFlags) => top(context, flags));
};
