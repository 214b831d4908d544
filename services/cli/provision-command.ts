// fleetlog provision: brings streams, buckets and consumers to what is declared. Shows what it would do; refuses what would
// destroy data (those lines begin with !) and then exits with 1.
import { readPlan, reconcileTopology, type ReconcileOutcome } from '#libs/topology/apply.ts';
import { isRefusal } from '#libs/topology/difference.ts';
import type { Plan } from '#libs/topology/plan.ts';
import { planJson, renderPlan } from '#libs/topology/render-plan.ts';
import { topologyOf } from '#streams/consumers.ts';
import { parseBytes } from '#libs/config/duration.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { nameSchema } from '#streams/ids.ts';
import type { Command } from 'commander';
import {
  CommandFailed,
  invocation,
  withFleet,
  withStackFlags,
  type Invocation,
  type StackFlags,
} from './command.ts';
import type { CliContext } from './context.ts';

interface ProvisionFlags extends StackFlags {
  readonly dryRun?: boolean;
  readonly agents?: string;
  readonly hosts?: string;
  readonly replicas?: string;
  readonly storage?: string;
}

/** Names separated by commas; empty text: none. */
const namesIn = (text: string): readonly string[] =>
  text.split(',').flatMap((name) => (name.trim() === '' ? [] : [nameSchema.parse(name.trim())]));

const declaredBy = ({ context, connection }: Invocation, flags: ProvisionFlags) => {
  const agents = namesIn(flags.agents ?? context.environment['FLEETLOG_FLEET_AGENTS'] ?? 'builder-1');
  const hosts = namesIn(flags.hosts ?? context.environment['FLEETLOG_FLEET_HOSTS'] ?? 'local');
  const replicas = Number(flags.replicas ?? context.environment['FLEETLOG_FLEET_REPLICAS'] ?? '1');
  if (![1, 3, 5].includes(replicas))
    throw new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message: `--replicas: expected 1, 3 or 5` });
  const { tenant, project } = connection;
  return topologyOf({
    replicas,
    agents: agents.map((agent) => ({ tenant, project, agent })),
    hosts: hosts.map((host) => ({ tenant, project, host })),
  });
};

/** The storage budget in bytes, if one is asked for. */
export const storageBudget = (text: string | undefined): { readonly storageBudgetBytes?: number } => {
  if (text === undefined) return {};
  const bytes = parseBytes(text);
  if (bytes !== undefined && bytes >= 64 * 1024 ** 2) return { storageBudgetBytes: bytes };
  throw new Fault({
    code: 'ARGUMENT_INVALID',
    retry: 'never',
    message: `--storage ${JSON.stringify(text)}: expected a size such as 2GiB, 64MiB or more`,
  });
};

const show = ({ context, isJson }: Invocation, plan: Plan, outcome?: ReconcileOutcome): void => {
  if (!isJson) return context.terminal.out(renderPlan(plan));
  const failed = outcome?.result.failed ?? null;
  context.terminal.out(
    JSON.stringify({
      ...planJson(plan),
      ...(outcome !== undefined && {
        done: outcome.result.done.map(({ label }) => label),
        failed:
          failed === null
            ? null
            : { what: failed.step.label, code: failed.fault.code, message: failed.fault.message },
      }),
    }),
  );
};

const provision = async (context: CliContext, flags: ProvisionFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const declared = declaredBy(call, flags);
  const budget = storageBudget(flags.storage ?? context.environment['FLEETLOG_FLEET_STORAGE']);
  await withFleet(call, async ({ topology: driver }) => {
    const { clock } = context;
    if (flags.dryRun === true) {
      const plan = await readPlan({ declared, driver, clock, ...budget });
      show(call, plan);
      if (plan.differences.some(isRefusal)) throw new CommandFailed();
      return;
    }
    const outcome = await reconcileTopology({ declared, driver, clock, ...budget });
    show(call, outcome.plan, outcome);
    if (!call.isJson) context.terminal.note(`${outcome.result.done.length} changes made`);
    const { failed } = outcome.result;
    if (failed !== null) throw failed.fault;
    if (outcome.plan.differences.some(isRefusal)) throw new CommandFailed();
  });
};

/** Registers the command. */
export const registerProvisionCommand = (program: Command, context: CliContext): void => {
  withStackFlags(program.command('provision'))
    .description('Create or update streams, buckets and consumers as declared; never destroys data')
    .option('--dry-run', 'show the plan and change nothing')
    .option(
      '--agents <names>',
      'agents that have a runner, separated by commas (default: $FLEETLOG_FLEET_AGENTS or builder-1)',
    )
    .option(
      '--hosts <names>',
      'machines that start runners, separated by commas (default: $FLEETLOG_FLEET_HOSTS or local)',
    )
    .option('--replicas <n>', 'copies of everything: 1 on one machine, 3 in a cluster')
    .option(
      '--storage <size>',
      'bytes that streams may grow to in all, e.g. 2GiB: sizes are scaled to it (a fixed number; the same at each run)',
    )
    .action((flags: ProvisionFlags) => provision(context, flags));
};
