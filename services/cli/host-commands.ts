// fleetlog host, fleetlog versions and fleetlog agent: the machines of the fleet, what everything runs, and new agents. Through the gateway.
import type { Command } from 'commander';
import type { z } from 'zod';
import { HOST_API } from '#streams/http/hosts.ts';
import { nameSchema } from '#streams/ids.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { invocation, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { ago, table } from './output.ts';

interface MoveFlags extends StackFlags {
  readonly reason?: string;
  readonly version?: string;
}

type Host = z.infer<typeof HOST_API.getHost.answer>;

const GIB = 1024 ** 3;
const gib = (bytes: number): string => `${(bytes / GIB).toFixed(1)} GiB`;

const nameOf = (given: string): string => {
  const parsed = nameSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const message = `${JSON.stringify(given)} is no name: 1 to 64 of a-z 0-9 _ - and a letter or digit first`;
  throw new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });
};

const rowOf = (host: Host, now: number): readonly string[] => {
  const { presence } = host;
  return [
    host.host,
    host.state === 'offline' && host.isDraining ? 'offline (draining)' : host.state,
    `${presence?.runners.length ?? '-'}/${host.capacity}`,
    host.labels.join(','),
    presence === null ? '-' : gib(presence.freeMemoryBytes),
    presence === null ? '-' : gib(presence.freeDiskBytes),
    host.version,
    presence === null ? '-' : `${ago(presence.seenAt, now)} ago`,
  ];
};

const list = async (context: CliContext, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const page = await call.api.call({ path: HOST_API.listHosts.path }, HOST_API.listHosts.answer);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const now = context.clock.now();
  const head = ['HOST', 'STATE', 'RUNNERS', 'LABELS', 'MEMORY', 'DISK', 'VERSION', 'SEEN'];
  context.terminal.out(
    table(
      head,
      page.hosts.map((host) => rowOf(host, now)),
    ),
  );
  if (page.hosts.length === 0)
    context.terminal.note('no host has registered; one is started with: node services/main.mjs host --help');
};

const pathOf = (name: string, what = ''): string =>
  `${HOST_API.listHosts.path}/${encodeURIComponent(nameOf(name))}${what}`;

const show = async (context: CliContext, name: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const host = await call.api.call({ path: pathOf(name) }, HOST_API.getHost.answer);
  if (call.isJson) return context.terminal.out(JSON.stringify(host));
  const { terminal, clock } = context;
  const now = clock.now();
  const { presence, reason } = host;
  terminal.out(`${host.host}: ${host.state}${reason === null ? '' : ` (${reason})`}`);
  terminal.out(`  ${host.platform}, version ${host.version}, contract ${host.contract}`);
  terminal.out(`  programs ${host.providers.join(', ')}; labels ${host.labels.join(', ') || 'none'}`);
  if (presence === null) return terminal.out('  nothing is heard of it');
  terminal.out(
    `  ${gib(presence.freeMemoryBytes)} of ${gib(presence.totalMemoryBytes)} memory and ${gib(presence.freeDiskBytes)} disk free; ${presence.buffered} reports wait; seen ${ago(presence.seenAt, now)} ago`,
  );
  terminal.out(
    presence.hasCgroups
      ? '  each runner has a control group of its own'
      : '  runners have no control groups here (its log says why)',
  );
  const rows = presence.runners.map(({ agent, policy, state, pid, startedAt, spawnId }) => [
    agent,
    policy,
    state,
    String(pid),
    `${ago(startedAt, now)} ago`,
    spawnId,
  ]);
  terminal.out(table(['AGENT', 'POLICY', 'STATE', 'PID', 'STARTED', 'SPAWN'], rows));
};

const MOVES = {
  drain: HOST_API.drainHost,
  undrain: HOST_API.undrainHost,
  update: HOST_API.updateHost,
  retire: HOST_API.retireHost,
} as const;

/** What a move leads to. */
const FOLLOWS: Readonly<Record<keyof typeof MOVES, string>> = {
  drain: 'its runners go on; nothing new is started there until: fleetlog host undrain HOST',
  undrain: 'agents that wait for a host are started there at once',
  update:
    'its agents whose policies say restartOnUpdate are started anew, each when idle for a minute; follow it with: fleetlog versions',
  retire: 'its name is not used again; a machine that comes back needs another one',
};

