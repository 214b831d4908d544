// The tools that an agent has for its mail and its own word, as an MCP server: each is one request to the control endpoint of the
// runner, with the token of the turn. Decides nothing and keeps nothing.
import { McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { toFault } from '#libs/kernel/fault.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { askSchema, doneSchema, replySchema, sendSchema } from '#services/runner/control/control-input.ts';
import { makeId } from '#streams/ids.ts';
import type { LocalClient, LocalResult } from '#libs/local-http/local-client.ts';

export interface McpParts {
  readonly client: LocalClient;
  readonly ids: Ids;
  readonly version: string;
}

interface Tool<Input extends z.ZodObject = z.ZodObject> {
  readonly means: string;
  readonly input: Input;
  readonly isReadOnly: boolean;
  readonly call: (input: z.output<Input>) => Promise<LocalResult>;
}

const tool = <Input extends z.ZodObject>(given: Tool<Input>): Tool => given;

const INSTRUCTIONS =
  'Mail and signals of this agent in its fleet. `inbox` shows messages, `obligations` what still has to be answered, `reply` answers, ' +
  '`send` writes to another agent or person, `done` says how the work of this turn ended, `ask_for_approval` asks a person and waits.';

const INBOX_LIMIT = z.int().min(1).max(200).default(20);

/** The tools by name. */
const toolsOf = ({ client, ids }: McpParts): Readonly<Record<string, Tool>> => {
  const withId = <Mail extends object>(mail: Mail): Mail & { readonly messageId: string } => ({
    ...mail,
    // Made here, so that asking again after a lost answer is the same message.
    messageId: makeId('message', ids.ulid()),
  });
  return {
    send: tool({
      means: 'Write to another agent or to a person. Says whether it was sent or waits to be sent (queued).',
      input: sendSchema.omit({ messageId: true }),
      isReadOnly: false,
      call: (mail) => client.post('/v1/mail/send', withId(mail)),
    }),
    reply: tool({
      means: 'Answer a message by its id (replyTo). This is how a reply that is owed is given.',
      input: replySchema.omit({ messageId: true }),
      isReadOnly: false,
      call: (mail) => client.post('/v1/mail/reply', withId(mail)),
    }),
    inbox: tool({
      means: 'The latest messages to this agent, newest last, with what became of them.',
      input: z.strictObject({ limit: INBOX_LIMIT }),
      isReadOnly: true,
      call: ({ limit }) => client.get(`/v1/mail/inbox?limit=${limit}`),
    }),
    obligations: tool({
      means: 'The replies that this agent owes, oldest first.',
      input: z.strictObject({}),
      isReadOnly: true,
      call: () => client.get('/v1/obligations'),
    }),
    done: tool({
      means:
        'Say how the work of this turn ended: done, or blocked when it cannot go on (summary: why). The last word counts.',
      input: doneSchema,
      isReadOnly: false,
      call: (word) => client.post('/v1/done', word),
    }),
    ask_for_approval: tool({
      means: 'Ask a person for permission and wait for the answer, which may take long.',
      input: askSchema.omit({ callId: true }),
      isReadOnly: false,
      call: (question) => client.post('/v1/ask', question, null),
    }),
  };
};

/** The server; connect it to a transport. */
export const createMcpServer = (parts: McpParts): McpServer => {
  const server = new McpServer({ name: 'fleetlog', version: parts.version }, { instructions: INSTRUCTIONS });
  for (const [name, { means, input, isReadOnly, call }] of Object.entries(toolsOf(parts)))
    server.registerTool(
      name,
      {
        description: means,
        inputSchema: input,
        annotations: { readOnlyHint: isReadOnly, openWorldHint: false },
      },
      async (given) => {
        try {
          return { content: [{ type: 'text', text: JSON.stringify(await call(given)) }] };
        } catch (error) {
          const { code, message } = toFault(error);
          return { content: [{ type: 'text', text: `${code}: ${message}` }], isError: true };
        }
      },
    );
  return server;
};
