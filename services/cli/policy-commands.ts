// fleetlog policy: wanted agents as configuration. Applies files with the difference shown first, lists, shows history, goes back.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import { POLICY_API } from '#streams/http/policies.ts';
import type { PolicyView } from '#streams/policy-views.ts';
import { CommanderError, type Command } from 'commander';
import type { z } from 'zod';
import { CommandFailed, invocation, withStackFlags, type Invocation, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { ago, table } from './output.ts';
import { addNewAgents } from './policy-agents.ts';
import { changesOf, diffLines, type PolicyChange } from './policy-diff.ts';
import { wholeNumber } from './work-arguments.ts';

interface ApplyFlags extends StackFlags {
  readonly file: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly note?: string;
}

const textOf = async (context: CliContext, file: string): Promise<string> => {
  if (file === '-') {
    const text = await context.readStandardInput();
    if (text !== undefined) return text;
    throw new CommanderError(2, 'ARGUMENT_INVALID', 'there is nothing on standard input');
  }
  try {
    return await readFile(resolve(context.workingDirectory, file), 'utf8');
  } catch (cause) {
    const said = cause instanceof Error ? cause.message.replace(/, open .*$/, '') : String(cause);
    const why = said.startsWith('ENOENT') ? 'there is no such file' : said;
    throw new Fault({ code: 'POLICY_FILE_UNREADABLE', retry: 'never', message: `${file}: ${why}`, cause });
  }
};

/** Every policy, removed ones included. */
const allPolicies = async ({ api }: Invocation, query = ''): Promise<readonly PolicyView[]> => {
  const found: PolicyView[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const after: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const path = `${POLICY_API.listPolicies.path}?limit=100${query}${after}`;
    const page: z.infer<typeof POLICY_API.listPolicies.answer> = await api.call(
      { path },
      POLICY_API.listPolicies.answer,
    );
    found.push(...page.policies);
    cursor = page.next;
  }
  return found;
};

type Applied = z.infer<typeof POLICY_API.applyPolicies.answer>['policies'];

/** Policies in one request: well below what a gateway takes. */
const CHUNK = 25;
/** Tenths that are told of when there are more requests than this. */
const TOLD_FROM = 8 * CHUNK;

/** Whether a further tenth is done: whoever waits for thousands is told. */
const isTenth = (done: number, before: number, all: number): boolean =>
  all > TOLD_FROM && Math.floor((10 * done) / all) > Math.floor((10 * before) / all);

const write = async (
  { api, context: { terminal } }: Invocation,
  changes: readonly PolicyChange[],
  note: string | undefined,
): Promise<Applied> => {
  const applied: Applied = [];
  for (let at = 0; at < changes.length; at += CHUNK) {
    const chunk = changes.slice(at, at + CHUNK);
    const body = {
      policies: Object.fromEntries(chunk.map(({ policy, input }) => [policy, input])),
      expectedVersions: Object.fromEntries(chunk.map(({ policy, version }) => [policy, version])),
      ...(note !== undefined && { note }),
    };
    const { path, answer } = POLICY_API.applyPolicies;
    const before = applied.length;
    applied.push(...(await api.call({ method: 'POST', path, body }, answer)).policies);
    if (isTenth(applied.length, before, changes.length))
      terminal.note(`${applied.length} of ${changes.length} policies are written`);
  }
  return applied;
};

const printApplied = ({ context: { terminal }, isJson }: Invocation, applied: Applied): void => {
  if (isJson) terminal.out(JSON.stringify({ policies: applied }));
  else
    for (const { policy, outcome, version, refusal } of applied)
      terminal.out(
        refusal === null
          ? `${policy}: ${outcome}, version ${version}`
          : `${policy}: refused: ${refusal.message}`,
      );
  if (applied.some(({ refusal }) => refusal !== null)) throw new CommandFailed();
};

const apply = async (context: CliContext, flags: ApplyFlags): Promise<void> => {
  const { file, yes, dryRun, note } = flags;
  // Loaded for whoever needs it: no other command reads YAML.
  const { readPolicyFile } = await import('./policy-file.ts');
  const policies = readPolicyFile(await textOf(context, file), file === '-' ? 'standard input' : file);
  const call = await invocation(context, flags);
  const known = new Map((await allPolicies(call, '&removed=true')).map((view) => [view.policy, view]));
  const changes = changesOf(policies, known);
  const due = changes.filter(({ kind }) => kind !== 'unchanged');
  const isOnlyLooked = dryRun === true || yes !== true;
  if (changes.length === 0)
    context.terminal.note(
      `${file} has no policies; those that are not in a file stay as they are (fleetlog policy remove NAME)`,
    );
  if (!call.isJson) for (const line of diffLines(changes)) context.terminal.out(line);
  else if (isOnlyLooked)
    context.terminal.out(JSON.stringify({ changes: changes.map(({ input: _input, ...change }) => change) }));
  if (!isOnlyLooked) {
    await addNewAgents(call, due);
    return printApplied(call, await write(call, due, note));
  }
  if (due.length > 0)
    context.terminal.note(`nothing was applied; to apply: fleetlog policy apply -f ${file} --yes`);
};

const list = async (
  context: CliContext,
  flags: StackFlags & { readonly removed?: boolean },
): Promise<void> => {
  const call = await invocation(context, flags);
  const policies = await allPolicies(call, flags.removed === true ? '&removed=true' : '');
  if (call.isJson) return context.terminal.out(JSON.stringify({ policies }));
  const now = context.clock.now();
  const rows = policies.map(({ policy, version, config, isRemoved, updatedAt }) => [
    policy,
    isRemoved ? 'removed' : config.mode,
    isRemoved ? '' : String(version),
    config.agent,
    config.provider,
    config.host ?? (config.hostLabels.join(',') || 'any'),
    ago(updatedAt, now),
  ]);
  context.terminal.out(table(['POLICY', 'MODE', 'VERSION', 'AGENT', 'PROVIDER', 'HOST', 'CHANGED'], rows));
};

const read = ({ api }: Invocation, name: string) =>
  api.call({ path: `/api/v1/policies/${encodeURIComponent(name)}` }, POLICY_API.getPolicy.answer);

const get = async (context: CliContext, name: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const found = await read(call, name);
  if (call.isJson) return context.terminal.out(JSON.stringify(found));
  const { policy, agent } = found;
  const how = agent === null ? '' : `; ${agent.state}: ${agent.reason}`;
  context.terminal.note(
    policy.isRemoved
      ? `removed; this is how it was last, and can be applied again${how}`
      : `version ${policy.version}${how}`,
  );
  // As a file that can be applied again.
  const { writePolicyFile } = await import('./policy-file.ts');
  context.terminal.out(writePolicyFile(name, policy.config));
};

/** What a version is to the one before. */
const changedText = ({
  version,
  changed,
  rolledBackTo,
  config,
}: Pick<PolicyView['versions'][number], 'version' | 'changed' | 'rolledBackTo' | 'config'>): string => {
  if (config === null) return 'removed';
  if (rolledBackTo !== null) return `version ${rolledBackTo} again`;
  return version === 1 ? 'new' : changed.join(', ');
};

const history = async (context: CliContext, name: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const { policy } = await read(call, name);
  if (call.isJson) return context.terminal.out(JSON.stringify({ policy: name, versions: policy.versions }));
  const now = context.clock.now();
  const rows = policy.versions.map(({ version, at, by, changed, rolledBackTo, config, note }) => {
    return [
      String(version),
      ago(at, now),
      by,
      changedText({ version, changed, rolledBackTo, config }),
      note ?? '',
    ];
  });
  context.terminal.out(table(['VERSION', 'AGE', 'BY', 'CHANGED', 'NOTE'], rows));
};

interface ChangeFlags extends StackFlags {
  readonly reason?: string;
  readonly note?: string;
  readonly expectedVersion?: string;
}

const change = async (
  context: CliContext,
  {
    name,
    what,
    more = {},
  }: { readonly name: string; readonly what: 'rollback' | 'remove' | 'reset'; readonly more?: object },
  flags: ChangeFlags,
): Promise<void> => {
  const call = await invocation(context, flags);
  const expectedVersion = wholeNumber('--expected-version', flags.expectedVersion);
  const { reason, note } = flags;
  const given = { reason, note, expectedVersion };
  const body = {
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
    ...more,
  };
  const path = `/api/v1/policies/${encodeURIComponent(name)}/${what}`;
  const answer = await call.api.call({ method: 'POST', path, body }, POLICY_API.startAgent.answer);
  const { version, state, unchanged } = answer;
  context.terminal.out(
    call.isJson
      ? JSON.stringify(answer)
      : `${name}: ${unchanged ? 'nothing to do' : what}; version ${version}, ${state}`,
  );
};

const withExpected = (command: Command): Command =>
  command.option('--expected-version <n>', 'only if it is at this version');

const registerApply = (policy: Command, context: CliContext): void => {
  withStackFlags(policy.command('apply'))
    .description('Show what a file of policies changes and, with --yes, apply it')
    .requiredOption('-f, --file <path>', 'YAML or JSON; - is standard input')
    .option('--yes', 'apply what was shown')
    .option('--dry-run', 'only show it, whatever else is said')
    .option('--note <text>', 'why, for the history')
    .addHelpText(
      'after',
      `
A policy that was changed by somebody else after it was shown is refused; the others are applied.
Agents that there are not yet are added, as by: fleetlog agent add NAME.
Editors check the file with streams/policies.schema.json.

Example:
  policies:
    builder:
      mode: on-demand            # always-on, on-demand, scheduled, paused
      provider: claude
      hostLabels: [gpu]
      workspace: cart
      permissionMode: acceptEdits
      keepAliveSeconds: 900
      limits: { runs: 200, spendMicroUsd: 5000000 }`,
    )
    .action((flags: ApplyFlags) => apply(context, flags));
};

/** Registers the commands. */
export const registerPolicyCommands = (program: Command, context: CliContext): void => {
  const policy = program
    .command('policy')
    .description(
      'Agents that are wanted, as configuration: apply, list, get, history, rollback, remove, reset',
    );
  registerApply(policy, context);
  withStackFlags(policy.command('list'))
    .description('Policies by name')
    .option('--removed', 'with those that were removed')
    .action((flags: StackFlags & { readonly removed?: boolean }) => list(context, flags));
  withStackFlags(policy.command('get'))
    .description('One policy as a file that can be applied again')
    .argument('<policy>')
    .action((name: string, flags: StackFlags) => get(context, name, flags));
  withStackFlags(policy.command('history'))
    .description('Versions of a policy: who changed what, and why')
    .argument('<policy>')
    .action((name: string, flags: StackFlags) => history(context, name, flags));
  withExpected(withStackFlags(policy.command('rollback')))
    .description('Apply an earlier version again, as a new one')
    .argument('<policy>')
    .argument('<version>')
    .option('--note <text>', 'why, for the history')
    .action((name: string, version: string, flags: ChangeFlags) =>
      change(
        context,
        { name, what: 'rollback', more: { toVersion: wholeNumber('version', version) } },
        flags,
      ),
    );
  withExpected(withStackFlags(policy.command('remove')))
    .description('Give a policy up; its agent is stopped, its history stays')
    .argument('<policy>')
    .option('--reason <text>', 'why, for the record')
    .action((name: string, flags: ChangeFlags) => change(context, { name, what: 'remove' }, flags));
  withStackFlags(policy.command('reset'))
    .description('Forget failures: closes the breaker of an agent that crashed too often, ends a wait')
    .argument('<policy>')
    .option('--reason <text>', 'why, for the record')
    .action((name: string, flags: ChangeFlags) => change(context, { name, what: 'reset' }, flags));
};
