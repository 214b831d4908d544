// Waiting mail becomes turns: one batch at a time, asked for in the same words until it is known what became of it, and given back when
// its turn never started.
import { describe, expect, test } from 'vitest';
import type { SteerAnswer } from '#services/runner/turn-commands.ts';
import { mailRunId } from '#streams/mail-requests.ts';
import { away, incoming, mailWorld, newId, runIs, type MailWorld } from '#test/support/mail-rig.ts';
import { useOutboxRig } from '#test/support/outbox-rig.ts';

const getRig = useOutboxRig();

/** Lets the disk and the loop catch up at this instant. */
const settle = async (): Promise<void> => {
  for (let round = 0; round < 6; round++) await getRig().clock.settle();
};
const advance = async (ms: number): Promise<void> => {
  await getRig().clock.advance(ms);
  await settle();
};
const batchOf = ({ journal }: MailWorld) => {
  const batch = journal.batch();
  if (batch === undefined) throw new Error('no batch is in hand');
  return batch;
};
const idsOf = ({ asked }: MailWorld): (readonly string[])[] => asked.map(({ messageIds }) => messageIds);

test('what comes together goes together: one batch, one request, oldest first', async () => {
  const world = mailWorld(getRig());
  world.start();
  const mails = [incoming({ body: 'first' }), incoming({ body: 'second' })];
  for (const mail of mails) await world.receive(mail);
  await advance(199);
  expect(world.asked).toEqual([]);
  await advance(1);
  expect(idsOf(world)).toEqual([mails.map(({ messageId }) => messageId)]);
  expect(world.asked[0]?.prompt).toMatch(/first[^]*second/);
  await world.stop();
});

describe('while nobody answers', () => {
  test('the same words are asked again, ever more slowly, and mail that comes meanwhile hurries nothing', async () => {
    const world = mailWorld(getRig());
    world.answer = away;
    world.start();
    await world.receive(incoming());
    await advance(200);
    for (const _ of Array.from({ length: 100 })) await world.receive(incoming());
    await settle();
    expect(world.asked).toHaveLength(1);
    await advance(60_000);
    // After 0.5, 1, 2, 4, 8 and then every 10 s.
    expect(world.asked).toHaveLength(10);
    expect(new Set(world.asked.map((request) => JSON.stringify(request))).size).toBe(1);
    await world.stop();
  });

  test('and after a restart the same words are asked again', async () => {
    const rig = getRig();
    const first = mailWorld(rig);
    first.answer = away;
    first.start();
    await first.receive(incoming());
    await advance(200);
    await first.stop();
    await rig.closeNow(first.outbox);
    const second = mailWorld(rig, { outbox: rig.start() });
    second.start();
    await settle();
    expect(second.asked).toEqual(first.asked.slice(0, 1));
    await second.stop();
  });
});

