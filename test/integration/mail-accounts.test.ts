// A runner's user and mail, at a real broker: its own messages and what its agent owes are in reach, the mailbox of another is not.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createEventLog } from '#libs/nats/event-log.ts';
import { connectNats, type NatsConnectionHandle } from '#libs/nats/connect.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { openWorkQueue } from '#libs/nats/work-queue.ts';
import { systemClock } from '#libs/system/clock.ts';
import { accountsOf, CONTROL_USER, runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerUser } from '#streams/runner-user.ts';
import { mailboxConsumerName, obligationsConsumerName } from '#streams/consumers.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { MAIL_EXAMPLES } from '#streams/generate-mail-examples.ts';
import { encodeMail } from '#streams/mail-codec.ts';
import { AGENT_MAIL_REQUESTS } from '#streams/mail-requests.ts';
import { obligationsKey, OBLIGATIONS_STREAM, obligationsSubject } from '#streams/mail-views.ts';
import { agentRequestSubject, requestSubject, typedSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision } from '#test/support/control-plane.ts';

const OWN = 'builder-1';
const OTHER = 'builder-2';

let broker: FreshBroker;
let control: NatsConnectionHandle;
let runner: NatsConnectionHandle;

beforeAll(async () => {
  const accounts = accountsOf(
    { agents: [OWN, OTHER].map((agent) => ({ ...BOUNDARY, agent })) },
    {
      systemPassword: 'system',
      viewerPassword: 'viewer',
      controlPassword: 'control',
      runnerPasswords: { [OWN]: 'one', [OTHER]: 'two' },
    },
  );
  broker = await freshBroker({ accounts });
  await provision(broker, [OWN, OTHER]);
  const servers = [broker.url];
  control = await connectNats({
    servers,
    name: 'test',
    user: CONTROL_USER,
    password: 'control',
    clock: systemClock,
  });
  runner = await connectNats({
    servers,
    name: 'test',
    user: runnerUser(OWN),
    password: 'one',
    inboxPrefix: runnerInboxPrefix(OWN),
    clock: systemClock,
  });
});
afterAll(async () => {
  await runner.close();
  await control.close();
  await broker[Symbol.asyncDispose]();
});

/** The first entry that a consumer hands out, acknowledged. */
const firstOf = async (stream: string, consumer: string) => {
  const taken = new AbortController();
  const queue = openWorkQueue(runner, { stream, consumer });
  for await (const [delivery] of queue.batches({ max: 1, signal: taken.signal })) {
    delivery?.ack();
    taken.abort();
    return delivery?.entry;
  }
  return undefined;
};

test('its own messages are handed out to it', async () => {
  const entry = encodeMail('sent', MAIL_EXAMPLES.sent, {
    boundary: BOUNDARY,
    id: MAIL_EXAMPLES.sent.messageId,
    source: '/service/mail',
    actor: 'user:anna',
    timeMs: systemClock.now(),
  });
  await createEventLog(control, { stream: 'MESSAGES' }).append(entry);
  const handedOut = await firstOf('MESSAGES', mailboxConsumerName(BOUNDARY, OWN));
  expect(handedOut).toMatchObject({ subject: entry.subject });
});

test('it is told what its agent owes, and may look it up', async () => {
  const subject = obligationsSubject(BOUNDARY, OWN);
  const key = obligationsKey(BOUNDARY, OWN);
  await openKeyValue(control, { bucket: 'obligations' }).put(key, jsonBytes({ seq: 1 }));
  expect(await firstOf(OBLIGATIONS_STREAM, obligationsConsumerName(BOUNDARY, OWN))).toMatchObject({
    subject,
  });
  const seen = await createEventLog(runner, { stream: OBLIGATIONS_STREAM }).lastSeen(subject);
  expect(parseJson(seen?.body ?? new Uint8Array())).toEqual({ seq: 1 });
});

test('it asks the mail service in the name of its agent', async () => {
  for (const operation of Object.keys(AGENT_MAIL_REQUESTS)) {
    const subject = agentRequestSubject({ ...BOUNDARY, agent: OWN }, 'mail', operation);
    const served = control.nc.subscribe(subject, {
      callback: (_error, message) => void message.respond(operation),
    });
    await control.nc.flush();
    expect((await runner.nc.request(subject, '{}', { timeout: 2000 })).string()).toBe(operation);
    served.unsubscribe();
  }
});

const FORBIDDEN: Readonly<Record<string, string>> = {
  'take the messages of another': `$JS.API.CONSUMER.MSG.NEXT.MESSAGES.${mailboxConsumerName(BOUNDARY, OTHER)}`,
  'acknowledge the messages of another': `$JS.ACK.MESSAGES.${mailboxConsumerName(BOUNDARY, OTHER)}.1.1.1.1.1`,
  'take what another owes': `$JS.API.CONSUMER.MSG.NEXT.${OBLIGATIONS_STREAM}.${obligationsConsumerName(BOUNDARY, OTHER)}`,
  'look up what another owes': `$JS.API.DIRECT.GET.${OBLIGATIONS_STREAM}.${obligationsSubject(BOUNDARY, OTHER)}`,
  'write what it owes itself': obligationsSubject(BOUNDARY, OWN),
  'write into its own mailbox': typedSubject(BOUNDARY, 'msg', OWN, 'sent'),
  'write into the mailbox of another': typedSubject(BOUNDARY, 'msg', OTHER, 'sent'),
  'read the mailbox of another': `$JS.API.DIRECT.GET.MESSAGES.${typedSubject(BOUNDARY, 'msg', OTHER, 'sent')}`,
  'write as a person': requestSubject(BOUNDARY, 'mail', 'send'),
  ...Object.fromEntries(
    Object.keys(AGENT_MAIL_REQUESTS).map((operation) => [
      `ask for ${operation} as another agent`,
      agentRequestSubject({ ...BOUNDARY, agent: OTHER }, 'mail', operation),
    ]),
  ),
};

for (const [what, subject] of Object.entries(FORBIDDEN))
  test(`it may not ${what}`, async () => {
    await expect(runner.nc.request(subject, '{}', { timeout: 2000 })).rejects.toThrow(
      /Permissions Violation for Publish/,
    );
  });
