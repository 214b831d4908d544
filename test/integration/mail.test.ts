// The mail service on a real broker, two instances at once: what is sent, answered, reported and told, each once.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mail } from '#services/mail/service.ts';
import { runs } from '#services/runs/service.ts';
import { sessions } from '#services/sessions/service.ts';
import { viewKey } from '#streams/buckets.ts';
import { obligationsKey } from '#streams/mail-views.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import {
  answerTo,
  askAsAgent,
  askAsUser,
  letter,
  mailOf,
  mailUntil,
  newMessageId,
  reportOf,
} from '#test/support/mail-asking.ts';
import { shown } from '#test/support/run-facts.ts';

const AGENTS = ['builder-1', 'builder-2', 'lead-1', 'scout-1', 'reviewer-1'];

let broker: FreshBroker;
let one: ControlPlane;
let two: ControlPlane;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker, AGENTS);
  const config = { mail: { agents: AGENTS, people: ['user', 'anna'] } };
  one = await startControlPlane({ broker, services: [runs, sessions, mail], config });
  two = await startControlPlane({ broker, services: [mail], config });
});
afterAll(async () => {
  expect([...one.fatal, ...two.fatal]).toEqual([]);
  await Promise.all([one.stop(), two.stop()]);
  await broker[Symbol.asyncDispose]();
});

/** The message's summary, from this sequence of MESSAGES on. */
const messageShown = (messageId: string, seq: number) =>
  shown(one.ports, { bucket: 'messages', key: viewKey(BOUNDARY, messageId) }, seq);
const owedShown = (agent: string, seq: number) =>
  shown(one.ports, { bucket: 'obligations', key: obligationsKey(BOUNDARY, agent) }, seq);

describe('IM-13 sending', () => {
  test('stores the message for its recipient, and the summary shows it', async () => {
    const request = letter();
    const answer = await askAsAgent(one.ports, 'builder-2', 'send', request);
    expect(answer).toMatchObject({
      outcome: 'ok',
      result: { messageId: request.messageId, repeated: false },
    });
    const seq = answer.outcome === 'ok' ? answer.result.seq : 0;
    expect(await messageShown(request.messageId, seq)).toMatchObject({
      from: 'builder-2',
      to: 'builder-1',
      state: 'stored',
      needsReply: true,
      sentSeq: seq,
      gist: request.body,
      threadId: request.messageId,
    });
  });

  test('a person writes as the control plane says', async () => {
    const request = letter();
    await askAsUser(one.ports, 'send', request, 'anna');
    const { event } = await mailUntil(
      one.ports,
      'builder-1',
      ({ data }) => data.messageId === request.messageId,
    );
    expect(event).toMatchObject({ name: 'sent', data: { from: 'anna', kind: 'mail' } });
  });

  test('to a name that nobody has is refused, naming the one that may have been meant', async () => {
    expect(await askAsUser(one.ports, 'send', letter({ to: 'bilder-1' }))).toMatchObject({
      outcome: 'refused',
      code: 'RECIPIENT_UNKNOWN',
      message: 'no agent or person is called bilder-1; did you mean builder-1?',
    });
  });

  test('the same message again, through any instance, is one message', async () => {
    const request = letter({ to: 'scout-1' });
    const answers = await Promise.all(
      [one, two, one, two].map(({ ports }) => askAsAgent(ports, 'builder-1', 'send', request)),
    );
    const seqs = answers.map((answer) => answer.outcome === 'ok' && answer.result.seq);
    expect(new Set(seqs).size).toBe(1);
    expect((await mailOf(one.ports, 'scout-1')).filter(({ id }) => id === request.messageId)).toHaveLength(1);
  });

  test('another message under a used id is refused', async () => {
    const request = letter();
    await askAsAgent(one.ports, 'builder-2', 'send', request);
    const other = await askAsAgent(two.ports, 'builder-2', 'send', { ...request, body: 'something else' });
    expect(other).toMatchObject({ outcome: 'refused', code: 'MESSAGE_CONFLICTING_REQUEST' });
  });

  test('a secret in a message is not stored', async () => {
    const request = letter({ body: 'use it: password=hunter2hunter2' });
    await askAsUser(one.ports, 'send', request);
    const { event } = await mailUntil(
      one.ports,
      'builder-1',
      ({ data }) => data.messageId === request.messageId,
    );
    expect(JSON.stringify(event.data)).not.toContain('hunter2');
  });

  test('what breaks the contract is refused before anything is looked at', async () => {
    const bad = { ...letter(), body: '' };
    expect(await askAsUser(one.ports, 'send', bad)).toMatchObject({
      outcome: 'fault',
      code: 'REQUEST_INVALID',
    });
  });
});