describe('the start of a turn', () => {
  test('takes its messages out of the waiting line in its own transaction, and reports each as injected', async () => {
    const world = mailWorld(getRig());
    world.start();
    const mails = [incoming(), incoming()];
    for (const mail of mails) await world.receive(mail);
    await advance(200);
    const { turnId } = await world.startTurn(mailRunId(batchOf(world).batchId));
    await settle();
    expect(world.mailbox.unread()).toEqual([]);
    expect(world.journal.batch()).toBeUndefined();
    const injected = mails.map(({ messageId }) => `${messageId}.injected.${turnId}`);
    expect(world.reported()).toEqual(expect.arrayContaining(injected));
    await advance(600_000);
    expect(world.asked).toHaveLength(1);
    await world.stop();
  });

  test('counts although the answer to the request was never heard', async () => {
    const world = mailWorld(getRig());
    world.answer = away;
    world.start();
    await world.receive(incoming());
    await advance(200);
    await world.startTurn(mailRunId(batchOf(world).batchId));
    await advance(600_000);
    expect(world.asked).toHaveLength(1);
    expect(world.mailbox.unread()).toEqual([]);
    await world.stop();
  });

  test('while the answer is on its way is not taken for that of another runner', async () => {
    const world = mailWorld(getRig());
    const turnId = newId('turn');
    world.answer = (request) => {
      const scope = { sessionId: newId('session'), turnId, commandId: newId('command'), fence: 1 };
      world.turns.besideStart({ ...scope, runId: mailRunId(request.batchId) }).stored();
      return runIs('running', turnId)(request);
    };
    world.start();
    await world.receive(incoming());
    await advance(200);
    expect(world.seen.filter(({ kind }) => kind === 'started')).toMatchObject([{ isForeign: false }]);
    expect(world.reported().filter((id) => id.includes('injected'))).toEqual([]);
    await world.stop();
  });

  test('of another run than that of the batch takes nothing out', async () => {
    const world = mailWorld(getRig());
    world.start();
    await world.receive(incoming());
    await advance(200);
    await world.startTurn(`run_${newId('turn').slice(4)}`);
    expect(world.mailbox.unread()).toHaveLength(1);
    await world.stop();
  });

  test('keeps what comes meanwhile for the next turn', async () => {
    const world = mailWorld(getRig());
    world.start();
    await world.receive(incoming());
    await advance(200);
    const { runId } = await world.startTurn(mailRunId(batchOf(world).batchId));
    const later = [incoming(), incoming()];
    for (const mail of later) await world.receive(mail);
    await advance(60_000);
    expect(world.asked).toHaveLength(1);
    world.turns.turnOver(runId);
    await advance(0);
    expect(idsOf(world)[1]).toEqual(later.map(({ messageId }) => messageId));
    await world.stop();
  });
});

describe('a run that ended without a start', () => {
  test.each(['failed', 'cancelled', 'completed', 'blocked'] as const)(
    'as %s gives its messages back: they are in the next batch',
    async (state) => {
      const world = mailWorld(getRig());
      world.answer = runIs(state);
      world.start();
      const mail = incoming();
      await world.receive(mail);
      await advance(200);
      expect(world.journal.batch()).toBeUndefined();
      world.answer = runIs('queued');
      await advance(1000);
      expect(idsOf(world)).toEqual([[mail.messageId], [mail.messageId]]);
      expect(world.asked[0]?.batchId).not.toBe(world.asked[1]?.batchId);
      await world.stop();
    },
  );

  test('is tried again ever more slowly, also over a restart', async () => {
    const rig = getRig();
    const first = mailWorld(rig);
    first.answer = runIs('failed');
    first.start();
    await first.receive(incoming());
    await advance(200);
    for (const waitMs of [1000, 2000, 4000]) await advance(waitMs);
    expect(first.asked).toHaveLength(4);
    first.answer = away;
    await advance(8000);
    await first.stop();
    await rig.closeNow(first.outbox);
    const second = mailWorld(rig, { outbox: rig.start() });
    second.answer = runIs('failed');
    second.start();
    await settle();
    expect(second.asked).toHaveLength(1);
    await advance(15_000);
    expect(second.asked).toHaveLength(1);
    await advance(1000);
    expect(second.asked).toHaveLength(2);
    await second.stop();
  });

  test('is noticed soon after its turn is over here, and in the end even without', async () => {
    const world = mailWorld(getRig());
    world.start();
    await world.receive(incoming());
    await advance(200);
    await advance(300_000);
    const before = world.asked.length;
    expect(before).toBeLessThan(40);
    world.turns.turnOver(mailRunId(batchOf(world).batchId));
    await settle();
    expect(world.asked).toHaveLength(before + 1);
    world.answer = runIs('failed');
    await advance(30_000);
    expect(world.seen).toContainEqual(expect.objectContaining({ kind: 'not-started' }));
    await world.stop();
  });
});

test('a turn that another runner of the agent has started counts: its messages are not brought again', async () => {
  const world = mailWorld(getRig());
  const turnId = newId('turn');
  world.answer = runIs('failed', turnId);
  world.start();
  const mail = incoming();
  await world.receive(mail);
  await advance(200);
  expect(world.mailbox.unread()).toEqual([]);
  expect(world.reported()).toContain(`${mail.messageId}.injected.${turnId}`);
  await advance(600_000);
  expect(world.asked).toHaveLength(1);
  await world.stop();
});

