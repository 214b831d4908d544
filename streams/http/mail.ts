// The HTTP API about mail: what is asked, what is answered.
import { z } from 'zod';
import { messageIdSchema, nameSchema } from '#streams/ids.ts';
import { MAIL_REQUESTS } from '#streams/mail-requests.ts';
import { MESSAGE_STATES, messageViewSchema, obligationsSchema } from '#streams/mail-views.ts';
import { MAIL_BODY_CHARACTERS, MAIL_KINDS } from '#streams/mail.ts';
import {
  boundaryShape,
  cursorQuery,
  linksAnswer,
  listLimit,
  nextAnswer,
  oneOrMore,
  oneQuery,
  seqAnswer,
  type ApiTable,
} from './route.ts';

const { shape } = MAIL_REQUESTS.send.request;

const body = z
  .string()
  .refine((text) => text.trim() !== '', 'a message must not be empty')
  .max(MAIL_BODY_CHARACTERS, `a message has ${MAIL_BODY_CHARACTERS} characters at most`);

/** The person or agent that writes; absent: whoever's token it is. Only a token that may speak for others can name another. */
const from = nameSchema.optional();

const written = {
  ...boundaryShape,
  body,
  needsReply: z.boolean().default(false),
  priority: shape.priority.default('normal'),
  expiresAt: shape.expiresAt,
  from,
  subject: z.string().min(1).max(200).optional(),
};

const links = linksAnswer('self', 'reply');
const stored = { messageId: messageIdSchema, seq: seqAnswer, repeated: z.boolean(), links };
const message = messageViewSchema.meta({ id: 'Message' });

export const MAIL_API = {
  sendMessage: {
    method: 'POST',
    path: '/api/v1/messages',
    means: 'Write to an agent or a person.',
    body: z.strictObject({ ...written, to: shape.to, session: shape.sessionId }),
    status: 202,
    answer: z.object(stored),
  },
  replyToMessage: {
    method: 'POST',
    path: '/api/v1/messages/:id/reply',
    means: 'Answer a message, as its recipient. The first reply closes what is owed.',
    body: z.strictObject(written),
    status: 202,
    answer: z.object({ ...stored, to: nameSchema, closed: z.boolean() }),
  },
  nudgeAgent: {
    method: 'POST',
    path: '/api/v1/agents/:agent/nudge',
    means: 'Tell an agent in a few words to go on. Several within a moment are one.',
    body: z.strictObject({ ...boundaryShape, body: MAIL_REQUESTS.nudge.request.shape.body, from }),
    status: 202,
    answer: z.object({
      state: z.enum(['sent', 'skipped']),
      messageId: messageIdSchema,
      seq: seqAnswer,
      links,
    }),
  },
  listMessages: {
    method: 'GET',
    path: '/api/v1/messages',
    means: 'List messages, newest first: what became of each, and the beginning of its body.',
    query: z.strictObject({
      ...boundaryShape,
      to: shape.to.optional(),
      from,
      state: oneOrMore(MESSAGE_STATES).optional(),
      kind: oneOrMore(MAIL_KINDS).optional(),
      thread: shape.messageId.optional(),
      cursor: cursorQuery.optional(),
      limit: listLimit,
    }),
    status: 200,
    answer: z.object({ messages: z.array(message), next: nextAnswer }),
  },
  getMessage: {
    method: 'GET',
    path: '/api/v1/messages/:id',
    means: 'One message, whole; `body` is null once the stream has forgotten it.',
    query: oneQuery,
    status: 200,
    answer: messageViewSchema.extend({ body: z.string().nullable(), links }).meta({ id: 'ShownMessage' }),
  },
  getObligations: {
    method: 'GET',
    path: '/api/v1/agents/:agent/obligations',
    means: 'The replies that an agent or a person owes, oldest first, and those that will be owed.',
    query: oneQuery,
    status: 200,
    answer: obligationsSchema
      .extend({
        /** 0: nothing was ever owed. */
        seq: z.int().nonnegative(),
      })
      .meta({ id: 'Obligations' }),
  },
} as const satisfies ApiTable;
