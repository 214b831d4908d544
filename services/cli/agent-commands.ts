// The commands of an agent inside a turn of a runner: its mail, its own word and its questions, by the runner's control endpoint and with
// the token of the turn. They stand in place of the commands of the same names, which speak for a person.
import type { Command } from 'commander';
import { z } from 'zod';
import { Fault } from '#libs/kernel/fault.ts';
import { createLocalClient, type LocalClient, type LocalResult } from '#libs/local-http/local-client.ts';
import { makeId } from '#streams/ids.ts';
import type { CliContext } from './context.ts';

interface TurnFlags {
  readonly json?: boolean;
  readonly subject?: string;
  readonly needsReply?: boolean;
  readonly high?: boolean;
  readonly limit?: string;
  readonly blocked?: boolean;
}

const clientOf = ({ environment, clock }: CliContext): LocalClient =>
  createLocalClient(
    { address: environment['FLEETLOG_CONTROL'] ?? '', token: environment['FLEETLOG_TURN_TOKEN'] ?? '' },
    clock,
  );

const words = async (context: CliContext, given: string | undefined): Promise<string> => {
  const text = given === undefined || given === '-' ? await context.readStandardInput() : given;
  if (text !== undefined && text.trim() !== '') return text;
  const message = 'say something: as an argument, or on standard input';
  throw new Fault({ code: 'ARGUMENT_INVALID', retry: 'never', message });
};

const posted = z.object({ messageId: z.string(), state: z.string() });
const message = z.object({
  messageId: z.string(),
  from: z.string(),
  subject: z.string().nullish(),
  body: z.string().default(''),
  needsReply: z.boolean().default(false),
  state: z.string().default(''),
});
const inbox = z.object({ messages: z.array(message) });
const obligations = z.object({ ready: z.boolean(), owed: z.array(message) });
const asked = z.object({ isAllowed: z.boolean(), message: z.string() });

const sentWords = (result: LocalResult): string => {
  const { messageId, state } = posted.parse(result);
  return state === 'queued'
    ? `${messageId} waits on this machine until it can be sent`
    : `${messageId} ${state}`;
};

const messageWords = ({
  messageId,
  from,
  subject,
  body,
  needsReply,
  state,
}: z.infer<typeof message>): string =>
  [
    `${messageId} from ${from}${subject === null || subject === undefined ? '' : `: ${subject}`}`,
    ...(state === '' ? [] : [`  ${state}${needsReply ? ', needs a reply' : ''}`]),
    ...(body === '' ? [] : body.split('\n').map((line) => `  ${line}`)),
  ].join('\n');

const owedWords = (result: LocalResult): string => {
  const { ready, owed } = obligations.parse(result);
  if (!ready) return 'not known yet';
  return owed.length === 0 ? 'nothing is owed' : owed.map(messageWords).join('\n');
};

const inboxWords = (result: LocalResult): string => {
  const { messages } = inbox.parse(result);
  return messages.length === 0 ? 'no messages' : messages.map(messageWords).join('\n');
};

const askedWords = (result: LocalResult): string => {
  const { isAllowed, message: said } = asked.parse(result);
  return `${isAllowed ? 'yes' : 'no'}${said === '' ? '' : `: ${said}`}`;
};

const print = (
  { terminal }: CliContext,
  { json }: TurnFlags,
  result: LocalResult,
  show: (result: LocalResult) => string,
): void => terminal.out(json === true ? JSON.stringify(result) : show(result));

const registerMail = (program: Command, context: CliContext): void => {
  const newId = (): string => makeId('message', context.ids.ulid());
  program
    .command('send')
    .argument('<to>', 'agent or person')
    .argument('[body]', 'what to say (default or -: standard input)')
    .description('write to another agent or a person')
    .option('--subject <text>')
    .option('--needs-reply', 'the recipient owes an answer')
    .option('--high', 'of high priority')
    .option('--json')
    .action(async (to: string, body: string | undefined, flags: TurnFlags) => {
      const mail = {
        messageId: newId(),
        to,
        body: await words(context, body),
        needsReply: flags.needsReply === true,
        priority: flags.high === true ? 'high' : 'normal',
        ...(flags.subject !== undefined && { subject: flags.subject }),
      };
      print(context, flags, await clientOf(context).post('/v1/mail/send', mail), sentWords);
    });
  program
    .command('reply')
    .argument('<id>', 'the message that is answered')
    .argument('[body]', 'the answer (default or -: standard input)')
    .description('answer a message: this is how a reply that is owed is given')
    .option('--needs-reply', 'the recipient owes an answer in turn')
    .option('--json')
    .action(async (replyTo: string, body: string | undefined, flags: TurnFlags) => {
      const needsReply = flags.needsReply === true;
      const mail = { messageId: newId(), replyTo, body: await words(context, body), needsReply };
      print(context, flags, await clientOf(context).post('/v1/mail/reply', mail), sentWords);
    });
};

const registerLooks = (program: Command, context: CliContext): void => {
  program
    .command('inbox')
    .description('the latest messages to this agent, newest last')
    .option('--limit <n>', 'at most so many', '20')
    .option('--json')
    .action(async (flags: TurnFlags) => {
      const path = `/v1/mail/inbox?limit=${encodeURIComponent(flags.limit ?? '')}`;
      print(context, flags, await clientOf(context).get(path), inboxWords);
    });
  program
    .command('obligations')
    .description('the replies that this agent owes, oldest first')
    .option('--json')
    .action(async (flags: TurnFlags) => {
      print(context, flags, await clientOf(context).get('/v1/obligations'), owedWords);
    });
};

/** Adds the commands. */
export const registerAgentCommands = (program: Command, context: CliContext): void => {
  registerMail(program, context);
  registerLooks(program, context);
  program
    .command('done')
    .argument('[summary]', 'what was done, or why it cannot go on')
    .description('say how the work of this turn ended; the last word counts')
    .option('--blocked', 'it cannot go on')
    .option('--json')
    .action(async (summary: string | undefined, flags: TurnFlags) => {
      const word = { outcome: flags.blocked === true ? 'blocked' : 'done', summary: summary ?? '' };
      print(context, flags, await clientOf(context).post('/v1/done', word), () => 'kept');
    });
  program
    .command('ask')
    .argument('<question>', 'what is asked')
    .description('ask a person for permission and wait for the answer')
    .option('--json')
    .action(async (question: string, flags: TurnFlags) => {
      print(context, flags, await clientOf(context).post('/v1/ask', { question }, null), askedWords);
    });
};