describe('mail for a conversation whose turn runs', () => {
  const sessionId = newId('session');
  /** A turn in that conversation that can be given mail; its program answers when the test says so. */
  const openTurn = (world: MailWorld) => {
    const turnId = newId('turn');
    const given: { text: string; answer: (answer: SteerAnswer) => void }[] = [];
    const scope = {
      runId: mailRunId(`bat_${turnId.slice(-26)}`),
      sessionId,
      turnId,
      commandId: newId('command'),
      fence: 3,
    };
    world.steering.opened(scope, (text) => new Promise((answer) => given.push({ text, answer })));
    return { turnId, given };
  };
  const taken = { kind: 'taken' } as const;

  test('is given to it, and read when its program has taken it up: not before, and once', async () => {
    const world = mailWorld(getRig());
    world.start();
    const { turnId, given } = openTurn(world);
    const mail = incoming({ sessionId, body: 'look left', needsReply: true });
    await world.receive(mail);
    await world.receive(incoming({ body: 'of another conversation' }));
    await advance(200);
    expect(given).toHaveLength(1);
    expect(given[0]?.text).toMatch(/look left[^]*reply[^]*go on with what you were doing/);
    expect(world.mailbox.head(mail.messageId)?.state).toBe('unread');
    await advance(60_000);
    given[0]?.answer(taken);
    await settle();
    expect(world.mailbox.head(mail.messageId)).toMatchObject({ state: 'injected', turnId });
    await world.steering.closed(turnId);
    await advance(60_000);
    expect(world.reported().filter((id) => id.startsWith(`${mail.messageId}.injected`))).toEqual([
      `${mail.messageId}.injected.${turnId}`,
    ]);
    // The other one had a turn of its own.
    expect(world.asked.every(({ messageIds }) => !messageIds.includes(mail.messageId))).toBe(true);
    expect(given).toHaveLength(1);
    await world.stop();
  });

  test('is for the next turn when this one ends before it has taken it', async () => {
    const world = mailWorld(getRig());
    world.start();
    const { turnId, given } = openTurn(world);
    const mail = incoming({ sessionId });
    await world.receive(mail);
    await advance(200);
    given[0]?.answer({ kind: 'refused', code: 'TURN_OVER', message: 'it ended' });
    await world.steering.closed(turnId);
    await advance(30_000);
    expect(world.asked[0]).toMatchObject({ sessionId, messageIds: [mail.messageId] });
    await world.stop();
  });

  test('is not said to be read by a turn that has lost its run', async () => {
    const world = mailWorld(getRig());
    world.start();
    const { turnId, given } = openTurn(world);
    const mail = incoming({ sessionId });
    await world.receive(mail);
    await advance(200);
    world.steering.silence(turnId);
    given[0]?.answer(taken);
    await world.steering.closed(turnId);
    expect(world.mailbox.head(mail.messageId)?.state).toBe('unread');
    await world.stop();
  });

  test('waits for a turn of its own where the program takes no words, and does not pass what waits already', async () => {
    const world = mailWorld(getRig());
    world.start();
    await world.receive(incoming({ sessionId }));
    await advance(200);
    expect(world.asked).toHaveLength(1);
    const { given } = openTurn(world);
    const later = incoming({ sessionId });
    await world.receive(later);
    await advance(60_000);
    expect(given).toEqual([]);
    await world.startTurn(mailRunId(batchOf(world).batchId));
    await settle();
    given[0]?.answer({ kind: 'refused', code: 'STEER_UNSUPPORTED', message: 'no' });
    await settle();
    world.turns.turnOver(mailRunId(world.asked[0]?.batchId ?? ''));
    await advance(60_000);
    expect(idsOf(world).at(-1)).toEqual([later.messageId]);
    expect(given).toHaveLength(1);
    await world.stop();
  });
});
