// What the mail routes take: strict schemas of bodies and queries, as everything of the HTTP API (input.ts).
import { z } from 'zod';
import { nameSchema } from '#streams/ids.ts';
import { MAIL_REQUESTS } from '#streams/mail-requests.ts';
import { MESSAGE_STATES } from '#streams/mail-views.ts';
import { MAIL_BODY_CHARACTERS, MAIL_KINDS } from '#streams/mail.ts';
import { boundaryQuery, listLimit, oneOrMore } from './input.ts';

const { shape } = MAIL_REQUESTS.send.request;
const boundary = boundaryQuery.shape;

/** Who writes when nobody is named. */
const DEFAULT_WRITER = 'user';

const body = z
  .string()
  .refine((text) => text.trim() !== '', 'a message must not be empty')
  .max(MAIL_BODY_CHARACTERS, `a message has ${MAIL_BODY_CHARACTERS} characters at most`);

const written = {
  ...boundary,
  body,
  needsReply: z.boolean().default(false),
  priority: shape.priority.default('normal'),
  expiresAt: shape.expiresAt,
  /** The person or agent that writes: this API knows only who holds its token. */
  from: nameSchema.default(DEFAULT_WRITER),
};

/** `POST /api/v1/messages`. */
export const sendSchema = z.strictObject({
  ...written,
  to: nameSchema,
  subject: z.string().min(1).max(200).optional(),
  session: shape.sessionId,
});

/** `POST /api/v1/messages/{id}/reply`. */
export const replySchema = z.strictObject({ ...written, subject: z.string().min(1).max(200).optional() });

/** `POST /api/v1/agents/{agent}/nudge`. */
export const nudgeSchema = z.strictObject({
  ...boundary,
  body: MAIL_REQUESTS.nudge.request.shape.body,
  from: nameSchema.default(DEFAULT_WRITER),
});

/** `GET /api/v1/messages`. */
export const messageListQuery = z.strictObject({
  ...boundary,
  to: nameSchema.optional(),
  from: nameSchema.optional(),
  state: oneOrMore(MESSAGE_STATES).optional(),
  kind: oneOrMore(MAIL_KINDS).optional(),
  thread: shape.messageId.optional(),
  cursor: z.string().max(200).optional(),
  limit: listLimit,
});
