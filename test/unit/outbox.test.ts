// The durable buffer on real files: what is written stays and is numbered, and an other side that is away loses nothing.
import { describe, expect, test } from 'vitest';
import { recordOf, textOf } from '#test/support/outbox-peer.ts';
import { faultCode, useOutboxRig } from '#test/support/outbox-rig.ts';

const rig = useOutboxRig();

describe('writing', () => {
  test('numbers records without gaps from 1 and delivers them in order', async () => {
    const outbox = rig().start();
    const enqueued = await Promise.all(['a', 'b', 'c'].map((text) => outbox.enqueue(recordOf(text))));
    await outbox.drained();
    expect(enqueued.map(({ sourceSeq }) => sourceSeq)).toEqual([1, 2, 3]);
    expect(rig().storedTexts()).toEqual(['a', 'b', 'c']);
    expect(outbox.status()).toMatchObject({ pending: 0, pendingBytes: 0, nextSourceSeq: 4 });
  });

  test('OB-07 OB-08 occurredAt and the idempotency key are fixed at enqueue and kept over every resend', async () => {
    const outbox = rig().start();
    rig().peer.mode = 'away';
    const called = rig().peer.nextCall();
    const at = rig().clock.now();
    const { id } = await outbox.enqueue(recordOf('a'));
    const dated = await outbox.enqueue(recordOf('b', { occurredAt: 5, id: 'mine' }));
    await called;
    await rig().clock.advance(300_000);
    rig().peer.mode = 'up';
    outbox.nudge();
    await outbox.drained();
    expect(dated.id).toBe('mine');
    expect(rig().peer.stored.map((record) => [record.id, record.occurredAt])).toEqual([
      [id, at],
      ['mine', 5],
    ]);
  });

  test.each([3_600_000, -3_600_000])(
    'a wall clock that jumps by %i ms during an outage delays nothing and doubles nothing',
    async (jumpMs) => {
      const outbox = rig().start();
      rig().peer.mode = 'away';
      const called = rig().peer.nextCall();
      const at = rig().clock.now();
      await outbox.enqueue(recordOf('before'));
      await called;
      rig().clock.jumpWall(jumpMs);
      await outbox.enqueue(recordOf('after'));
      rig().peer.mode = 'up';
      // The longest wait between two tries.
      await rig().clock.advance(60_000);
      await outbox.drained();
      expect(
        rig().peer.stored.map((record) => [textOf(record), record.sourceSeq, record.occurredAt]),
      ).toEqual([
        ['before', 1, at],
        ['after', 2, at + jumpMs],
      ]);
    },
  );

  test('records and notes of one change reach the disk together', async () => {
    const first = rig().start();
    rig().peer.mode = 'away';
    await first.commit({ records: [recordOf('a')], notes: [{ key: 'turn', value: { step: 1 } }] });
    await first.commit({ notes: [{ key: 'gone', value: 1 }] });
    await first.commit({ notes: [{ key: 'gone', value: null }] });
    await rig().closeNow(first);
    const second = rig().start();
    expect([...second.notes()]).toEqual([['turn', { step: 1 }]]);
    expect([...second.notes('tur')]).toHaveLength(1);
    expect([...second.notes('turnip')]).toEqual([]);
    expect(second.note('turn')).toEqual({ step: 1 });
    expect(second.note('gone')).toBeUndefined();
    expect(second.status()).toMatchObject({ pending: 1, nextSourceSeq: 2 });
    expect(second.bufferId).toBe(first.bufferId);
  });

  test('OB-09 ER-15 a closed buffer refuses writes with a code', async () => {
    const outbox = rig().start();
    await rig().closeNow(outbox);
    expect(faultCode(await outbox.enqueue(recordOf('late')).catch((error: unknown) => error))).toBe(
      'OUTBOX_CLOSED',
    );
  });

  test('OB-24 what was not delivered stays for the next process, with its numbers', async () => {
    rig().peer.mode = 'away';
    const first = rig().start();
    await first.enqueue(recordOf('a'));
    expect(await rig().closeNow(first)).toEqual({ undelivered: 1 });
    rig().peer.mode = 'up';
    const second = rig().start();
    const next = await second.enqueue(recordOf('b'));
    await second.drained();
    expect(next.sourceSeq).toBe(2);
    expect(rig().storedTexts()).toEqual(['a', 'b']);
  });

  test('numbers go on after a restart even when everything had been delivered', async () => {
    const first = rig().start();
    await first.enqueue(recordOf('a'));
    await first.drained();
    await rig().closeNow(first);
    expect((await rig().start().enqueue(recordOf('b'))).sourceSeq).toBe(2);
  });

  test('WK-10 close delivers what it can before its deadline', async () => {
    const outbox = rig().start();
    const writing = ['a', 'b'].map((text) => outbox.enqueue(recordOf(text)));
    expect(await outbox.close({ drainMs: 5000 })).toEqual({ undelivered: 0 });
    await Promise.all(writing);
    expect(rig().storedTexts()).toEqual(['a', 'b']);
  });

  test('WK-10 an answer that comes after the deadline of close changes nothing', async () => {
    const late = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const sender = {
      send: async (batch: readonly unknown[]) => {
        asked.resolve();
        await late.promise;
        return batch.map(() => ({ kind: 'delivered', duplicate: false }) as const);
      },
    };
    const outbox = rig().start({ sender });
    await outbox.enqueue(recordOf('a'));
    await asked.promise;
    expect(await rig().closeNow(outbox)).toEqual({ undelivered: 1 });
    late.resolve();
    await rig().clock.settle();
    expect(rig().start().status().pending).toBe(1);
  });
});

