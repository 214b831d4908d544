// Mail to policies: wakes an agent that is wanted for mail, and has the mail sent on to the one that runs. A message is no more than an
// occasion to look: what it leads to is decided from the record, so that it cuts no wait short.
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog, StoredEntry } from '#libs/ports/event-log.ts';
import type { RequestClient } from '#libs/ports/requests.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { decodeMail } from '#streams/mail-codec.ts';
import { FORWARD_REQUESTS } from '#streams/mail-requests.ts';
import { policyOfRecipient } from '#streams/mail.ts';
import { policyMailbox, requestSubject, typedSubject, type Boundary } from '#streams/subjects.ts';
import type { Keeper } from './keeper.ts';
import { ACTOR, type PolicyLog } from './policy-log.ts';
import type { PolicyState } from './policy-state.policy.ts';

/** A message to a policy. */
interface PolicyMail {
  readonly boundary: Boundary;
  readonly policy: string;
  readonly seq: number;
  readonly causation: string;
}

/** The message of an entry; undefined for one to an agent or a person. Throws `MAIL_UNREADABLE` (never). */
export const decodePolicyMail = (entry: StoredEntry): PolicyMail | undefined => {
  const reading = decodeMail(entry);
  if (reading.kind === 'problem')
    throw new Fault({ code: 'MAIL_UNREADABLE', retry: 'never', message: reading.problem });
  if (reading.kind === 'unknown' || reading.name !== 'sent') return undefined;
  const policy = policyOfRecipient(reading.data.to);
  if (policy === undefined) return undefined;
  const { place, envelope } = reading;
  return {
    boundary: { tenant: place.tenant, project: place.project },
    policy,
    seq: entry.seq,
    causation: envelope.id,
  };
};

export interface MailForwarding {
  /** Has the mail of a policy sent on, if its agent runs. Faults: those of the requests port, and those answered. */
  sendOn(boundary: Boundary, policy: PolicyState): Promise<void>;
}

export const createMailForwarding = ({
  client,
  messages,
  timeoutMs,
}: {
  readonly client: RequestClient;
  /** The log of MESSAGES. */
  readonly messages: EventLog;
  /** How long the mail service may take to answer. */
  readonly timeoutMs: number;
}): MailForwarding => ({
  sendOn: async (boundary, state) => {
    if (state === undefined || state.state !== 'running' || state.spawn === null) return;
    const { policy, settledSeq: sinceSeq } = state;
    const last = await messages.last(typedSubject(boundary, 'msg', policyMailbox(policy), 'sent'));
    if (last === undefined || last.seq <= sinceSeq) return;
    const { agent, host, spawnId } = state.spawn;
    const answer = await askRequest<{ readonly forwarded: number }>(client, {
      subject: requestSubject(boundary, 'mail', 'forward'),
      request: { policy, agent, host, spawnId, sinceSeq, actor: ACTOR },
      answer: FORWARD_REQUESTS.forward.answer,
      timeoutMs,
    });
    if (answer.outcome === 'ok') return;
    const retry = answer.outcome === 'fault' ? answer.retry : 'never';
    throw new Fault({ code: answer.code, retry, message: answer.message });
  },
});

export const handlePolicyMail =
  ({
    policyLog,
    keeper,
    forwarding,
  }: {
    readonly policyLog: PolicyLog;
    readonly keeper: Keeper;
    readonly forwarding: MailForwarding;
  }) =>
  async ({ boundary, policy, seq, causation }: PolicyMail): Promise<Handled> => {
    const place = { boundary, policy };
    const { state } = await policyLog.load({ ...place, actor: ACTOR });
    await keeper.consider(place, { cause: `mail${seq}`, causation });
    await forwarding.sendOn(boundary, state);
    return ok;
  };
