// Mail to `policy:<name>` on a real broker: taken while nobody runs, wakes an on-demand agent through its waits, goes to the agent that
// runs, and to its successor on another host when the first went down with it.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Ports } from '#libs/service/context.ts';
import { systemIds } from '#libs/system/ids.ts';
import { lifecycle } from '#services/lifecycle/service.ts';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { viewKey } from '#streams/buckets.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { decodeMail } from '#streams/mail-codec.ts';
import { MAIL_REQUESTS } from '#streams/mail-requests.ts';
import type { MailData } from '#streams/mail.ts';
import { encodeReport } from '#streams/report-codec.ts';
import { policyMailbox, requestSubject, typedSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { applyPolicy, policyEvent, policyHistory } from '#test/support/policy-facts.ts';
import { shown } from '#test/support/run-facts.ts';
import { startHost, type ScriptedHost } from '#test/support/scripted-host.ts';

let broker: FreshBroker;
let plane: ControlPlane;
let forge: ScriptedHost;
let spare: ScriptedHost;
const ending = new AbortController();
const done: Promise<void>[] = [];

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, [], ['forge-1', 'spare-1']);
  plane = await startControlPlane({ broker, services: [runs, mail, lifecycle] });
  const host = (name: string, label: string): ScriptedHost => {
    const started = startHost(plane.ports, { host: name, labels: [label] }, ending.signal);
    done.push(started.done);
    return started;
  };
  forge = host('forge-1', 'mail');
  spare = host('spare-1', 'mail');
});
afterAll(async () => {
  expect(plane.fatal).toEqual([]);
  ending.abort();
  await Promise.all(done);
  await plane.stop();
  await broker[Symbol.asyncDispose]();
});

const send = async (
  ports: Ports,
  to: string,
  body: string,
): Promise<{ readonly outcome: string; readonly messageId: string }> => {
  const messageId = makeId('message', systemIds.ulid());
  const request = {
    messageId,
    from: 'user',
    to,
    subject: null,
    body,
    needsReply: true,
    priority: 'normal',
    actor: 'user:test',
  };
  const answer = await ports.requests.client.request(
    requestSubject(BOUNDARY, 'mail', 'send'),
    jsonBytes(request),
    { timeoutMs: 5000 },
  );
  return { outcome: MAIL_REQUESTS.send.answer.parse(parseJson(answer.body)).outcome, messageId };
};

/** The nth message in a mailbox, once it is there. */
const received = async (ports: Ports, mailbox: string, nth: number): Promise<MailData<'sent'>> => {
  const found = new AbortController();
  const subjects = [typedSubject(BOUNDARY, 'msg', mailbox, 'sent')];
  let count = 0;
  for await (const entry of ports.log('MESSAGES').replay({ subjects, follow: true, signal: found.signal })) {
    const reading = decodeMail(entry);
    if (reading.kind !== 'known' || reading.name !== 'sent') continue;
    count += 1;
    if (count < nth) continue;
    found.abort();
    return reading.data;
  }
  throw new Error('the replay ended');
};

/** Where the first fact of this name stands in a mailbox, once it is there. */
const factSeq = async (ports: Ports, mailbox: string, name: string): Promise<number> => {
  const found = new AbortController();
  const subjects = [typedSubject(BOUNDARY, 'msg', mailbox, name)];
  for await (const { seq } of ports
    .log('MESSAGES')
    .replay({ subjects, follow: true, signal: found.signal })) {
    found.abort();
    return seq;
  }
  throw new Error('the replay ended');
};

/** What the runner of an agent reports of a message. */
const deliver = async (ports: Ports, agent: string, messageId: string): Promise<void> => {
  const at = ports.clock.now();
  const entry = encodeReport(
    'mail-delivered',
    { messageId, runnerId: `${agent}@forge-1`, deliveredAt: at },
    {
      boundary: BOUNDARY,
      agent,
      id: makeId('event', systemIds.ulid()),
      source: `/runner/${agent}`,
      actor: `agent:${agent}`,
      timeMs: at,
    },
  );
  await ports.log('EVENTS').append(entry);
};

