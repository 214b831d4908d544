// Sending, replying and nudging: what is asked is checked against the rules, redacted and stored once. Used by the requests and by what
// runners report of mail that they could not ask for, so both come to the same message under the same id.
import { nearest } from '#libs/config/nearest.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { rejection } from '#libs/kernel/rejection.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Redactor } from '#libs/redaction/redactor.ts';
import { ok, refused, type Answer } from '#libs/service/request-answer.ts';
import type { AgentMailRequestOf, AgentMailResultOf } from '#streams/mail-requests.ts';
import { MAIL_BODY_CHARACTERS, policyOfRecipient, SYSTEM_SENDER } from '#streams/mail.ts';
import type { RejectionCode } from '#streams/rejections.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { MessageLookup } from './message-lookup.ts';
import type { Cause, MessageLog } from './message-log.ts';
import {
  decideReply,
  messageOf,
  nudgeOf,
  refuseRecipient,
  refuseSender,
  type KnownNames,
} from './message.policy.ts';

/** Who writes, and on whose behalf. */
export interface Sender {
  readonly boundary: Boundary;
  /** The agent or person that the message is from. */
  readonly from: string;
  readonly actor: string;
  /** Id of the report that caused it. */
  readonly causation?: string;
  /** When it was written, epoch ms; default: now. */
  readonly at?: number;
}

type MailOperation = 'send' | 'reply' | 'nudge';
type MailAnswer<Op extends MailOperation> = Answer<AgentMailResultOf<Op>, RejectionCode>;

export interface PostOffice {
  send(sender: Sender, request: AgentMailRequestOf<'send'>): Promise<MailAnswer<'send'>>;
  reply(sender: Sender, request: AgentMailRequestOf<'reply'>): Promise<MailAnswer<'reply'>>;
  nudge(sender: Sender, request: AgentMailRequestOf<'nudge'>): Promise<MailAnswer<'nudge'>>;
}

interface Parts {
  readonly messageLog: MessageLog;
  readonly lookup: MessageLookup;
  readonly redactor: Redactor;
  readonly clock: Clock;
  /** Who can be written to in a tenant and project. */
  readonly namesOf: (boundary: Boundary) => KnownNames;
  /** Whether there is such a policy, running or not. */
  readonly hasPolicy: (boundary: Boundary, policy: string) => Promise<boolean>;
  /** Nudges of one writer to one agent within this time are one. */
  readonly nudgeMs: number;
}

/** Other writers of the same mailbox may be faster so often. */
const MAX_TRIES = 8;

const idTaken = (messageId: string): Answer<never, RejectionCode> =>
  refused(rejection('MESSAGE_CONFLICTING_REQUEST', `message ${messageId} is another message already`));

const contended = (to: string): Fault =>
  new Fault({
    code: 'MAILBOX_CONTENDED',
    retry: 'now',
    message: `others wrote to the mail of ${to} faster, ${MAX_TRIES} times in a row`,
  });

const causeOf = ({ boundary, actor, causation }: Sender): Cause => ({
  boundary,
  actor,
  ...(causation !== undefined && { causation }),
});

/** Tries until nobody else was faster. */
const untilSettled = async <Outcome>(
  of: string,
  attempt: () => Promise<Outcome | 'contended'>,
): Promise<Outcome> => {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const outcome = await attempt();
    if (outcome !== 'contended') return outcome;
  }
  throw contended(of);
};

/** Taking a secret out may make a text longer. */
const clean = <Request extends { readonly body: string; readonly subject?: string | null | undefined }>(
  redactor: Redactor,
  request: Request,
): Request => {
  const body = redactor.text(request.body).value.slice(0, MAIL_BODY_CHARACTERS);
  const { subject } = request;
  if (typeof subject !== 'string') return { ...request, body };
  return { ...request, body, subject: redactor.text(subject).value.slice(0, 200) };
};

const refuseUnknown = (names: Partial<KnownNames>, to: string) => {
  const { agents = [], people = [] } = names;
  const near = nearest(to, [...agents, ...people]);
  return refuseRecipient(to, { agents, people }, near === undefined ? [] : [near]);
};

