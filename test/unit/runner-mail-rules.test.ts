// Which mail becomes a turn, when, in which conversation, and in which words.
import { describe, expect, test } from 'vitest';
import { mailRunId } from '#streams/mail-requests.ts';
import { incoming, mailWorld, newId, refusing, runIs, type MailWorld } from '#test/support/mail-rig.ts';
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

describe('a conversation', () => {
  test('is kept for mail that asks for none', async () => {
    const rig = getRig();
    const world = mailWorld(rig);
    world.start();
    await world.receive(incoming());
    await advance(200);
    const kept = `ses_${batchOf(world).batchId.slice(4)}`;
    const { runId } = await world.startTurn(mailRunId(batchOf(world).batchId));
    world.turns.turnOver(runId);
    await world.receive(incoming());
    await advance(200);
    expect(world.asked.map(({ sessionId }) => sessionId)).toEqual([undefined, kept]);
    await world.stop();
    await rig.closeNow(world.outbox);
    expect(mailWorld(rig, { outbox: rig.start() }).journal.session()).toBe(kept);
  });

  test('begins anew with each batch when that is wanted', async () => {
    const world = mailWorld(getRig(), { isSessionKept: false });
    world.start();
    await world.receive(incoming());
    await advance(200);
    expect(world.journal.session()).toBeUndefined();
    await world.stop();
  });

  test('that a message asks for is joined, and given up when it is turned down', async () => {
    const world = mailWorld(getRig());
    const sessionId = newId('session');
    world.answer = refusing('SESSION_UNKNOWN');
    world.start();
    await world.receive(incoming({ sessionId }));
    await advance(200);
    world.answer = runIs('queued');
    await advance(1000);
    expect(world.asked.map((request) => request.sessionId)).toEqual([sessionId, undefined]);
    await world.stop();
  });
});

describe('while a turn is under way', () => {
  test('mail waits for it to end, and then goes together', async () => {
    const world = mailWorld(getRig());
    world.isBusy = true;
    world.start();
    await world.receive(incoming());
    await advance(10_000);
    await world.receive(incoming());
    await advance(10_000);
    // The end of the turn is known before its place is free.
    world.turns.turnOver(`run_${newId('turn').slice(4)}`);
    await settle();
    expect(world.asked).toEqual([]);
    world.isBusy = false;
    world.turns.freed();
    await settle();
    expect(idsOf(world)[0]).toHaveLength(2);
    await world.stop();
  });

  test('mail waits half a minute at most, and what is urgent, or a nudge, not at all', async () => {
    const rig = getRig();
    for (const [more, waitMs] of [
      [{}, 30_000],
      [{ priority: 'high' }, 200],
      [{ kind: 'nudge' }, 200],
    ] as const) {
      const world = mailWorld(rig, {
        outbox: rig.start({ name: `after-${waitMs}-${JSON.stringify(more).length}` }),
      });
      world.isBusy = true;
      world.start();
      await world.receive(incoming(more));
      await advance(waitMs - 1);
      expect(world.asked).toHaveLength(0);
      await advance(1);
      expect(world.asked).toHaveLength(1);
      await world.stop();
    }
  });
});

describe('mail over its time', () => {
  test('is reported and brought to nobody', async () => {
    const world = mailWorld(getRig());
    world.start();
    const [old, fresh] = [incoming({ expiresAt: getRig().clock.now() + 100 }), incoming()];
    await world.receive(old);
    await world.receive(fresh);
    await advance(200);
    expect(idsOf(world)).toEqual([[fresh.messageId]]);
    await settle();
    expect(world.reported()).toContain(`${old.messageId}.expired`);
    await world.stop();
  });

  test('leaves nothing to ask when it was all', async () => {
    const world = mailWorld(getRig());
    world.start();
    await world.receive(incoming({ expiresAt: 1 }));
    await advance(60_000);
    expect(world.asked).toEqual([]);
    expect(world.mailbox.unread()).toEqual([]);
    await world.stop();
  });
});

test('1,000 messages at once become 20 prompts of 50, each message in one', async () => {
  const world = mailWorld(getRig());
  world.start();
  const mails = Array.from({ length: 1000 }, () => incoming());
  await Promise.all(mails.map((mail) => world.receive(mail)));
  for (let turn = 0; turn < 20; turn++) {
    await advance(200);
    const { runId } = await world.startTurn(mailRunId(batchOf(world).batchId));
    world.turns.turnOver(runId);
  }
  await advance(10_000);
  expect(idsOf(world)).toHaveLength(20);
  expect(idsOf(world).flat()).toEqual(mails.map(({ messageId }) => messageId));
  await world.stop();
}, 30_000);

test('WK-15 what is still owed stands in the prompt by its id', async () => {
  const world = mailWorld(getRig());
  const [shown, unseen] = [newId('message'), newId('message')];
  const owed = { from: 'anna', subject: null, sentAt: 1, deliveredAt: 1 };
  world.owed = [
    { ...owed, messageId: shown, injectedAt: 5 },
    { ...owed, messageId: unseen, injectedAt: null },
  ];
  world.start();
  await world.receive(incoming());
  await advance(200);
  expect(world.asked[0]?.prompt).toContain(`- ${shown} from anna`);
  expect(world.asked[0]?.prompt).not.toContain(unseen);
  await world.stop();
});
