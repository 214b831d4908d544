// fleetlog projections and fleetlog verify: the buckets that are folds of the log, built anew or compared with it.
import { Fault } from '#libs/kernel/fault.ts';
import type { Verification } from '#libs/projections/verify.ts';
import type { Command } from 'commander';
import { CommandFailed, invocation, withFleet, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { table } from './output.ts';
import type { ProjectionTools } from './projection-tools.ts';

/** Entries that are counted at most of what a projection has not folded yet: counting reads them. */
const MOST_BEHIND = 10_000;

const named = (projections: readonly ProjectionTools[], name: string): ProjectionTools => {
  const found = projections.find((projection) => projection.name === name);
  if (found !== undefined) return found;
  throw new Fault({
    code: 'ARGUMENT_INVALID',
    retry: 'never',
    message: `there is no projection ${JSON.stringify(name)}; there are ${projections.map((one) => one.name).join(', ')}`,
  });
};

const list = async (context: CliContext, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  await withFleet(call, async (fleet) => {
    const rows = [];
    for (const projection of await context.projections()) {
      const { name, version, stream, bucket } = projection;
      const seq = await projection.position(fleet);
      const behind = await projection.behind(fleet, MOST_BEHIND);
      const { lastSeq } = await fleet.log(stream).bounds();
      rows.push({ name, version, stream, bucket, seq, behind, lastSeq });
    }
    if (call.isJson) return context.terminal.out(JSON.stringify({ projections: rows }));
    context.terminal.out(
      table(
        ['NAME', 'VERSION', 'FOLDS', 'INTO', 'POSITION', 'BEHIND', 'STREAM AT'],
        rows.map((row) => [
          row.name,
          `v${row.version}`,
          row.stream,
          row.bucket,
          String(row.seq),
          row.behind < MOST_BEHIND ? String(row.behind) : `${MOST_BEHIND} or more`,
          String(row.lastSeq),
        ]),
      ),
    );
  });
};

const rebuild = async (context: CliContext, name: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const projection = named(await context.projections(), name);
  await withFleet(call, async (fleet) => {
    const report = await projection.rebuild(fleet, {
      clock: context.clock,
      ids: context.ids,
      signal: context.signal,
      onProgress: (progress) => {
        if (progress.kind !== 'switched') context.terminal.note(`${progress.kind} up to ${progress.seq}`);
      },
    });
    if (call.isJson) return context.terminal.out(JSON.stringify({ projection: name, ...report }));
    context.terminal.out(
      `${name}: ${report.keys} keys at ${projection.stream} ${report.seq}; ${report.written} written, ${report.deleted} deleted`,
    );
  });
};

const printVerification = (context: CliContext, projection: ProjectionTools, found: Verification): void => {
  if (found.equal) {
    context.terminal.out(
      `${projection.name}: equal, ${found.keys} keys at ${projection.stream} ${found.seq}`,
    );
    return;
  }
  context.terminal.out(`${projection.name}: DIFFERS at key ${found.key} (${projection.stream} ${found.seq})`);
  context.terminal.out(`  from the log:  ${JSON.stringify(found.expected)}`);
  context.terminal.out(`  in the bucket: ${JSON.stringify(found.actual)}`);
  context.terminal.out(`  mend with: fleetlog projections rebuild ${projection.name}`);
};

const verify = async (context: CliContext, names: readonly string[], flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const all = await context.projections();
  const chosen = names.length === 0 ? all : names.map((name) => named(all, name));
  const found = await withFleet(call, async (fleet) => {
    const results = [];
    for (const projection of chosen) {
      const result = await projection.verify(fleet, context.signal);
      if (!call.isJson) printVerification(context, projection, result);
      results.push({ projection: projection.name, ...result });
    }
    return results;
  });
  if (call.isJson) context.terminal.out(JSON.stringify({ verified: found }));
  if (found.some((result) => !result.equal)) throw new CommandFailed();
};

/** Registers the commands. */
export const registerProjectionCommands = (program: Command, context: CliContext): void => {
  const projections = program.command('projections').description('The buckets that are folds of the log');
  withStackFlags(projections.command('list'))
    .description('Each projection with its position, what it has not folded yet, and how far its stream is')
    .action((flags: StackFlags) => list(context, flags));
  withStackFlags(projections.command('rebuild'))
    .description('Fold a projection again from the log, beside the live bucket, and switch')
    .argument('<name>', 'projection, see "fleetlog projections list"')
    .action((name: string, flags: StackFlags) => rebuild(context, name, flags));
  withStackFlags(program.command('verify'))
    .description('Fold projections again from the log and name the first difference; changes nothing')
    .argument('[names...]', 'projections; default: all')
    .action((names: string[], flags: StackFlags) => verify(context, names, flags));
};
