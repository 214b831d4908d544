// Mail to a policy: kept in the policy's own mailbox whether anybody runs or not, and sent on to the agent that runs for it, as a message
// of its own under an id that follows from the message and the host. What an agent has had in a turn that came to its end is done; what
// lies in the mailbox of a runner that went down with its host is sent to its successor once more. Starts nobody (see lifecycle).
import { createHash } from 'node:crypto';
import type { Clock } from '#libs/ports/clock.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { ok, type Answer } from '#libs/service/request-answer.ts';
import { runViewSchema, viewKey } from '#streams/buckets.ts';
import { parseJson } from '#streams/entry.ts';
import { idFromDigest } from '#streams/ids.ts';
import { decodeMail } from '#streams/mail-codec.ts';
import type { ForwardRequest } from '#streams/mail-requests.ts';
import type { MailData } from '#streams/mail.ts';
import { messageViewSchema, type MessageView } from '#streams/mail-views.ts';
import { policyMailbox, typedSubject, type Boundary } from '#streams/subjects.ts';
import type { MessageLog } from './message-log.ts';

interface Parts {
  readonly messageLog: MessageLog;
  /** The log of MESSAGES. */
  readonly log: EventLog;
  /** Bucket `messages`. */
  readonly messages: KeyValue;
  /** Bucket `runs`. */
  readonly runs: KeyValue;
  readonly clock: Clock;
}

type Sent = MailData<'sent'>;
type Forwarded = MailData<'forwarded'>;

export type Forward = (
  boundary: Boundary,
  request: ForwardRequest,
) => Promise<Answer<{ readonly forwarded: number }>>;

/** The message that an agent is sent for one to its policy: the same for everybody who derives it. */
const copyIdOf = ({ tenant, project }: Boundary, messageId: string, host: string): string =>
  idFromDigest(
    'message',
    createHash('sha256')
      .update(JSON.stringify([tenant, project, 'forwarded', messageId, host]))
      .digest(),
  );

/** What is in the mailbox of a policy. */
const createMailbox = (log: EventLog) => ({
  /** Of a mailbox, oldest first. */
  mailOf: async (boundary: Boundary, policy: string, sinceSeq: number): Promise<Sent[]> => {
    const found: Sent[] = [];
    for await (const entry of log.read(
      typedSubject(boundary, 'msg', policyMailbox(policy), 'sent'),
      sinceSeq + 1,
    )) {
      const reading = decodeMail(entry);
      if (reading.kind === 'known' && reading.name === 'sent') found.push(reading.data);
    }
    return found;
  },
  /** Where each was sent last. */
  forwardedOf: async (boundary: Boundary, policy: string): Promise<ReadonlyMap<string, Forwarded>> => {
    const found = new Map<string, Forwarded>();
    for await (const entry of log.read(typedSubject(boundary, 'msg', policyMailbox(policy), 'forwarded'))) {
      const reading = decodeMail(entry);
      if (reading.kind === 'known' && reading.name === 'forwarded')
        found.set(reading.data.messageId, reading.data);
    }
    return found;
  },
});

export const createForward = ({ messageLog, log, messages, runs, clock }: Parts): Forward => {
  const mailbox = createMailbox(log);
  const viewOf = async (boundary: Boundary, messageId: string): Promise<MessageView | undefined> => {
    const entry = await messages.get(viewKey(boundary, messageId));
    return entry === undefined ? undefined : messageViewSchema.parse(parseJson(entry.value));
  };
  /** The turn that it was in was lost with its runner. */
  const isTurnLost = async (boundary: Boundary, runId: string | null): Promise<boolean> => {
    const entry = runId === null ? undefined : await runs.get(viewKey(boundary, runId));
    const run = entry === undefined ? undefined : runViewSchema.parse(parseJson(entry.value));
    return run?.failure?.kind === 'runner-lost';
  };
  /** Whether the agent on this host has to be sent it (again). */
  const isDue = async (boundary: Boundary, before: Forwarded | undefined, host: string): Promise<boolean> => {
    if (before === undefined) return true;
    // Its runner keeps it on the disk of its host, and goes on with it there.
    if (before.host === host) return false;
    const copy = await viewOf(boundary, before.copyId);
    // What no runner has taken yet comes to whichever runs.
    if (copy === undefined || copy.state === 'stored') return false;
    if (copy.state === 'delivered') return true;
    return copy.state === 'injected' && (await isTurnLost(boundary, copy.injectedRunId));
  };

  const sendOn = async (
    boundary: Boundary,
    sent: Sent,
    { policy, agent, host, spawnId, actor }: ForwardRequest,
  ): Promise<void> => {
    const { messageId, threadId } = sent;
    const copyId = copyIdOf(boundary, messageId, host);
    const cause = { boundary, actor, causation: messageId, correlation: threadId };
    await messageLog.send({ ...sent, messageId: copyId, to: agent }, cause);
    const now = clock.now();
    const data = { messageId, to: `policy:${policy}`, agent, copyId, spawnId, host, forwardedAt: now };
    const id = `${messageId}.forwarded.${spawnId}`;
    await messageLog.record('forwarded', data, { id, cause, timeMs: now, sinceMs: sent.sentAt });
  };

  return async (boundary, request) => {
    const { policy, host, sinceSeq } = request;
    const mail = await mailbox.mailOf(boundary, policy, sinceSeq);
    if (mail.length === 0) return ok({ forwarded: 0 });
    const before = await mailbox.forwardedOf(boundary, policy);
    const now = clock.now();
    let forwarded = 0;
    // One after another: they come to the agent in the order in which they were written.
    for (const sent of mail) {
      if (sent.expiresAt !== null && sent.expiresAt <= now) continue;
      if (!(await isDue(boundary, before.get(sent.messageId), host))) continue;
      await sendOn(boundary, sent, request);
      forwarded += 1;
    }
    return ok({ forwarded });
  };
};
