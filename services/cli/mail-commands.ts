// fleetlog send, inbox, reply, nudge, obligations: mail between people and agents. Everything goes through the gateway, for the person
// named by --from (or --of). Inside a turn the same words are the agent's own and go to its runner (services/fleetlog.ts).
import { Fault } from '#libs/kernel/fault.ts';
import { MESSAGE_STATES, messageViewSchema, obligationsSchema } from '#streams/mail-views.ts';
import type { Command } from 'commander';
import { z } from 'zod';
import { invocation, withStackFlags, type StackFlags } from './command.ts';
import type { CliContext } from './context.ts';
import { ago, table } from './output.ts';

const pageSchema = z.object({ messages: z.array(messageViewSchema), next: z.string().nullish() });
const wholeSchema = messageViewSchema.extend({ body: z.string().nullable() });
const stored = { messageId: z.string(), seq: z.number() };
const sentSchema = z.object({ ...stored, repeated: z.boolean() });
const repliedSchema = sentSchema.extend({ to: z.string(), closed: z.boolean() });
const nudgedSchema = z.object({ ...stored, state: z.enum(['sent', 'skipped']) });
/** A name that was never asked for a reply has no value in the bucket. */
const owedSchema = obligationsSchema.extend({ seq: z.number() });

interface WriteFlags extends StackFlags {
  readonly from?: string;
  readonly subject?: string;
  readonly needsReply?: boolean;
  readonly high?: boolean;
  readonly session?: string;
  readonly expiresIn?: string;
  readonly idempotencyKey?: string;
}

const invalid = (message: string): Fault => new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });

/** As a cell of a table. */
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 80);

/** The words given, or standard input. */
const bodyOf = async (context: CliContext, words: readonly string[], example: string): Promise<string> => {
  const isPiped = words.length === 0 || (words.length === 1 && words[0] === '-');
  const body = isPiped ? await context.readStandardInput() : words.join(' ');
  if (body !== undefined && body.trim() !== '') return body;
  throw invalid(`words are needed: ${example}, or text on standard input`);
};

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `90s`, `15m`, `2h`, `3d` from now, epoch ms. */
const expiryOf = (context: CliContext, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined;
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (count === undefined || unit === undefined)
    throw invalid(`--expires-in ${JSON.stringify(text)}: expected a time such as 90s, 15m, 2h or 3d`);
  return context.clock.now() + Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
};

const writtenOf = (context: CliContext, flags: WriteFlags) => ({
  from: flags.from,
  subject: flags.subject,
  needsReply: flags.needsReply,
  priority: flags.high === true ? 'high' : undefined,
  expiresAt: expiryOf(context, flags.expiresIn),
});

const send = async (
  context: CliContext,
  { to, words }: { readonly to: string; readonly words: readonly string[] },
  flags: WriteFlags,
): Promise<void> => {
  const call = await invocation(context, flags);
  const text = await bodyOf(context, words, 'fleetlog send builder-1 "which cart do you mean?"');
  const body = { ...writtenOf(context, flags), to, body: text, session: flags.session };
  const { idempotencyKey } = flags;
  const sent = await call.api.call(
    { method: 'POST', path: '/api/v1/messages', body, idempotencyKey },
    sentSchema,
  );
  if (call.isJson) return context.terminal.out(JSON.stringify(sent));
  context.terminal.out(`${sent.messageId} ${sent.repeated ? 'was sent before' : 'sent'} to ${to}`);
};

const reply = async (
  context: CliContext,
  { replyTo, words }: { readonly replyTo: string; readonly words: readonly string[] },
  flags: WriteFlags,
): Promise<void> => {
  const call = await invocation(context, flags);
  const text = await bodyOf(context, words, 'fleetlog reply msg_… "the new one"');
  const path = `/api/v1/messages/${encodeURIComponent(replyTo)}/reply`;
  const body = { ...writtenOf(context, flags), body: text };
  const { idempotencyKey } = flags;
  const sent = await call.api.call({ method: 'POST', path, body, idempotencyKey }, repliedSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(sent));
  const more = sent.closed ? '' : '; the message had its reply before';
  context.terminal.out(
    `${sent.messageId} ${sent.repeated ? 'was sent before' : 'sent'} to ${sent.to}${more}`,
  );
};

