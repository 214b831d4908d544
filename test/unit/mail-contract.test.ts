// Mail on the wire: what a message may be, what its entries say, and ids that everybody derives alike.
import { describe, expect, test } from 'vitest';
import { mailboxConsumerName, obligationsConsumerName, topologyOf } from '#streams/consumers.ts';
import { AGENT_MAIL_REQUEST_EXAMPLES, MAIL_EXAMPLES } from '#streams/generate-mail-examples.ts';
import { decodeMail, encodeMail } from '#streams/mail-codec.ts';
import { mailRunId, mailSessionId } from '#streams/mail-requests.ts';
import { obligationsSubject } from '#streams/mail-views.ts';
import { MAIL_BODY_CHARACTERS, sendMailSchema, SYSTEM_SENDER, type MailName } from '#streams/mail.ts';
import { runIdSchema, sessionIdSchema } from '#streams/ids.ts';

const boundary = { tenant: 'acme', project: 'web' };
const meta = { boundary, id: 'x', source: '/service/mail', actor: 'user:anna', timeMs: 1 };

describe('an entry of mail', () => {
  for (const name of Object.keys(MAIL_EXAMPLES) as MailName[])
    test(`${name} stands under its recipient and comes back as it was`, () => {
      const entry = encodeMail(name, MAIL_EXAMPLES[name], meta);
      const mailbox = name === 'forwarded' ? '14.POLICY-builders' : '2.builder-1';
      expect(entry.subject).toBe(`fleet.acme.web.msg.${mailbox}.${name}`);
      expect(decodeMail(entry)).toMatchObject({ kind: 'known', name, data: MAIL_EXAMPLES[name] });
    });
});

describe('a message that is asked for', () => {
  const { runId: _runId, turnId: _turnId, ...asked } = AGENT_MAIL_REQUEST_EXAMPLES.send.request;
  test('may be as long as 64 KiB of plain text, and no longer', () => {
    const of = (length: number) => sendMailSchema.safeParse({ ...asked, body: 'x'.repeat(length) }).success;
    expect([of(1), of(MAIL_BODY_CHARACTERS), of(MAIL_BODY_CHARACTERS + 1), of(0)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  test('goes to a name, and the sender of notices can be one like any other on the wire', () => {
    expect(sendMailSchema.safeParse({ ...asked, to: 'a.b' }).success).toBe(false);
    expect(sendMailSchema.safeParse({ ...asked, to: SYSTEM_SENDER }).success).toBe(true);
  });
});

test('the run and the session of a batch follow from its id, for whoever derives them', () => {
  const batchId = 'bat_01KAJ5P7B0Q1R2S3T4V5W6X7Y8';
  expect(runIdSchema.parse(mailRunId(batchId))).toBe('run_01KAJ5P7B0Q1R2S3T4V5W6X7Y8');
  expect(sessionIdSchema.parse(mailSessionId(batchId))).toBe('ses_01KAJ5P7B0Q1R2S3T4V5W6X7Y8');
});

test('an agent has a consumer for its messages and one for what it owes, and they see its own only', () => {
  const { consumers } = topologyOf({ replicas: 1, agents: [{ ...boundary, agent: 'builder-1' }] });
  const of = (name: string) => consumers.find((consumer) => consumer.name === name);
  expect(of(mailboxConsumerName(boundary, 'builder-1'))).toMatchObject({
    stream: 'MESSAGES',
    filterSubjects: ['fleet.acme.web.msg.2.builder-1.sent'],
  });
  expect(of(obligationsConsumerName(boundary, 'builder-1'))).toMatchObject({
    stream: 'KV_obligations',
    filterSubjects: [obligationsSubject(boundary, 'builder-1')],
  });
});
