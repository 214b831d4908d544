// fleetlog approvals: what agents ask people, and the answers. An answer is always to the call that was shown: its digest goes with it,
// so a call that is another one by then is refused. Everything goes through the gateway.
import { Fault } from '#libs/kernel/fault.ts';
import { APPROVAL_STATES, shownApprovalSchema } from '#streams/buckets.ts';
import type { Command } from 'commander';
import { z } from 'zod';
import { invocation, withStackFlags, type Invocation, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { ago, table } from './output.ts';

const placedSchema = shownApprovalSchema.extend({
  runId: z.string(),
  sessionId: z.string(),
  agent: z.string().nullable(),
  title: z.string().nullable(),
});
type Shown = z.infer<typeof placedSchema>;
const pageSchema = z.object({ approvals: z.array(placedSchema), next: z.string().nullish() });
const answeredSchema = z.object({
  runId: z.string(),
  approvalId: z.string(),
  seq: z.number(),
  decision: z.string(),
  repeated: z.boolean(),
  stillNeeded: z.number(),
});

interface ListFlags extends StackFlags {
  readonly all?: boolean;
  readonly state?: string;
  readonly run?: string;
  readonly limit?: string;
  readonly cursor?: string;
}

const oneLine = (value: unknown, limit: number): string => {
  const text = (typeof value === 'string' ? value : JSON.stringify(value)).replaceAll(/\s+/g, ' ');
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
};

/** What is asked for, on one line: a call with its input, or what the agent wants to know. */
const callOf = ({ tool, input, question }: Shown): string =>
  `${tool} ${oneLine(input ?? question, 80)}`.trimEnd();

const list = async (context: CliContext, flags: ListFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const query = new URLSearchParams();
  const state = flags.state ?? (flags.all === true ? undefined : 'open');
  for (const [name, value] of Object.entries({
    state,
    run: flags.run,
    limit: flags.limit,
    cursor: flags.cursor,
  }))
    if (value !== undefined) query.set(name, value);
  const page = await call.api.call({ path: `/api/v1/approvals?${query.toString()}` }, pageSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  const now = context.clock.now();
  const rows = page.approvals.map((one) => [
    one.approvalId,
    one.state,
    one.agent ?? '',
    one.mode,
    ago(one.askedAt, now),
    one.state === 'open' ? ago(now, one.expiresAt) : '',
    one.state === 'open' ? `${one.approvedBy.length}/${one.needs?.approvers ?? 1}` : '',
    callOf(one),
  ]);
  if (rows.length === 0 && state === 'open') return context.terminal.note('nobody waits for an answer');
  context.terminal.out(table(['APPROVAL', 'STATE', 'AGENT', 'MODE', 'ASKED', 'LEFT', 'YES', 'CALL'], rows));
  if (typeof page.next === 'string')
    context.terminal.note(`more: fleetlog approvals list --cursor ${page.next}`);
};

const read = ({ api }: Invocation, approvalId: string): Promise<Shown> =>
  api.call({ path: `/api/v1/approvals/${encodeURIComponent(approvalId)}` }, placedSchema);

const peopleOf = (count: number): string => (count === 1 ? '1 person' : `${count} people`);

/** Who has allowed it and who must, for people. */
const needsLine = ({ needs, approvedBy, stillNeeded }: Shown): string | undefined => {
  if (needs === null) return undefined;
  const role = needs.roles.length === 0 ? '' : ` with the role ${needs.roles.join(' and ')}`;
  const not = needs.excluded.length === 0 ? '' : `, but not ${needs.excluded.join(' or ')}`;
  const so = approvedBy.length === 0 ? 'nobody so far' : approvedBy.join(', ');
  return `needs     ${peopleOf(needs.approvers)}${role}${not}; approved by ${so}; ${stillNeeded} still needed`;
};

/** The exact call, for people. */
const print = (context: CliContext, one: Shown): void => {
  const { terminal, clock } = context;
  const cut = one.inputCutBytes > 0 ? ` (${one.inputCutBytes} bytes of it are not shown)` : '';
  const settled = one.by === null ? '' : ` by ${one.by}${one.message === null ? '' : `: ${one.message}`}`;
  terminal.out(`approval  ${one.approvalId}  ${one.state}${settled}`);
  terminal.out(`run       ${one.runId}  ${one.agent ?? ''}  ${one.title ?? ''}`.trimEnd());
  terminal.out(`asked     ${ago(one.askedAt, clock.now())} ago, ${one.mode}; ${one.question}`);
  if (one.state === 'open')
    terminal.out(`until     ${ago(clock.now(), one.expiresAt)} from now, then it counts as refused`);
  const needs = needsLine(one);
  if (needs !== undefined) terminal.out(needs);
  terminal.out(`tool      ${one.tool}`);
  terminal.out(`digest    ${one.digest}`);
  if (one.input === null) return;
  terminal.out(`input${cut}:`);
  terminal.out(typeof one.input === 'string' ? one.input : JSON.stringify(one.input, null, 2));
};

const show = async (context: CliContext, approvalId: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const one = await read(call, approvalId);
  if (call.isJson) return context.terminal.out(JSON.stringify(one));
  print(context, one);
};

interface AnswerFlags extends StackFlags {
  readonly digest?: string;
  readonly message?: string;
  readonly by?: string;
  readonly idempotencyKey?: string;
  readonly input?: string;
}

const inputOf = async (context: CliContext, given: string | undefined): Promise<unknown> => {
  const text = given ?? (await context.readStandardInput()) ?? '';
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Fault({
      code: 'ARGUMENT_INVALID',
      retry: 'never',
      message: `the input to use instead must be JSON, as --input or on standard input: ${JSON.stringify(text.slice(0, 80))}`,
    });
  }
};

const answer = async (
  context: CliContext,
  { approvalId, decision }: { readonly approvalId: string; readonly decision: 'approve' | 'reject' | 'edit' },
  flags: AnswerFlags,
): Promise<void> => {
  const call = await invocation(context, flags);
  const input = decision === 'edit' ? await inputOf(context, flags.input) : undefined;
  let { digest } = flags;
  if (digest === undefined) {
    const one = await read(call, approvalId);
    ({ digest } = one);
    if (!call.isJson) print(context, one);
  }
  const body = { decision, digest, input, message: flags.message, by: flags.by };
  const path = `/api/v1/approvals/${encodeURIComponent(approvalId)}/answer`;
  const { idempotencyKey } = flags;
  const answered = await call.api.call({ method: 'POST', path, body, idempotencyKey }, answeredSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(answered));
  const DONE = { approve: 'approved', reject: 'rejected', edit: 'approved with another input' } as const;
  const { stillNeeded } = answered;
  const left = stillNeeded === 0 ? '' : `; it waits for ${peopleOf(stillNeeded)} more`;
  context.terminal.out(`${approvalId} ${DONE[decision]}${left}`);
};

const withAnswerFlags = (command: Command): Command =>
  withStackFlags(command)
    .argument('<approval>')
    .option('--digest <hex>', 'of the call you looked at; default: of the call as it is shown now')
    .option('--message <text>', 'told to the agent')
    .option('--by <name>', 'who answers, for the record')
    .option(
      '--idempotency-key <key>',
      'the same key and answer give the same result, however often it is sent',
    );

/** Registers the commands. */
export const registerApprovalCommands = (program: Command, context: CliContext): void => {
  const approvals = program
    .command('approvals')
    .description('What agents ask people: list, show, approve, reject, edit')
    .addHelpText(
      'after',
      '\nExamples:\n  fleetlog approvals list\n  fleetlog approvals show apr_…\n  fleetlog approvals reject apr_… --message "not on a Friday"\n  fleetlog approvals edit apr_… --input \'{"command":"make -n release"}\'',
    );
  withStackFlags(approvals.command('list'))
    .description('What waits for an answer, newest first')
    .option('--all', 'also what has been settled')
    .option('--state <names>', `only these, with commas: ${APPROVAL_STATES.join(', ')}`)
    .option('--run <id>', 'only of this run')
    .option('--limit <n>', 'how many (default 50)')
    .option('--cursor <cursor>', 'go on after a page')
    .action((flags: ListFlags) => list(context, flags));
  withStackFlags(approvals.command('show'))
    .description('One approval: the exact call and its digest')
    .argument('<approval>')
    .action((approvalId: string, flags: StackFlags) => show(context, approvalId, flags));
  const MEANS = {
    approve: 'Allow the call as it is shown',
    reject: 'Refuse the call; the agent goes on without it',
    edit: 'Allow the call with another input (JSON, whole)',
  } as const;
  for (const decision of ['approve', 'reject', 'edit'] as const) {
    const command = withAnswerFlags(approvals.command(decision)).description(MEANS[decision]);
    if (decision === 'edit') command.option('--input <json>', 'the input to use; default: standard input');
    command.action((approvalId: string, flags: AnswerFlags) =>
      answer(context, { approvalId, decision }, flags),
    );
  }
};
