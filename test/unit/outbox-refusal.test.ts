// The durable buffer when records are refused, and when its budget is used up.
import { describe, expect, test } from 'vitest';
import { ESSENTIAL } from '#libs/outbox/outbox.ts';
import { recordOf, textOf } from '#test/support/outbox-peer.ts';
import { faultCode, useOutboxRig } from '#test/support/outbox-rig.ts';

const rig = useOutboxRig();

describe('a refusal', () => {
  test('OB-21 at the twelfth a record is parked and handed to the dead rig().letters, and its lane goes on', async () => {
    rig().peer.refuses.add('bad');
    const outbox = rig().start();
    await outbox.enqueue(recordOf('bad'));
    await outbox.enqueue(recordOf('next'));
    await rig().clock.settle();
    for (let attempt = 0; attempt < 12; attempt += 1) await rig().clock.advance(60_000);
    await outbox.drained();
    expect(rig().of('refused')).toHaveLength(11);
    expect(rig().events).toContainEqual(expect.objectContaining({ kind: 'parked', sourceSeq: 1 }));
    expect(rig().storedTexts()).toEqual(['next']);
    expect(rig().letters.map(({ record, refusal }) => [textOf(record), refusal])).toEqual([
      ['bad', { code: 'LOG_REFUSED', message: 'not wanted', attempts: 12 }],
    ]);
    expect(outbox.parked()).toMatchObject([{ isLetterStored: true, record: { sourceSeq: 1 } }]);
    expect(outbox.status()).toMatchObject({ pending: 0, parked: 1 });
  });

  test('OB-17 WK-04 holds back its own lane only', async () => {
    rig().peer.refuses.add('bad');
    const outbox = rig().start();
    await outbox.enqueue(recordOf('bad', { lane: 'one' }));
    await outbox.enqueue(recordOf('behind', { lane: 'one' }));
    await outbox.enqueue(recordOf('other', { lane: 'two' }));
    await rig().clock.settle();
    expect(rig().storedTexts()).toEqual(['other']);
    rig().peer.refuses.clear();
    await rig().clock.advance(1000);
    await outbox.drained();
    expect(rig().storedTexts()).toEqual(['other', 'bad', 'behind']);
  });

  test('OB-06 a restart clears the wait and keeps the count', async () => {
    rig().peer.refuses.add('bad');
    const first = rig().start();
    await first.enqueue(recordOf('bad'));
    await rig().clock.settle();
    await rig().closeNow(first);
    rig().start();
    await rig().clock.settle();
    const counts = rig()
      .of('refused')
      .map(({ refusal }) => refusal.attempts);
    expect(counts).toEqual([1, 2]);
  });

  test('dead rig().letters that are away hold nothing up and get the record later', async () => {
    rig().peer.refuses.add('bad');
    let isAway = true;
    const outbox = rig().start({
      storeLetter: async (parked) => {
        if (isAway) throw new Error('away');
        rig().letters.push(parked);
      },
    });
    await outbox.enqueue(recordOf('bad'));
    for (let attempt = 0; attempt < 12; attempt += 1) await rig().clock.advance(60_000);
    await outbox.enqueue(recordOf('fine'));
    await outbox.drained();
    expect(rig().storedTexts()).toEqual(['fine']);
    expect(outbox.parked()).toMatchObject([{ isLetterStored: false }]);
    isAway = false;
    await rig().clock.advance(60_000);
    expect(rig().letters).toHaveLength(1);
    expect(outbox.parked()).toMatchObject([{ isLetterStored: true }]);
  });

  test('whoever waits for a record is told when it is delivered or parked', async () => {
    rig().peer.refuses.add('bad');
    const outbox = rig().start();
    const bad = await outbox.enqueue(recordOf('bad', { lane: 'one' }));
    const good = await outbox.enqueue(recordOf('good', { lane: 'two' }));
    const told: string[] = [];
    const waiting = [
      outbox.settled(bad.sourceSeq).then(() => told.push('bad')),
      outbox.settled(good.sourceSeq).then(() => told.push('good')),
    ];
    await rig().clock.settle();
    expect(told).toEqual(['good']);
    for (let attempt = 0; attempt < 12; attempt += 1) await rig().clock.advance(60_000);
    await Promise.all(waiting);
    expect(told).toEqual(['good', 'bad']);
    await outbox.settled(good.sourceSeq);
  });

  test('a parked record can be put back, or dropped', async () => {
    rig().peer.refuses.add('bad').add('worse');
    const outbox = rig().start();
    await outbox.enqueue(recordOf('bad', { lane: 'one' }));
    await outbox.enqueue(recordOf('worse', { lane: 'two' }));
    for (let attempt = 0; attempt < 12; attempt += 1) await rig().clock.advance(60_000);
    expect(outbox.status()).toMatchObject({ pending: 0, parked: 2 });
    rig().peer.refuses.clear();
    expect([outbox.retry(1), outbox.drop(2), outbox.retry(77)]).toEqual([true, true, false]);
    await outbox.drained();
    expect(rig().storedTexts()).toEqual(['bad']);
    expect(outbox.status()).toMatchObject({ pending: 0, parked: 0, pendingBytes: 0 });
  });
});

describe('the budget', () => {
  const budget = { rows: 10, bytes: 1_000_000 };

  test('OB-13 WK-02 sheds the least worthy first and tells in a gap what is missing', async () => {
    rig().peer.mode = 'away';
    const outbox = rig().start({ budget, batch: { rows: 1, bytes: 1000 } });
    const called = rig().peer.nextCall();
    await outbox.enqueue(recordOf('first'));
    await called;
    for (let at = 0; at < 5; at += 1)
      await outbox.enqueue(recordOf(`reasoning-${at}`, { worth: 1, kind: 'reasoning' }));
    for (let at = 0; at < 5; at += 1) await outbox.enqueue(recordOf(`turn-${at}`, { worth: ESSENTIAL }));
    const shed = rig()
      .of('shed')
      .map(({ gap }) => gap);
    expect(shed).toEqual([
      {
        reason: 'budget',
        lane: 'lane',
        firstSourceSeq: 2,
        lastSourceSeq: 3,
        dropped: 2,
        ranges: [[2, 3]],
        kinds: { reasoning: 2 },
      },
    ]);
    rig().peer.mode = 'up';
    outbox.nudge();
    await outbox.drained();
    expect(rig().storedTexts()).toEqual([
      'first',
      'reasoning-2',
      'reasoning-3',
      'reasoning-4',
      'turn-0',
      'turn-1',
      'turn-2',
      'turn-3',
      'turn-4',
      JSON.stringify(shed[0]),
    ]);
  });

  test('essential records are refused only at twice the budget, and the refusal changes nothing', async () => {
    rig().peer.mode = 'away';
    const outbox = rig().start({ budget });
    const outcomes: unknown[] = [];
    for (let at = 0; at < 22; at += 1) {
      const outcome = await outbox.enqueue(recordOf(`turn-${at}`, { worth: ESSENTIAL })).catch(faultCode);
      outcomes.push(outcome);
    }
    expect(outcomes.slice(20)).toEqual(['OUTBOX_FULL', 'OUTBOX_FULL']);
    expect(outbox.status()).toMatchObject({ pending: 20, nextSourceSeq: 21 });
  });
});