const nudge = async (
  context: CliContext,
  { agent, words }: { readonly agent: string; readonly words: readonly string[] },
  flags: WriteFlags,
): Promise<void> => {
  const call = await invocation(context, flags);
  const text = await bodyOf(context, words, 'fleetlog nudge builder-1 "are you still at it?"');
  const path = `/api/v1/agents/${encodeURIComponent(agent)}/nudge`;
  const body = { body: text, from: flags.from };
  const { idempotencyKey } = flags;
  const nudged = await call.api.call({ method: 'POST', path, body, idempotencyKey }, nudgedSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(nudged));
  const said = nudged.state === 'sent' ? 'nudged' : 'was nudged a moment ago; that nudge stands';
  context.terminal.out(`${agent} ${said} (${nudged.messageId})`);
};

interface InboxFlags extends StackFlags {
  readonly of?: string;
  readonly sent?: boolean;
  readonly state?: string;
  readonly thread?: string;
  readonly limit?: string;
  readonly cursor?: string;
}

const inbox = async (context: CliContext, flags: InboxFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const query = new URLSearchParams();
  const whose = flags.thread === undefined ? (flags.of ?? 'user') : flags.of;
  if (whose !== undefined) query.set(flags.sent === true ? 'from' : 'to', whose);
  for (const name of ['state', 'thread', 'limit', 'cursor'] as const) {
    const value = flags[name];
    if (value !== undefined) query.set(name, value);
  }
  const page = await call.api.call({ path: `/api/v1/messages?${query.toString()}` }, pageSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(page));
  if (page.messages.length === 0) return context.terminal.note('no messages');
  const now = context.clock.now();
  const rows = page.messages.map((one) => [
    one.messageId,
    one.from,
    one.to,
    one.kind,
    one.state,
    one.needsReply ? 'reply' : '',
    ago(one.sentAt, now),
    oneLine(one.subject ?? one.gist),
  ]);
  context.terminal.out(table(['MESSAGE', 'FROM', 'TO', 'KIND', 'STATE', 'WANTS', 'AGE', 'SUBJECT'], rows));
  if (typeof page.next === 'string') context.terminal.note(`more: fleetlog inbox --cursor ${page.next}`);
};

const read = async (context: CliContext, messageId: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const one = await call.api.call({ path: `/api/v1/messages/${encodeURIComponent(messageId)}` }, wholeSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify(one));
  const { terminal, clock } = context;
  const line = (name: string, text: string): void => terminal.out(`${name.padEnd(9)} ${text}`);
  line('message', `${one.messageId}  ${one.kind}  ${one.state}`);
  line('from', `${one.from} to ${one.to}, ${ago(one.sentAt, clock.now())} ago`);
  if (one.subject !== null) line('subject', one.subject);
  if (one.replyTo !== null) line('answers', one.replyTo);
  if (one.runId !== null) line('run', one.runId);
  if (one.replyId !== null) line('answer', one.replyId);
  terminal.out('');
  terminal.out(one.body ?? '(the stream has forgotten the text)');
  if (one.needsReply && one.state !== 'answered')
    terminal.note(`${one.to} owes a reply: fleetlog reply ${one.messageId} "…"`);
};

const obligations = async (context: CliContext, name: string, flags: StackFlags): Promise<void> => {
  const call = await invocation(context, flags);
  const path = `/api/v1/agents/${encodeURIComponent(name)}/obligations`;
  const { owed, coming, ...rest } = await call.api.call({ path }, owedSchema);
  if (call.isJson) return context.terminal.out(JSON.stringify({ ...rest, owed, coming }));
  if (owed.length === 0 && coming.length === 0) return context.terminal.note(`${name} owes no reply`);
  const now = context.clock.now();
  const row = (state: string, one: (typeof coming)[number]): string[] => [
    one.messageId,
    one.from,
    state,
    ago(one.sentAt, now),
    oneLine(one.subject ?? ''),
  ];
  const rows = [
    ...owed.map((one) => row(one.injectedAt === null ? 'delivered' : 'seen', one)),
    ...coming.map((one) => row('not delivered', one)),
  ];
  context.terminal.out(table(['MESSAGE', 'FROM', 'STATE', 'AGE', 'SUBJECT'], rows));
  if (rest.unlisted > 0) context.terminal.note(`${rest.unlisted} more came while the list was full`);
};

