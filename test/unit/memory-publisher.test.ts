// The window of the memory publisher, with acknowledgements that take their time.
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { PublishOutcome } from '#libs/ports/publisher.ts';
import { describe, expect, it } from 'vitest';

const ACK_MS = 100;

const setUp = (window: number) => {
  const clock = createManualClock();
  const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock) });
  broker.declareStream({ name: 'LOG', subjects: ['log.>'] });
  broker.faults.plan({ appendAckDelayMs: () => ACK_MS });
  const entryOf = (id: string) => ({ subject: 'log.run', id, headers: {}, body: new Uint8Array() });
  const stored = async (): Promise<number> => (await broker.eventLog('LOG').bounds()).entries;
  return { clock, broker, publisher: broker.publisher({ window }), entryOf, stored };
};

describe('the memory publisher', () => {
  it('sends no more than a window before the first acknowledgement, and the rest as room comes', async () => {
    const { clock, publisher, entryOf, stored } = setUp(2);
    const sent = Promise.all(['a', 'b', 'c', 'd', 'e'].map((id) => publisher.publish(entryOf(id))));
    const trace: number[] = [];
    for (let step = 0; step < 4; step += 1) {
      await clock.settle();
      trace.push(await stored());
      await clock.advance(ACK_MS);
    }
    expect(trace).toEqual([2, 4, 5, 5]);
    const outcomes = await Promise.all((await sent).map(({ outcome }) => outcome));
    expect(outcomes.map((outcome) => outcome.kind === 'stored' && outcome.seq)).toEqual([1, 2, 3, 4, 5]);
  });

  it('lets nobody pass those who wait for room', async () => {
    const { clock, publisher, entryOf, stored } = setUp(1);
    await publisher.publish(entryOf('a'));
    const waiting = publisher.publish(entryOf('b'));
    expect(publisher.tryPublish(entryOf('c'), () => undefined)).toBe(false);
    let hasRoom = false;
    const room = publisher.room().finally(() => {
      hasRoom = true;
    });
    await clock.advance(ACK_MS);
    await waiting;
    expect([await stored(), hasRoom]).toEqual([2, false]);
    await clock.advance(ACK_MS);
    await room;
    expect(publisher.tryPublish(entryOf('c'), () => undefined)).toBe(true);
  });

  it('has drained and closed only when everything has its outcome', async () => {
    const { clock, publisher, entryOf } = setUp(4);
    const outcomes: PublishOutcome[] = [];
    publisher.tryPublish(entryOf('a'), (outcome) => outcomes.push(outcome));
    let isClosed = false;
    const closed = publisher.close().finally(() => {
      isClosed = true;
    });
    await clock.advance(ACK_MS - 1);
    expect([outcomes.length, isClosed]).toEqual([0, false]);
    await clock.advance(1);
    await closed;
    expect(outcomes).toEqual([{ kind: 'stored', seq: 1, duplicate: false }]);
  });

  it('tells unreachable from refused, and a repeat after a lost acknowledgement from both', async () => {
    const { broker, publisher, entryOf } = setUp(4);
    const outcomeOf = async (entry: ReturnType<typeof entryOf>) => (await publisher.publish(entry)).outcome;
    broker.faults.plan({ loseAppendAck: (nth) => nth === 1 });
    expect(await outcomeOf(entryOf('a'))).toMatchObject({ kind: 'unreachable' });
    expect(await outcomeOf(entryOf('a'))).toEqual({ kind: 'stored', seq: 1, duplicate: true });
    expect(await outcomeOf({ ...entryOf('b'), subject: 'log.*' })).toMatchObject({
      kind: 'refused',
      code: 'LOG_REFUSED',
    });
    expect(await outcomeOf({ ...entryOf('b'), subject: 'nobody' })).toMatchObject({ kind: 'refused' });
  });
});
