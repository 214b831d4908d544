// Laws of the durable buffer under any order of writes, outages, lost answers, refusals, restarts and a small budget.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert, asyncProperty, constantFrom, nat, oneof, record, array, constant } from 'fast-check';
import { expect, test } from 'vitest';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import { ESSENTIAL, type Outbox } from '#libs/outbox/outbox.ts';
import {
  createOutboxPeer,
  gapRecordOf,
  recordOf,
  textOf,
  type OutboxPeer,
} from '#test/support/outbox-peer.ts';
import { propertyRuns } from '#test/support/seeds.ts';

type Step =
  | { readonly kind: 'write'; readonly lane: number; readonly worth: number; readonly count: number }
  | { readonly kind: 'mode'; readonly mode: OutboxPeer['mode'] }
  | { readonly kind: 'refuse'; readonly at: number }
  | { readonly kind: 'restart' }
  | { readonly kind: 'wait'; readonly ms: number };

const step = oneof(
  {
    weight: 5,
    arbitrary: record({
      kind: constant('write' as const),
      lane: nat(2),
      worth: constantFrom(0, 0, 5, ESSENTIAL),
      count: nat(9),
    }),
  },
  {
    weight: 3,
    arbitrary: record({ kind: constant('mode' as const), mode: constantFrom('up', 'away', 'lost-ack') }),
  },
  { weight: 1, arbitrary: record({ kind: constant('refuse' as const), at: nat(40) }) },
  { weight: 1, arbitrary: record({ kind: constant('restart' as const) }) },
  { weight: 1, arbitrary: record({ kind: constant('wait' as const), ms: nat(5000) }) },
);

const BUDGET = { rows: 12, bytes: 1_000_000 };

interface World {
  readonly clock: ManualClock;
  readonly peer: OutboxPeer;
  readonly open: () => Outbox;
  outbox: Outbox;
  /** Number and lane of every write that was promised. */
  readonly promised: Map<number, string>;
  writes: number;
}

const closeNow = async ({ outbox, clock }: World): Promise<void> => {
  const closing = outbox.close({ drainMs: 0 }).then(() => 'closed');
  while ((await Promise.race([closing, clock.advance(1)])) !== 'closed');
};

const play = async (world: World, { kind, ...step }: Step & Record<string, unknown>): Promise<void> => {
  const { peer, clock, promised } = world;
  if (kind === 'write') {
    const { lane, worth, count } = step as unknown as { lane: number; worth: number; count: number };
    const writing = Array.from({ length: count }, async () => {
      const record = recordOf(`w${(world.writes += 1)}`, { lane: `lane-${lane}`, worth });
      const enqueued = await world.outbox.enqueue(record).catch(() => undefined);
      if (enqueued !== undefined) promised.set(enqueued.sourceSeq, record.lane);
    });
    await Promise.all(writing);
  }
  if (kind === 'mode') peer.mode = step['mode'] as OutboxPeer['mode'];
  if (kind === 'refuse') peer.refuses.add(`w${String(step['at'])}`);
  if (kind === 'wait') await clock.advance(step['ms'] as number);
  if (kind === 'restart') {
    await closeNow(world);
    world.outbox = world.open();
  }
};

/** The numbers that gaps among the stored records name. */
const namedInGaps = (peer: OutboxPeer): number[] =>
  peer.stored
    .filter(({ kind }) => kind === 'gap')
    .flatMap((gap) => (JSON.parse(textOf(gap)) as { ranges: [number, number][] }).ranges)
    .flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, at) => first + at));

test('every promised record is stored exactly once and in order of its lane, or named in exactly one gap', async () => {
  await assert(
    asyncProperty(array(step, { maxLength: 30 }), async (steps) => {
      const dir = mkdtempSync(join(tmpdir(), 'fleetlog-outbox-'));
      const clock = createManualClock();
      const ids = createSeededIds(1, clock);
      const peer = createOutboxPeer();
      const fatal: unknown[] = [];
      const open = (): Outbox =>
        openOutbox({
          dir,
          name: 'laws',
          sender: peer,
          clock,
          ids,
          budget: BUDGET,
          batch: { rows: 4, bytes: 100_000 },
          gapRecord: gapRecordOf,
          storeLetter: async () => undefined,
          onFatal: (error) => fatal.push(error),
        });
      const world: World = { clock, peer, open, outbox: open(), promised: new Map(), writes: 0 };
      try {
        for (const one of steps) await play(world, one);
        peer.mode = 'up';
        peer.refuses.clear();
        while (world.outbox.status().pending > 0 && fatal.length === 0) await clock.advance(60_000);
        const stored = peer.stored.map(({ sourceSeq }) => sourceSeq);
        const parked = world.outbox.parked().map(({ record }) => record.sourceSeq);
        const everything = [...stored, ...namedInGaps(peer), ...parked].toSorted((a, b) => a - b);
        const { nextSourceSeq } = world.outbox.status();
        expect(everything).toEqual(Array.from({ length: nextSourceSeq - 1 }, (_, at) => at + 1));
        for (const lane of new Set(world.promised.values())) {
          const ofLane = peer.stored.filter((one) => one.lane === lane).map(({ sourceSeq }) => sourceSeq);
          expect(ofLane).toEqual(ofLane.toSorted((a, b) => a - b));
        }
        expect(fatal).toEqual([]);
      } finally {
        await closeNow(world);
        rmSync(dir, { recursive: true });
      }
    }),
    propertyRuns(120),
  );
}, 60_000);