const move =
  (context: CliContext, operation: keyof typeof MOVES) =>
  async (name: string, flags: MoveFlags): Promise<void> => {
    const call = await invocation(context, flags);
    const { reason, version } = flags;
    const body = { ...(reason !== undefined && { reason }), ...(version !== undefined && { version }) };
    const made = await call.api.call(
      { method: 'POST', path: pathOf(name, `/${operation}`), body },
      MOVES[operation].answer,
    );
    if (call.isJson) return context.terminal.out(JSON.stringify(made));
    context.terminal.out(`${made.host}: ${made.state}${made.repeated ? ' (it was so already)' : ''}`);
    context.terminal.note(FOLLOWS[operation]);
  };

const versions = async (context: CliContext, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const shown = await call.api.call({ path: HOST_API.listVersions.path }, HOST_API.listVersions.answer);
  if (call.isJson) return context.terminal.out(JSON.stringify(shown));
  const { control, hosts, runners } = shown;
  const rows = [
    ['control plane', '', control.version, String(control.contract), ''],
    ...hosts.map((one) => ['host', one.name, one.version, String(one.contract), one.skew]),
    ...runners.map((one) => ['runner', one.name, one.version, String(one.contract), one.skew]),
  ];
  context.terminal.out(table(['WHAT', 'NAME', 'VERSION', 'CONTRACT', 'SKEW'], rows));
  const skewed = [...hosts, ...runners].filter(({ skew }) => skew !== 'same');
  if (skewed.length > 0)
    context.terminal.note(
      `${skewed.length} of them differ from the control plane; runners of a host: fleetlog host update HOST`,
    );
};

const addAgent = async (context: CliContext, given: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const made = await call.api.call(
    { method: 'POST', path: HOST_API.addAgent.path, body: { agent: nameOf(given) } },
    HOST_API.addAgent.answer,
  );
  if (call.isJson) return context.terminal.out(JSON.stringify(made));
  const { agent, user, credential, repeated } = made;
  context.terminal.out(`agent ${agent} ${repeated ? 'was there' : 'is added'}: broker user ${user}`);
  context.terminal.out(`its password: ${credential}`);
  context.terminal.note(
    `to run it here: fleetlog runner ${agent}; or have a policy want it (fleetlog policy apply)`,
  );
  context.terminal.note('a host on another machine needs a copy of that file in its host.credentialsDir');
};

/** Registers the commands. */
export const registerHostCommands = (program: Command, context: CliContext): void => {
  const hosts = program.command('host').description('Machines that start and stop the runners of agents');
  withStackFlags(hosts.command('list'))
    .description('Hosts: how they stand, how many runners they have, what is left of memory and disk')
    .action((flags: StackFlags) => list(context, flags));
  withStackFlags(hosts.command('show'))
    .description('One host and what it runs')
    .argument('<host>')
    .action((name: string, flags: StackFlags) => show(context, name, flags));
  withStackFlags(hosts.command('drain'))
    .description('Let a host take no new runners; those that it has go on')
    .argument('<host>')
    .option('--reason <text>', 'why, for the record')
    .action(move(context, 'drain'));
  withStackFlags(hosts.command('undrain'))
    .description('Let a drained host take new runners again')
    .argument('<host>')
    .action(move(context, 'undrain'));
  withStackFlags(hosts.command('update'))
    .description('Ask that the runners of a host become what is installed there, each when it is idle')
    .argument('<host>')
    .option('--version <version>', 'what is installed there')
    .option('--reason <text>', 'why, for the record')
    .action(move(context, 'update'));
  withStackFlags(hosts.command('retire'))
    .description('Give a host that is offline up for good; its name is not used again')
    .argument('<host>')
    .option('--reason <text>', 'why, for the record')
    .action(move(context, 'retire'));
  withStackFlags(program.command('versions'))
    .description('What control plane, hosts and runners run, and where they differ')
    .action((flags: StackFlags) => versions(context, flags));
  const agents = program.command('agent').description('Agents that may have a runner');
  withStackFlags(agents.command('add'))
    .description(
      'Make what a new agent needs: its password, its consumers, its user at the broker, without a restart',
    )
    .argument('<agent>')
    .action((name: string, flags: StackFlags) => addAgent(context, name, flags));
};