describe('an unreachable other side', () => {
  test('WK-01 is retried for ever, never counted, with waits of at most 60 s', async () => {
    rig().peer.mode = 'away';
    const outbox = rig().start();
    const called = rig().peer.nextCall();
    await outbox.enqueue(recordOf('a'));
    await called;
    await rig().clock.advance(24 * 3_600_000);
    const waits = rig()
      .of('unreachable')
      .map(({ waitMs }) => waitMs);
    expect(waits.length).toBeGreaterThan(1440);
    expect(Math.max(...waits)).toBeLessThanOrEqual(60_000);
    rig().peer.mode = 'up';
    await rig().clock.advance(60_000);
    expect(rig().storedTexts()).toEqual(['a']);
    expect(rig().peer.stored[0]?.attempts).toBe(0);
    expect(rig().events.at(-1)?.kind).toBe('reachable');
  });

  test('a nudge ends the wait at once', async () => {
    rig().peer.mode = 'away';
    const outbox = rig().start();
    const called = rig().peer.nextCall();
    await outbox.enqueue(recordOf('a'));
    await called;
    await rig().clock.advance(600_000);
    rig().peer.mode = 'up';
    outbox.nudge();
    await outbox.drained();
    expect(rig().storedTexts()).toEqual(['a']);
  });

  test('OB-22 an enqueue does not end the wait', async () => {
    rig().peer.mode = 'away';
    const outbox = rig().start();
    const called = rig().peer.nextCall();
    await outbox.enqueue(recordOf('a'));
    await called;
    await rig().clock.settle();
    const before = rig().peer.calls.length;
    await outbox.enqueue(recordOf('b'));
    await rig().clock.settle();
    expect(rig().peer.calls.length).toBe(before);
  });

  test('OB-26 the very same batch goes again after an answer was lost, and nothing is stored twice', async () => {
    rig().peer.mode = 'lost-ack';
    const outbox = rig().start();
    const called = rig().peer.nextCall();
    await Promise.all(['a', 'b'].map((text) => outbox.enqueue(recordOf(text))));
    await called;
    await outbox.enqueue(recordOf('c'));
    rig().peer.mode = 'up';
    await rig().clock.advance(1000);
    await outbox.drained();
    const sent = rig().peer.calls.map((batch) => batch.map((record) => textOf(record)));
    expect(sent).toEqual([['a', 'b'], ['a', 'b'], ['c']]);
    expect(rig().storedTexts()).toEqual(['a', 'b', 'c']);
  });
});
