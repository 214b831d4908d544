// Mail over HTTP: send, list, one whole message, reply, nudge, and what somebody owes. Reads come from the summaries in memory, the body
// of a message from its stream; the mail service decides. With an Idempotency-Key a repeat is the same message.
import { viewKey } from '#streams/buckets.ts';
import { MAIL_API } from '#streams/http/mail.ts';
import { messageIdSchema, nameSchema } from '#streams/ids.ts';
import { decodeMail } from '#streams/mail-codec.ts';
import { mailboxOf } from '#streams/mail.ts';
import { obligationsKey, type MessageView, type ObligationsView } from '#streams/mail-views.ts';
import { typedSubject } from '#streams/subjects.ts';
import { shows } from './catch-up.ts';
import { parseListCursor } from './cursor.ts';
import {
  foreignBoundary,
  isRefused,
  keyOf,
  refuse,
  speakerOf,
  type GatewayParts,
  type GatewayRequest,
  type Refused,
  type Route,
} from './http.ts';
import { inputInvalid, parseInput, readBody } from './input.ts';
import { answerPage } from './json-page.ts';
import { idMaker } from './new-ids.ts';
import { valueOf } from './read-routes.ts';

const linksOf = (messageId: string) => {
  const self = `/api/v1/messages/${messageId}`;
  return { self, reply: `${self}/reply` };
};

/** Who writes by a token that is nobody's own. */
const DEFAULT_WRITER = 'user';

/** On whose behalf the service is asked, and the id of what is written. */
const writingOf = (parts: GatewayParts, request: GatewayRequest, named: string | undefined) => {
  const from = speakerOf(request, named, DEFAULT_WRITER);
  const messageId = idMaker(parts.ids, parts.boundary, keyOf(request))('message');
  return { messageId, from, actor: `user:${from}` };
};

const optional = <Name extends string, Value>(name: Name, value: Value | undefined) =>
  (value === undefined ? {} : { [name]: value }) as { readonly [Key in Name]?: Value };

const send =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, MAIL_API.sendMessage.body, parts.config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const { to, subject = null, body, needsReply, priority, from, session, expiresAt } = input;
    const answer = await parts.mailClient.ask('send', {
      ...writingOf(parts, request, from),
      to,
      subject,
      body,
      needsReply,
      priority,
      ...optional('sessionId', session),
      ...optional('expiresAt', expiresAt),
    });
    if (answer.kind === 'refused') return { refused: answer.rejection };
    const links = linksOf(answer.result.messageId);
    return request.json({ ...answer.result, links }, 202, { location: links.self });
  };

/** What is not shown yet is waited for until the summary has caught up with the log, so an id that somebody was just told is found. */
const findMessage = async (
  parts: GatewayParts,
  messageId: string,
  afterSeq = 0,
): Promise<MessageView | Refused> => {
  const { views, boundary, messages } = parts;
  const unknown = refuse(
    'MESSAGE_UNKNOWN',
    `no message ${messageId.slice(0, 100)} in this tenant and project`,
  );
  if (!messageIdSchema.safeParse(messageId).success) return unknown;
  const key = viewKey(boundary, messageId);
  if (afterSeq > 0) await shows(parts, views.messages, afterSeq, key);
  else if ((await views.messages.lookUp(key)) === undefined)
    await shows(parts, views.messages, (await messages.bounds()).lastSeq, key);
  // One that nothing has happened to for long is not held in memory.
  const [found] = valueOf(await views.messages.lookUp(key));
  return found ?? unknown;
};

/** The body of a message; null: the stream has forgotten it. */
const bodyOf = async ({ messages, boundary }: GatewayParts, view: MessageView): Promise<string | null> => {
  const subject = typedSubject(boundary, 'msg', mailboxOf(view.to), 'sent');
  for await (const entry of messages.read(subject, view.sentSeq)) {
    const event = entry.seq === view.sentSeq ? decodeMail(entry) : undefined;
    return event?.kind === 'known' && event.name === 'sent' ? event.data.body : null;
  }
  return null;
};

