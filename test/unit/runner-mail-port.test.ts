// Mail as an agent writes it in its turn: asked for first, kept on disk while nobody answers, and never twice.
import { describe, expect, test } from 'vitest';
import type { AgentAnswer } from '#services/runner/agent-requests.ts';
import { takeMessage } from '#services/runner/mailbox/mail-intake.ts';
import { createMailPort } from '#services/runner/mailbox/mail-port.ts';
import type { ControlTurn, MailPart } from '#services/runner/control/control-parts.ts';
import { createObligations, type Obligations } from '#services/runner/obligations/obligations.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { parseJson } from '#streams/entry.ts';
import { incoming, mailWorld, newId, type MailWorld } from '#test/support/mail-rig.ts';
import { owes } from '#test/support/obligation-world.ts';
import { useOutboxRig } from '#test/support/outbox-rig.ts';

const getRig = useOutboxRig();
const SOURCE = { runId: `run_${newId('turn').slice(4)}`, turnId: newId('turn') };
const TURN: ControlTurn = {
  ...SOURCE,
  sessionId: newId('session'),
  commandId: newId('command'),
  fence: 1,
  provider: 'exec',
  signal: new AbortController().signal,
};

interface PortWorld extends MailWorld {
  readonly port: MailPart;
  readonly obligations: Obligations;
  readonly requests: unknown[];
  says: AgentAnswer<{ readonly seq: number }>;
}

const setUp = (owed: readonly string[] = []): PortWorld => {
  const rig = getRig();
  const { clock } = rig;
  const world = mailWorld(rig);
  const { outbox, mailbox, reports } = world;
  const fetch = () => Promise.resolve({ seq: 5, revision: 5, owed: owed.map((id) => owes(id)) });
  const obligations = createObligations({ fetch, outbox, clock, observe: () => undefined });
  obligations.take({ seq: 5, revision: 5, owed: owed.map((id) => owes(id)) });
  const requests: unknown[] = [];
  const ask = async (request: object) => {
    requests.push(request);
    return whole.says;
  };
  const redactor = createRedactor({ literals: ['correct-horse-battery'] });
  const asking = { send: ask, reply: ask };
  const port = createMailPort({ asking, mailbox, obligations, reports, outbox, redactor, clock });
  const whole: PortWorld = Object.assign(world, {
    port,
    obligations,
    requests,
    says: { kind: 'ok' as const, result: { seq: 9 } },
  });
  return whole;
};

const letter = (more = {}) => ({
  messageId: newId('message'),
  to: 'anna',
  subject: null,
  body: 'done',
  needsReply: false,
  priority: 'normal' as const,
  ...more,
});
const answerTo = (replyTo: string) => ({
  messageId: newId('message'),
  replyTo,
  body: 'yes',
  needsReply: false,
});
const away = { kind: 'away', message: 'nobody answers' } as const;
const owedIds = ({ obligations }: PortWorld): string[] =>
  obligations.current().owed.map(({ messageId }) => messageId);
const posted = (): unknown[] =>
  getRig()
    .peer.calls.flat()
    .filter(({ kind }) => kind === 'mail-posted')
    .map(({ body }) => parseJson(body));

describe('a message', () => {
  test('WK-15 is asked for with the run and turn it was written in, and without secrets', async () => {
    const world = setUp();
    const mail = letter({ body: 'with correct-horse-battery' });
    expect(await world.port.send(TURN, mail)).toEqual({
      kind: 'ok',
      result: { messageId: mail.messageId, state: 'sent' },
    });
    expect(world.requests).toEqual([
      { ...mail, ...SOURCE, body: expect.not.stringContaining('horse') as unknown },
    ]);
    expect(posted()).toEqual([]);
  });

  test('goes into the buffer under the same id while nobody answers', async () => {
    const world = setUp();
    world.says = away;
    const mail = letter();
    expect(await world.port.send(TURN, mail)).toEqual({
      kind: 'ok',
      result: { messageId: mail.messageId, state: 'queued' },
    });
    await world.outbox.drained();
    expect(posted()).toEqual([
      { op: 'send', request: { ...mail, ...SOURCE }, postedAt: getRig().clock.now() },
    ]);
    expect(getRig().peer.stored.map(({ id }) => id)).toEqual([`${mail.messageId}.posted`]);
  });

  test('that is turned down says why, and leaves nothing behind', async () => {
    const world = setUp();
    world.says = { kind: 'refused', code: 'RECIPIENT_UNKNOWN', message: 'nobody is called ana; anna is' };
    expect(await world.port.send(TURN, letter())).toEqual(world.says);
    expect(world.outbox.status().nextSourceSeq).toBe(1);
  });
});

