// The agent's own replies in the local snapshot of what it owes, and what of all that outlives a process.
import { describe, expect, test } from 'vitest';
import type { Outbox } from '#libs/outbox/outbox.ts';
import { REPLY_TRUST_MS, type OwedValue } from '#services/runner/obligations/obligation-snapshot.policy.ts';
import {
  idsOf,
  obligationWorld,
  owes,
  startedWorld,
  value,
  type ObligationWorld,
} from '#test/support/obligation-world.ts';
import { recordOf } from '#test/support/outbox-peer.ts';
import { useOutboxRig } from '#test/support/outbox-rig.ts';

const getRig = useOutboxRig();

const setUp = (outbox?: Outbox): ObligationWorld => obligationWorld(getRig(), outbox);
const started = (first: OwedValue, outbox?: Outbox): Promise<ObligationWorld> =>
  startedWorld(getRig(), first, outbox);

describe('an own reply', () => {
  test('WK-13 WK-15 closes its obligation at once, by its id and no other', async () => {
    const world = await started(value(3, 'msg_a', 'msg_b', 'msg_c'));
    world.obligations.replied({ messageId: 'msg_b', replyId: 'msg_r', seq: 7 });
    expect(idsOf(world)).toEqual(['msg_a', 'msg_c']);
    world.obligations.stop();
  });

  test('WK-13 stays closed while the projection does not show the reply yet, and is forgotten once it does', async () => {
    const world = await started(value(3, 'msg_a', 'msg_b'));
    world.obligations.replied({ messageId: 'msg_a', replyId: 'msg_r', seq: 7 });
    world.obligations.take(value(6, 'msg_a', 'msg_b', 'msg_c'));
    expect(idsOf(world)).toEqual(['msg_b', 'msg_c']);
    world.obligations.take(value(7, 'msg_b', 'msg_c'));
    // The same message opened again by somebody is open: nothing of the reply is left here.
    world.obligations.take(value(9, 'msg_a', 'msg_b', 'msg_c'));
    expect(idsOf(world)).toEqual(['msg_a', 'msg_b', 'msg_c']);
    world.obligations.stop();
  });

  test('WK-13 that waits in the buffer counts until the projection has taken the obligation away', async () => {
    const world = await started(value(3, 'msg_a', 'msg_b'));
    world.obligations.replied({ messageId: 'msg_a', replyId: 'msg_r', seq: null });
    world.obligations.take(value(8, 'msg_a', 'msg_b'));
    expect(idsOf(world)).toEqual(['msg_b']);
    world.obligations.take(value(9, 'msg_b'));
    expect(world.outbox.note('own-reply:msg_a')).toBeUndefined();
    expect(idsOf(world)).toEqual(['msg_b']);
    world.obligations.stop();
  });

  test('is not believed for ever: it has left the machine long ago, and the obligation still stands', async () => {
    const { clock } = getRig();
    const world = await started(value(3, 'msg_a'));
    world.obligations.replied({ messageId: 'msg_a', replyId: 'msg_r', seq: null });
    await clock.advance(400);
    await world.fetches.answer(value(3, 'msg_a'));
    expect(idsOf(world)).toEqual([]);
    for (let passedMs = 0; passedMs <= REPLY_TRUST_MS; passedMs += 10_000) {
      await clock.advance(10_000);
      await world.fetches.answer(value(4, 'msg_a'));
    }
    expect(idsOf(world)).toEqual(['msg_a']);
    world.obligations.stop();
  });

  test('that waits in the buffer is believed for as long as it waits', async () => {
    const { clock, peer } = getRig();
    peer.mode = 'away';
    const world = await started(value(3, 'msg_a'));
    await world.outbox.enqueue(recordOf('the reply'));
    world.obligations.replied({ messageId: 'msg_a', replyId: 'msg_r', seq: null });
    await clock.advance(400);
    await world.fetches.answer(value(3, 'msg_a'));
    for (let passedMs = 0; passedMs <= 2 * REPLY_TRUST_MS; passedMs += 10_000) {
      await clock.advance(10_000);
      await world.fetches.answer(value(4, 'msg_a'));
    }
    expect(idsOf(world)).toEqual([]);
    expect(world.obligations.current().stale).toBe(false);
    world.obligations.stop();
  });

  test('that is turned down opens its obligation again', async () => {
    const world = await started(value(3, 'msg_a'));
    world.obligations.replied({ messageId: 'msg_a', replyId: 'msg_r', seq: null });
    world.obligations.takenBack('msg_r');
    expect(idsOf(world)).toEqual(['msg_a']);
    world.obligations.stop();
  });
});

describe('a restart', () => {
  test('WK-14 RO-11 serves what the last process knew, marked stale, until it is heard again', async () => {
    const rig = getRig();
    const first = await started(value(4, 'msg_a'));
    const { refreshedAt } = first.obligations.current();
    await rig.clock.settle();
    first.obligations.stop();
    await rig.closeNow(first.outbox);
    await rig.clock.advance(60_000);
    const second = setUp(rig.start());
    expect(second.obligations.current()).toEqual({
      ready: true,
      stale: true,
      revision: 40,
      refreshedAt,
      owed: [owes('msg_a')],
    });
    second.obligations.start();
    await second.fetches.answer(value(4, 'msg_a'));
    expect(second.obligations.current()).toMatchObject({ stale: false, refreshedAt: rig.clock.now() });
    second.obligations.stop();
  });

  test('WK-13 keeps an own reply that the projection has not shown', async () => {
    const rig = getRig();
    const first = await started(value(4, 'msg_a', 'msg_b'));
    const reply = { messageId: 'msg_a', replyId: 'msg_r', seq: null };
    await first.outbox.commit({ notes: [first.obligations.noteOf(reply)] });
    first.obligations.replied(reply);
    first.obligations.stop();
    await rig.closeNow(first.outbox);
    const second = setUp(rig.start());
    expect(idsOf(second)).toEqual(['msg_b']);
    second.obligations.stop();
  });

  test('begins from nothing when what was kept cannot be read', async () => {
    const outbox = getRig().start();
    await outbox.commit({
      notes: [
        { key: 'obligations', value: { seq: 'x' } },
        { key: 'own-reply:msg_a', value: 7 },
      ],
    });
    const { obligations } = setUp(outbox);
    expect(obligations.current()).toMatchObject({ ready: false, owed: [] });
    obligations.stop();
  });
});
