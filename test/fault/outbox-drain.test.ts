// The durable buffer delivering to a real broker while everything goes wrong that can: after each fault, what was promised is in the
// stream exactly once, in the order of its session, or named in a gap report. FLEETLOG_KILLS sets how often the broker is killed
// (200 takes minutes).
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { openDrainWorld, type DrainWorld, type DrainWorldOptions } from '#test/support/drain-world.ts';
import { fillDisk, smallDisk } from '#test/support/small-disk.ts';

const KILLS = Number(readEnvironment()['FLEETLOG_KILLS'] ?? 6);
const LONG = 60_000 + KILLS * 5000;

const world = async (options?: DrainWorldOptions): Promise<DrainWorld> => {
  const opened = await openDrainWorld(options);
  onTestFinished(() => opened[Symbol.asyncDispose]());
  return opened;
};

/** For this long the broker knows an id. */
const WINDOW_MS = 1000;

/** Kills the broker when it has stored what its answers never told, for longer than it knows ids; gives how many entries were stored in vain. */
const killUnheard = async (
  { broker, proxy, outbox, enqueue, stored }: DrainWorld,
  count: number,
): Promise<number> => {
  await outbox().drained();
  const before = await stored();
  proxy.swallow();
  await enqueue(count);
  await expect.poll(stored, { timeout: 20_000, interval: 5 }).toBeGreaterThan(before);
  await broker.kill();
  const killedAt = systemClock.monotonicMs();
  proxy.pass();
  await expect.poll(() => systemClock.monotonicMs() - killedAt, { timeout: 5000 }).toBeGreaterThan(WINDOW_MS);
  await broker.restart();
  const after = await stored();
  outbox().nudge();
  return after - before;
};

test(
  `OB-26 WK-07 the broker is killed ${KILLS} times when it has stored and nobody was told, each time for longer than it remembers ids`,
  async () => {
    // No id helps, only the question what the log has.
    const one = await world({ windowMs: WINDOW_MS });
    let inVain = 0;
    for (let kill = 0; kill < KILLS; kill += 1) {
      const size = [1, 3, 40, 120][kill % 4] ?? 1;
      const unheard = await killUnheard(one, size);
      expect(unheard, `kill ${kill}`).toBeGreaterThan(0);
      inVain += unheard;
    }
    const verdict = await one.verdict();
    expect(verdict).toMatchObject({ stored: verdict.promised, named: 0 });
    expect(one.lostAnswers()).toBeGreaterThanOrEqual(KILLS);
    process.stdout.write(
      `${KILLS} kills, ${inVain} entries stored without an answer, ${verdict.promised} promised, ${verdict.stored} stored\n`,
    );
  },
  LONG,
);

test(
  'OB-26 the broker is killed at any moment of a drain, while records keep coming',
  async () => {
    const one = await world();
    for (let kill = 0; kill < Math.ceil(KILLS / 2); kill += 1) {
      const before = await one.stored();
      const writing = one.enqueue(400);
      const target = before + 20 * (kill % 5);
      await expect.poll(one.stored, { timeout: 20_000, interval: 1 }).toBeGreaterThanOrEqual(target);
      await one.broker.kill();
      await writing;
      await one.broker.restart();
      one.outbox().nudge();
    }
    const verdict = await one.verdict();
    expect(verdict).toMatchObject({
      promised: 400 * Math.ceil(KILLS / 2),
      stored: verdict.promised,
      named: 0,
    });
  },
  LONG,
);

test(
  'OB-26 a broker that hangs stores later what was given up long ago, and it is there once',
  async () => {
    const one = await world();
    for (let round = 0; round < 3; round += 1) {
      await one.enqueue(10);
      await one.outbox().drained();
      one.broker.pause();
      const given = one.events.filter(({ kind }) => kind === 'unreachable').length;
      await one.enqueue([1, 30, 200][round] ?? 1);
      // It was asked, waited for, given up, and asked again.
      await expect
        .poll(() => one.events.filter(({ kind }) => kind === 'unreachable').length, { timeout: 30_000 })
        .toBeGreaterThan(given + 1);
      one.broker.resume();
      one.outbox().nudge();
      await one.outbox().drained();
    }
    const verdict = await one.verdict();
    expect(verdict).toMatchObject({ promised: 261, stored: 261, named: 0 });
  },
  LONG,
);

test(
  'WK-09 a second process on the buffer is refused while the first one drains, and harms nothing',
  async () => {
    const one = await world();
    const writing = one.enqueue(500);
    expect(() =>
      openOutbox({
        dir: one.dir,
        name: 'builder-1',
        sender: { send: () => expect.unreachable('a second process sends') },
        clock: systemClock,
        ids: systemIds,
        gapRecord: () => expect.unreachable('no gap'),
        storeLetter: () => Promise.resolve(),
        onFatal: (error) => expect.unreachable(String(error)),
      }),
    ).toThrow(/in use by process/);
    await writing;
    expect(await one.verdict()).toEqual({ promised: 500, stored: 500, named: 0 });
  },
  LONG,
);

test(
  'a full disk refuses what is enqueued, and is got over: what was promised before and after is there once',
  async ({ skip }) => {
    const disk = smallDisk(24) ?? skip('a small file system cannot be mounted here');
    const one = await world({ dir: disk });
    await one.enqueue(50);
    fillDisk(join(disk, 'fill'));
    // What still fits into pages that were there already is promised as well.
    const refusal = await refused(one);
    expect(refusal).toMatchObject({ code: 'OUTBOX_DISK_FULL', retry: 'later' });
    rmSync(join(disk, 'fill'));
    await one.enqueue(50);
    expect(await one.verdict()).toMatchObject({ named: 0 });
  },
  LONG,
);

/** Enqueues until it is refused. */
const refused = async ({ enqueue }: DrainWorld): Promise<unknown> => {
  for (;;) {
    try {
      await enqueue(20);
    } catch (error) {
      return error;
    }
  }
};

test(
  'a disk that fills up during a drain delays what the buffer notes, and nothing is delivered twice',
  async ({ skip }) => {
    const disk = smallDisk(24) ?? skip('a small file system cannot be mounted here');
    const one = await world({ dir: disk, windowMs: WINDOW_MS });
    await one.outbox().drained();
    await one.broker.kill();
    await one.enqueue(2000);
    fillDisk(join(disk, 'fill'));
    await one.broker.restart();
    one.outbox().nudge();
    await expect
      .poll(() => one.events.some(({ kind }) => kind === 'storage-failed'), { timeout: 20_000 })
      .toBe(true);
    rmSync(join(disk, 'fill'));
    expect(await one.verdict()).toEqual({ promised: 2000, stored: 2000, named: 0 });
  },
  LONG,
);