test('IM-29 LC-23 LC-26 WK-74 mail to a policy wakes its agent, is sent on to it, and to its successor elsewhere when it died with its host', async () => {
  const { ports } = plane;
  expect(await send(ports, 'policy:nobody', 'hello')).toMatchObject({ outcome: 'refused' });
  await applyPolicy(ports, 'helper', {
    mode: 'on-demand',
    hostLabels: ['mail'],
    backoff: { scheduleSeconds: [1], jitter: 0 },
  });
  const first = await send(ports, 'policy:helper', 'What is in the cart?');
  expect(first.outcome).toBe('ok');
  expect(await policyEvent(ports, 'helper', 'starting')).toMatchObject({ cause: 'message-trigger' });
  const running = await policyEvent(ports, 'helper', 'running');
  const copy = await received(ports, 'helper', 1);
  expect(copy).toMatchObject({
    from: 'user',
    to: 'helper',
    body: 'What is in the cart?',
    needsReply: true,
    threadId: first.messageId,
  });
  expect(copy.messageId).not.toBe(first.messageId);
  const forwardedSeq = await factSeq(ports, policyMailbox('helper'), 'forwarded');
  const forwarded = await shown(
    ports,
    { bucket: 'messages', key: viewKey(BOUNDARY, first.messageId) },
    forwardedSeq,
  );
  expect(forwarded).toMatchObject({
    state: 'forwarded',
    to: 'policy:helper',
    forwardedAs: { copyId: copy.messageId, agent: 'helper', spawnId: running.spawnId },
  });

  // While it runs: sent on at once.
  await send(ports, 'policy:helper', 'And in the other one?');
  const other = await received(ports, 'helper', 2);
  expect(other).toMatchObject({ body: 'And in the other one?' });

  // Its runner has the first on its disk, and goes down with its host.
  await deliver(ports, 'helper', copy.messageId);
  const deliveredSeq = await factSeq(ports, 'helper', 'delivered');
  await shown(ports, { bucket: 'messages', key: viewKey(BOUNDARY, copy.messageId) }, deliveredSeq);
  const [here, there] = running.host === 'forge-1' ? [forge, 'spare-1'] : [spare, 'forge-1'];
  here.crash();
  const again = await policyEvent(ports, 'helper', 'running', 2);
  expect(again.host).toBe(there);
  const second = await received(ports, 'helper', 3);
  // The one that nobody had taken yet is not sent twice: it waits in the mailbox of the agent.
  expect(second).toMatchObject({ body: 'What is in the cart?', threadId: first.messageId });
  expect([copy.messageId, other.messageId]).not.toContain(second.messageId);
}, 40_000);

test('WK-69 a message during a backoff starts nothing before its time', async () => {
  const { ports } = plane;
  const backoff = { scheduleSeconds: [2], jitter: 0 };
  await applyPolicy(ports, 'waiter', { mode: 'on-demand', host: 'spare-1', backoff });
  await spare.comeBack();
  await send(ports, 'policy:waiter', 'one');
  const { spawnId } = await policyEvent(ports, 'waiter', 'running');
  await spare.kill(spawnId);
  const wait = await policyEvent(ports, 'waiter', 'backoff');
  await send(ports, 'policy:waiter', 'two');
  const next = await policyEvent(ports, 'waiter', 'starting', 2);
  expect(next).toMatchObject({ cause: 'backoff-expired' });
  expect(next.decidedAt).toBeGreaterThanOrEqual(wait.until);
  expect(
    (await policyHistory(ports, 'waiter')).filter(({ type }) => type === 'fleetlog.policy.starting.v1'),
  ).toHaveLength(2);
}, 20_000);