const withWriteFlags = (command: Command): Command =>
  withStackFlags(command)
    .option('--from <name>', 'who writes (default: user)')
    .option('--idempotency-key <key>', 'the same key and words are one message, however often it is sent');

const registerWriting = (program: Command, context: CliContext): void => {
  withWriteFlags(program.command('send'))
    .description('Write to an agent or a person; the text is the words given, or standard input')
    .argument('<to>', 'agent or person, or policy:<name>: whoever runs for it, now or later')
    .argument('[words...]')
    .option('--subject <text>', 'for lists')
    .option('--needs-reply', 'the recipient owes a reply until it has given one')
    .option('--high', 'with priority')
    .option('--session <id>', 'the conversation of the recipient that it belongs to')
    .option('--expires-in <time>', 'not put before an agent any more after 90s, 15m, 2h, 3d')
    .addHelpText(
      'after',
      '\nExamples:\n  fleetlog send builder-1 "the cart rounds per line; which one do you mean?" --needs-reply\n  fleetlog send builder-1 --subject "Release notes" < notes.md\n\nAn agent reads its messages at the beginning of its next turn; a message begins one. What became of it: fleetlog inbox --sent',
    )
    .action((to: string, words: string[], flags: WriteFlags) => send(context, { to, words }, flags));
  withWriteFlags(program.command('reply'))
    .description('Answer a message, as its recipient; the first reply closes what is owed')
    .argument('<message>', 'id of the message')
    .argument('[words...]')
    .option('--subject <text>', 'default: that of the message')
    .option('--needs-reply', 'and ask for a reply to this')
    .option('--high', 'with priority')
    .option('--expires-in <time>', 'not put before an agent any more after 90s, 15m, 2h, 3d')
    .addHelpText('after', '\nExample:\n  fleetlog reply msg_… "only the new one"')
    .action((replyTo: string, words: string[], flags: WriteFlags) =>
      reply(context, { replyTo, words }, flags),
    );
  withWriteFlags(program.command('nudge'))
    .description('Tell an agent in a few words to go on; several within a moment are one')
    .argument('<agent>')
    .argument('[words...]')
    .addHelpText('after', '\nExample:\n  fleetlog nudge builder-1 "are you still at it?"')
    .action((agent: string, words: string[], flags: WriteFlags) => nudge(context, { agent, words }, flags));
};

/** Registers the commands. */
export const registerMailCommands = (program: Command, context: CliContext): void => {
  registerWriting(program, context);
  withStackFlags(program.command('inbox'))
    .description('Messages to a person or an agent, newest first; with an id: that message, whole')
    .argument('[message]', 'id of one message')
    .option('--of <name>', 'whose (default: user)')
    .option('--sent', 'what they wrote, instead of what they got')
    .option('--state <names>', `only these, with commas: ${MESSAGE_STATES.join(', ')}`)
    .option('--thread <id>', 'only this exchange, by the id of its first message')
    .option('--limit <n>', '1 to 100')
    .option('--cursor <cursor>', 'go on after a page')
    .addHelpText(
      'after',
      '\nExamples:\n  fleetlog inbox\n  fleetlog inbox msg_…\n  fleetlog inbox --of builder-1 --state stored,delivered',
    )
    .action((messageId: string | undefined, flags: InboxFlags) =>
      messageId === undefined ? inbox(context, flags) : read(context, messageId, flags),
    );
  withStackFlags(program.command('obligations'))
    .description('The replies that an agent or a person owes, oldest first')
    .argument('<name>', 'agent or person')
    .action((name: string, flags: StackFlags) => obligations(context, name, flags));
};