describe('a reply', () => {
  test('RO-10 WK-13 WK-15 closes exactly what it answers, at once, whether it was sent or waits', async () => {
    const ids = [newId('message'), newId('message'), newId('message')] as const;
    const world = setUp(ids);
    await world.port.reply(TURN, answerTo(ids[1]));
    expect(owedIds(world)).toEqual([ids[0], ids[2]]);
    world.says = away;
    await world.port.reply(TURN, answerTo(ids[0]));
    expect(owedIds(world)).toEqual([ids[2]]);
    world.obligations.stop();
  });

  test('RO-08 WK-13 is remembered in the transaction that keeps it, and asks for news of what is owed', async () => {
    const [owed] = [newId('message')];
    const world = setUp([owed]);
    world.says = away;
    getRig().peer.mode = 'away';
    const reply = answerTo(owed);
    await world.port.reply(TURN, reply);
    expect(world.outbox.note(`own-reply:${owed}`)).toMatchObject({ replyId: reply.messageId, seq: null });
    expect(world.outbox.status().pending).toBe(1);
    // The mark of RO-08: a fetch is due.
    expect(getRig().clock.pendingTimers()).toBeGreaterThan(0);
    world.obligations.stop();
  });

  test('closes nothing when it is turned down', async () => {
    const owed = newId('message');
    const world = setUp([owed]);
    world.says = { kind: 'refused', code: 'MESSAGE_UNKNOWN', message: 'no such message' };
    expect((await world.port.reply(TURN, answerTo(owed))).kind).toBe('refused');
    expect(owedIds(world)).toEqual([owed]);
    world.obligations.stop();
  });

  test('that was kept and turned down later opens what it had closed', async () => {
    const owed = newId('message');
    const world = setUp([owed]);
    world.says = away;
    const reply = answerTo(owed);
    await world.port.reply(TURN, reply);
    expect(owedIds(world)).toEqual([]);
    const take = takeMessage({ ...world, reached: () => undefined });
    const notice = incoming({ kind: 'notice', from: 'fleetlog', replyTo: reply.messageId });
    await take({ ...notice, to: 'builder-1', runId: null, turnId: null });
    expect(owedIds(world)).toEqual([owed]);
    world.obligations.stop();
  });

  test('WK-13 to a message that still waits means that it is brought no more', async () => {
    const world = setUp();
    const mail = incoming();
    await world.mailbox.receive(mail);
    await world.port.reply(TURN, answerTo(mail.messageId));
    expect(world.mailbox.unread()).toEqual([]);
    expect(world.port.inbox(10).map(({ state }) => state)).toEqual(['answered']);
    world.obligations.stop();
  });
});

test('RO-08 RN-16 a message that comes asks for news of what is owed before it is stored', async () => {
  const order: string[] = [];
  const world = setUp();
  const take = takeMessage({
    mailbox: { receive: async () => (order.push('stored'), 'stored' as const) },
    obligations: { markDirty: () => void order.push('marked'), takenBack: () => undefined },
    turns: { arrived: () => void order.push('turn') },
    reached: () => undefined,
  });
  await take({ ...incoming(), to: 'builder-1', runId: null, turnId: null });
  expect(order).toEqual(['marked', 'stored', 'turn']);
  world.obligations.stop();
});

test('the inbox shows the newest messages with their texts, oldest of them first', async () => {
  const world = setUp();
  const mails = [incoming({ body: 'one' }), incoming({ body: 'two' }), incoming({ body: 'three' })];
  for (const mail of mails) await world.mailbox.receive(mail);
  expect(world.port.inbox(2).map(({ body, state }) => [body, state])).toEqual([
    ['two', 'unread'],
    ['three', 'unread'],
  ]);
  world.obligations.stop();
});