const writerOf = ({ clock }: Parts, { from, at }: Sender) => ({ from, now: at ?? clock.now() });

/** Fleetlog itself, whoever else may call himself so. */
const isOwnWord = ({ from, actor }: Sender): boolean =>
  from === SYSTEM_SENDER && actor.startsWith('service:');

const send =
  (parts: Parts): PostOffice['send'] =>
  async (sender, request) => {
    const names = parts.namesOf(sender.boundary);
    const policy = policyOfRecipient(request.to);
    const isKnown = policy !== undefined && (await parts.hasPolicy(sender.boundary, policy));
    const refusal =
      (isOwnWord(sender) ? undefined : refuseSender(sender.from, names)) ??
      (isKnown ? undefined : refuseUnknown(names, request.to));
    if (refusal !== undefined) return refused(refusal);
    const sent = messageOf(clean(parts.redactor, request), writerOf(parts, sender));
    const outcome = await parts.messageLog.send(sent, causeOf(sender));
    const { messageId } = request;
    if (outcome.kind === 'conflict') return idTaken(messageId);
    return ok({ messageId, seq: outcome.seq, repeated: outcome.repeated });
  };

const reply =
  (parts: Parts): PostOffice['reply'] =>
  async (sender, asked) => {
    const { boundary, from } = sender;
    const { messageId, replyTo } = asked;
    const request = clean(parts.redactor, asked);
    const writer = writerOf(parts, sender);
    return untilSettled<MailAnswer<'reply'>>(from, async () => {
      // Before the message is looked at: whoever answers in between makes the append conflict.
      const expectedSeq = await parts.lookup.lastSeq(boundary, from, 'answered');
      const original = await parts.lookup.find(boundary, from, replyTo);
      if (original === undefined)
        return refused(
          rejection('MESSAGE_UNKNOWN', `no message ${replyTo} was sent to ${from}`, { replyTo }),
        );
      const decision = decideReply(request, original, writer);
      if (decision.kind === 'refused') return refused(decision.rejection);
      const { sent, answered } = decision;
      const outcome =
        answered === null
          ? await parts.messageLog.send(sent, causeOf(sender))
          : await parts.messageLog.sendAnswering(sent, answered, { cause: causeOf(sender), expectedSeq });
      if (outcome.kind === 'contended') return 'contended';
      if (outcome.kind === 'conflict') return idTaken(messageId);
      const { seq, repeated } = outcome;
      return ok({ messageId, seq, repeated, to: sent.to, closed: answered !== null });
    });
  };

const nudge =
  (parts: Parts): PostOffice['nudge'] =>
  async (sender, asked) => {
    const { boundary, from } = sender;
    const { messageId, to } = asked;
    const names = parts.namesOf(boundary);
    // What a service nudges runs, whether or not it has a name here.
    const refusal = isOwnWord(sender)
      ? undefined
      : (refuseSender(from, names) ?? refuseUnknown({ agents: names.agents }, to));
    if (refusal !== undefined) return refused(refusal);
    const sent = nudgeOf(clean(parts.redactor, asked), writerOf(parts, sender));
    return untilSettled<MailAnswer<'nudge'>>(to, async () => {
      const expectedSeq = await parts.lookup.lastSeq(boundary, to, 'sent');
      const sinceMs = parts.clock.now() - parts.nudgeMs;
      const earlier = await parts.lookup.recentNudge({ ...boundary, to }, from, sinceMs);
      if (earlier !== undefined)
        return ok({ state: earlier.messageId === messageId ? 'sent' : 'skipped', ...earlier });
      const outcome = await parts.messageLog.sendAfter(sent, causeOf(sender), expectedSeq);
      if (outcome.kind === 'contended') return 'contended';
      return outcome.kind === 'conflict'
        ? idTaken(messageId)
        : ok({ state: 'sent', messageId, seq: outcome.seq });
    });
  };

export const createPostOffice = (parts: Parts): PostOffice => ({
  send: send(parts),
  reply: reply(parts),
  nudge: nudge(parts),
});
