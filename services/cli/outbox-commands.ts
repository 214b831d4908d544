// fleetlog outbox: what runners on this machine have buffered and not delivered, and what to do with reports that were refused for
// good. Reads beside a running runner; changes a buffer only when no runner uses it.
import { basename } from 'node:path';
import { Fault } from '#libs/kernel/fault.ts';
import {
  changeParked,
  findBuffers,
  inspectBuffer,
  parkedIn,
  recordIn,
  type BufferFacts,
  type FoundRecord,
} from '#libs/outbox/inspect.ts';
import type { ParkedRecord } from '#libs/outbox/outbox.ts';
import type { Command } from 'commander';
import { CommandFailed } from './command.ts';
import { dataDirectory } from './connection.ts';
import type { CliContext } from './context.ts';
import { ago, table } from './output.ts';

interface OutboxFlags {
  readonly data?: string;
  readonly buffer?: string;
  readonly json?: boolean;
}

/** Parked records that a list shows of one buffer. */
const SHOWN = 1000;

const invalid = (message: string): Fault => new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });

const basesOf = (context: CliContext, flags: OutboxFlags): readonly string[] => {
  const dir = dataDirectory(flags.data, context.environment, context.workingDirectory);
  const { buffer } = flags;
  const bases = findBuffers(dir).filter((base) => buffer === undefined || basename(base).includes(buffer));
  if (bases.length === 0)
    throw invalid(
      `there is no buffer ${buffer === undefined ? '' : `called ${buffer} `}in ${dir} (see --data)`,
    );
  return bases;
};

const oneBase = (context: CliContext, flags: OutboxFlags): string => {
  const bases = basesOf(context, flags);
  const [base] = bases;
  if (base !== undefined && bases.length === 1) return base;
  const names = bases.map((one) => basename(one)).join(', ');
  throw invalid(`there are ${bases.length} buffers; choose one with --buffer: ${names}`);
};

const numberOf = (text: string): number => {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw invalid(`${JSON.stringify(text)} is not the number of a record`);
};

const summaryOf = ({ record, refusal, isLetterStored }: ParkedRecord) => {
  const { sourceSeq, kind, lane, id, subject, occurredAt } = record;
  return { sourceSeq, kind, lane, id, subject, occurredAt, ...refusal, isLetterStored };
};

const printBuffer = (context: CliContext, facts: BufferFacts, parked: readonly ParkedRecord[]): void => {
  const out = (line: string): void => context.terminal.out(line);
  const state = facts.isInUse ? 'in use by a runner' : 'not in use';
  const size = `${Math.ceil(facts.pendingBytes / 1024)} KiB`;
  out(`${basename(facts.base)}: ${facts.pending} waiting (${size}), ${facts.parked} parked, ${state}`);
  if (parked.length === 0) return;
  const now = context.clock.now();
  const rows = parked.map(({ record, refusal, isLetterStored }) => [
    String(record.sourceSeq),
    record.kind,
    ago(record.occurredAt, now),
    String(refusal.attempts),
    isLetterStored ? 'yes' : 'not yet',
    `${refusal.code}: ${refusal.message}`,
  ]);
  out(table(['NUMBER', 'KIND', 'AGE', 'REFUSALS', 'DEAD LETTER', 'WHY'], rows));
};

const list = (context: CliContext, flags: OutboxFlags): void => {
  const buffers = basesOf(context, flags).map((base) => ({
    facts: inspectBuffer(base),
    parked: parkedIn(base, SHOWN),
  }));
  if (flags.json === true) {
    const documents = buffers.map(({ facts, parked }) => ({ ...facts, records: parked.map(summaryOf) }));
    return context.terminal.out(JSON.stringify({ buffers: documents }));
  }
  for (const { facts, parked } of buffers) printBuffer(context, facts, parked);
};

const documentOf = ({ record, parked }: FoundRecord) => {
  const body = new TextDecoder().decode(record.body);
  return { ...record, body, parked: parked === null ? null : { ...parked.refusal, ...parked } };
};

const show = (context: CliContext, text: string, flags: OutboxFlags): void => {
  const base = oneBase(context, flags);
  const sourceSeq = numberOf(text);
  const found = recordIn(base, sourceSeq);
  if (found === undefined) throw invalid(`the buffer ${basename(base)} has no record ${sourceSeq}`);
  if (flags.json === true) return context.terminal.out(JSON.stringify(documentOf(found)));
  const { record, parked } = found;
  const state =
    parked === null
      ? `waits for its delivery (refused ${record.attempts} times)`
      : `parked after ${parked.refusal.attempts} refusals: ${parked.refusal.code}: ${parked.refusal.message}`;
  context.terminal.out(`${record.sourceSeq}  ${record.kind}  ${record.subject}\n${state}`);
  for (const [name, value] of Object.entries(record.headers)) context.terminal.out(`  ${name}: ${value}`);
  context.terminal.out(new TextDecoder().decode(record.body));
};

const change = (
  context: CliContext,
  kind: 'retry' | 'drop',
  { texts, flags }: { readonly texts: readonly string[]; readonly flags: OutboxFlags & { all?: boolean } },
): void => {
  const base = oneBase(context, flags);
  if ((flags.all === true) === texts.length > 0)
    throw invalid('name the numbers of parked records, or --all of them');
  const asked =
    flags.all === true ? parkedIn(base, -1).map(({ record }) => record.sourceSeq) : texts.map(numberOf);
  const changed = changeParked(base, { kind, sourceSeqs: asked }, context.clock.now());
  const missing = asked.filter((sourceSeq) => !changed.includes(sourceSeq));
  const done = kind === 'retry' ? 'put back' : 'dropped';
  if (flags.json === true) context.terminal.out(JSON.stringify({ [kind]: changed, missing }));
  else context.terminal.out(`${done}: ${changed.length === 0 ? 'none' : changed.join(', ')}`);
  if (missing.length === 0) return;
  if (flags.json !== true) context.terminal.note(`not parked here: ${missing.join(', ')}`);
  throw new CommandFailed();
};

const withFlags = (command: Command): Command =>
  command
    .option('--data <dir>', 'where to look for buffers (default: $FLEETLOG_DATA or ./data)')
    .option('--buffer <name>', 'the buffer whose file name has this in it, if there are several')
    .option('--json', 'print one JSON document and nothing else');

/** Registers the commands. */
export const registerOutboxCommands = (program: Command, context: CliContext): void => {
  const outbox = program
    .command('outbox')
    .description('Reports that a runner of this machine has not delivered');
  withFlags(outbox.command('list'))
    .description('What waits, and what was refused for good; works while the runner runs')
    .action((flags: OutboxFlags) => list(context, flags));
  withFlags(outbox.command('show <number>'))
    .description('One record with its headers and its body')
    .action((text: string, flags: OutboxFlags) => show(context, text, flags));
  withFlags(outbox.command('retry [numbers...]'))
    .description('Put parked records back at their place, to be sent again; stop the runner first')
    .option('--all', 'every parked record')
    .action((texts: readonly string[], flags: OutboxFlags) => change(context, 'retry', { texts, flags }));
  withFlags(outbox.command('drop [numbers...]'))
    .description('Delete parked records for good; stop the runner first')
    .option('--all', 'every parked record')
    .action((texts: readonly string[], flags: OutboxFlags) => change(context, 'drop', { texts, flags }));
};