describe('replying', () => {
  test('closes what is owed in one append with the reply', async () => {
    const question = letter({ to: 'reviewer-1' });
    await askAsUser(one.ports, 'send', question);
    const { messageId } = question;
    const delivered = { messageId, runnerId: 'r1', deliveredAt: one.ports.clock.now() };
    await reportOf(one.ports, 'reviewer-1', { name: 'mail-delivered', data: delivered });
    const { seq: deliveredSeq } = await mailUntil(
      one.ports,
      'reviewer-1',
      ({ name }) => name === 'delivered',
    );
    expect(await owedShown('reviewer-1', deliveredSeq)).toMatchObject({
      owed: [{ messageId, from: 'user', subject: question.subject, injectedAt: null }],
      coming: [],
    });

    const reply = answerTo(messageId);
    const answer = await askAsAgent(two.ports, 'reviewer-1', 'reply', reply);
    expect(answer).toMatchObject({ outcome: 'ok', result: { to: 'user', closed: true, repeated: false } });
    const answered = await mailUntil(one.ports, 'reviewer-1', ({ name }) => name === 'answered');
    const sent = (await mailOf(one.ports, 'user')).find(({ id }) => id === reply.messageId);
    // Side by side in the stream: there is no moment in which one is there without the other.
    expect(answered.seq).toBe((sent?.seq ?? 0) + 1);
    expect(sent?.event.data).toMatchObject({
      replyTo: messageId,
      threadId: messageId,
      subject: 'Re: Which cart?',
    });
    expect(await owedShown('reviewer-1', answered.seq)).toMatchObject({ owed: [], coming: [] });
    expect(await messageShown(messageId, answered.seq)).toMatchObject({
      state: 'answered',
      replyId: reply.messageId,
    });
    expect(await askAsAgent(one.ports, 'reviewer-1', 'reply', reply)).toMatchObject({
      result: { repeated: true, closed: true },
    });
  });

  test('a second reply is mail and closes nothing; a person may answer, too', async () => {
    const question = letter({ to: 'anna' });
    await askAsAgent(one.ports, 'builder-1', 'send', question);
    const first = await askAsUser(one.ports, 'reply', answerTo(question.messageId), 'anna');
    const second = await askAsUser(two.ports, 'reply', answerTo(question.messageId), 'anna');
    expect([first, second]).toMatchObject([
      { result: { to: 'builder-1', closed: true } },
      { result: { to: 'builder-1', closed: false } },
    ]);
  });

  test('to what does not exist, or went to somebody else, is refused', async () => {
    expect(await askAsAgent(one.ports, 'builder-1', 'reply', answerTo(newMessageId()))).toMatchObject({
      outcome: 'refused',
      code: 'MESSAGE_UNKNOWN',
    });
    const question = letter({ to: 'builder-2' });
    const sent = await askAsUser(one.ports, 'send', question);
    await messageShown(question.messageId, sent.outcome === 'ok' ? sent.result.seq : 0);
    expect(await askAsAgent(one.ports, 'builder-1', 'reply', answerTo(question.messageId))).toMatchObject({
      outcome: 'refused',
      code: 'MESSAGE_FOREIGN',
    });
  });
});

test('IM-06 a nudge reaches an agent, and one that follows at once is skipped', async () => {
  const nudge = () => ({ messageId: newMessageId(), to: 'lead-1', body: 'Are you still at it?' });
  const first = await askAsUser(one.ports, 'nudge', nudge());
  const second = await askAsUser(two.ports, 'nudge', nudge());
  expect(first).toMatchObject({ result: { state: 'sent' } });
  expect(second).toMatchObject({
    result: { state: 'skipped', messageId: first.outcome === 'ok' ? first.result.messageId : '' },
  });
});

test('while nobody serves mail a request is unanswered at once, and what was posted is sent when it is back', async () => {
  await using lonely = await freshBroker();
  await provision(lonely);
  const config = { mail: { agents: ['builder-1'] } };
  const request = letter();
  const away = await startControlPlane({ broker: lonely, services: [] });
  await expect(askAsAgent(away.ports, 'builder-1', 'send', request)).rejects.toMatchObject({
    code: 'REQUEST_UNANSWERED',
    retry: 'later',
  });
  const postedAt = away.ports.clock.now();
  await reportOf(away.ports, 'builder-1', { name: 'mail-posted', data: { op: 'send', request, postedAt } });
  await using back = await startControlPlane({ broker: lonely, services: [mail], config });
  const { event } = await mailUntil(back.ports, 'builder-1', ({ name }) => name === 'sent');
  expect(event.data).toMatchObject({ messageId: request.messageId, sentAt: postedAt });
  await away.stop();
});
