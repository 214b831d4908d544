// The part of the control plane that a runner's mail needs, in as few words as can be: messages are appended, and a batch becomes a run.
// For tests of the runner alone; what the mail service does with reports is tested with the real one.
import { systemIds } from '#libs/system/ids.ts';
import type { Ports } from '#libs/service/context.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { encodeMail } from '#streams/mail-codec.ts';
import { AGENT_MAIL_REQUESTS, mailRunId, mailSessionId } from '#streams/mail-requests.ts';
import type { MailData } from '#streams/mail.ts';
import { agentRequestFilter } from '#streams/subjects.ts';
import { BOUNDARY } from './control-plane.ts';
import { AGENT } from './runner-rig.ts';
import { ask } from './scripted-runner.ts';

/** Appends a message to the agent; its id is given back. */
export const postMessage = async (ports: Ports, more: Partial<MailData<'sent'>> = {}): Promise<string> => {
  const messageId = makeId('message', systemIds.ulid());
  const message: MailData<'sent'> = {
    messageId,
    threadId: messageId,
    from: 'user',
    to: AGENT,
    kind: 'mail',
    subject: null,
    body: 'hello',
    needsReply: false,
    replyTo: null,
    priority: 'normal',
    sessionId: null,
    runId: null,
    turnId: null,
    expiresAt: null,
    sentAt: 1_900_000_000_000,
    ...more,
  };
  const entry = encodeMail('sent', message, {
    boundary: BOUNDARY,
    id: `${message.messageId}.sent`,
    source: '/service/mail',
    timeMs: message.sentAt,
    actor: 'user:test',
  });
  await ports.log('MESSAGES').append(entry);
  return message.messageId;
};

/** Makes runs of batches until it is stopped. */
export const openMailOffice = (ports: Ports): { readonly stop: () => Promise<void> } =>
  ports.requests.server.serve(agentRequestFilter('mail', 'begin-turn'), 'mail', async ({ body }) => {
    const batch = AGENT_MAIL_REQUESTS['begin-turn'].request.parse(parseJson(body));
    const { batchId, prompt, provider, sessionId, workspace, turnTimeoutMs = 60_000, messageIds } = batch;
    const answer = await ask(ports, 'create', {
      runId: mailRunId(batchId),
      sessionId: sessionId ?? mailSessionId(batchId),
      agent: AGENT,
      provider,
      title: `${messageIds.length} messages`,
      request: { prompt, turnTimeoutMs, ...(workspace !== undefined && { workspace }) },
      replay: 'fail',
      maxAttempts: 1,
      leaseMs: 30_000,
      actor: `agent:${AGENT}`,
    });
    if (answer.outcome !== 'ok') return { body: jsonBytes(answer) };
    const { runId, sessionId: joined, seq, state, turnId } = answer.result;
    return { body: jsonBytes({ outcome: 'ok', result: { runId, sessionId: joined, seq, state, turnId } }) };
  });