const get =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(MAIL_API.getMessage.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const message = await findMessage(parts, request.req.param('id') ?? '', query.afterSeq);
    if (isRefused(message)) return message;
    const body = await bodyOf(parts, message);
    return request.json({ ...message, body, links: linksOf(message.messageId) });
  };

const list =
  (parts: GatewayParts) =>
  (request: GatewayRequest): Response | Refused => {
    const query = parseInput(MAIL_API.listMessages.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const after = query.cursor === undefined ? undefined : parseListCursor(query.cursor);
    const { views } = parts;
    views.messages.settle();
    const { rows, next } = views.indexes.messages.page({ ...query, after });
    return answerPage(request, { name: 'messages', view: views.messages, rows, rest: { next } });
  };

const reply =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, MAIL_API.replyToMessage.body, parts.config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const replyTo = request.req.param('id') ?? '';
    if (!messageIdSchema.safeParse(replyTo).success)
      return refuse('MESSAGE_UNKNOWN', `no message ${replyTo.slice(0, 100)} in this tenant and project`);
    const { body, needsReply, priority, from, subject, expiresAt } = input;
    const answer = await parts.mailClient.ask('reply', {
      ...writingOf(parts, request, from),
      replyTo,
      body,
      needsReply,
      priority,
      ...optional('subject', subject),
      ...optional('expiresAt', expiresAt),
    });
    if (answer.kind === 'refused') return { refused: answer.rejection };
    const links = linksOf(answer.result.messageId);
    return request.json({ ...answer.result, links }, 202, { location: links.self });
  };

/** The agent or person of the path. Throws `INPUT_INVALID`. */
const nameOf = (request: GatewayRequest): string => {
  const parsed = nameSchema.safeParse(request.req.param('agent') ?? '');
  if (parsed.success) return parsed.data;
  throw inputInvalid(parsed.error.issues.map(({ message }) => ({ path: 'path.agent', message })));
};

const nudge =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const input = await readBody(request.req.raw, MAIL_API.nudgeAgent.body, parts.config.maxBodyBytes);
    const foreign = foreignBoundary(parts, input);
    if (foreign !== undefined) return foreign;
    const writing = writingOf(parts, request, input.from);
    const answer = await parts.mailClient.ask('nudge', { ...writing, to: nameOf(request), body: input.body });
    if (answer.kind === 'refused') return { refused: answer.rejection };
    return request.json({ ...answer.result, links: linksOf(answer.result.messageId) }, 202);
  };

const obligations =
  (parts: GatewayParts) =>
  async (request: GatewayRequest): Promise<Response | Refused> => {
    const query = parseInput(MAIL_API.getObligations.query, request.req.query(), 'query');
    const foreign = foreignBoundary(parts, query);
    if (foreign !== undefined) return foreign;
    const agent = nameOf(request);
    const { views, boundary } = parts;
    // The value of one key stands still while others change: what is waited for is the projection.
    await shows(parts, views.obligations, query.afterSeq);
    const found = views.obligations.get(obligationsKey(boundary, agent));
    const nothing: Omit<ObligationsView, 'seq'> = { ...boundary, agent, owed: [], coming: [], unlisted: 0 };
    return request.json(found === undefined ? { seq: 0, ...nothing } : { seq: found.seq, ...found.state });
  };

export const mailRoutes = (parts: GatewayParts): readonly Route[] => [
  { ...MAIL_API.sendMessage, handle: send(parts) },
  { ...MAIL_API.listMessages, handle: list(parts) },
  { ...MAIL_API.getMessage, handle: get(parts) },
  { ...MAIL_API.replyToMessage, handle: reply(parts) },
  { ...MAIL_API.getObligations, handle: obligations(parts) },
  { ...MAIL_API.nudgeAgent, handle: nudge(parts) },
];
