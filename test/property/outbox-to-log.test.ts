// The durable buffer and the sender of a runner against a log that loses entries and acknowledgements, goes away and comes back,
// while the runner restarts: the log has every report exactly once, in the order of its session, with its number.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { array, assert, asyncProperty, constantFrom, nat, record } from 'fast-check';
import { expect, test } from 'vitest';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import type { Outbox } from '#libs/outbox/outbox.ts';
import { createReportSender } from '#services/runner/report-sender.ts';
import { gapRecordOf, recordOf } from '#test/support/outbox-peer.ts';
import { Fault } from '#libs/kernel/fault.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import { propertyRuns } from '#test/support/seeds.ts';

/** Turns single appends down by chance, and with them whatever was to go together. */
const sometimesRefusing = (log: EventLog, isRefused: () => boolean): EventLog => {
  const refused = (): Promise<never> =>
    Promise.reject(new Fault({ code: 'LOG_REFUSED', retry: 'never', message: 'not now' }));
  return {
    ...log,
    append: (entry) => (isRefused() ? refused() : log.append(entry)),
    appendTogether: (entries) => (isRefused() ? refused() : log.appendTogether(entries)),
  };
};

const step = record({
  kind: constantFrom('write', 'write', 'write', 'away', 'back', 'restart', 'wait'),
  lane: nat(2),
  count: nat(20),
});

const SUBJECTS = ['l0', 'l1', 'l2'].flatMap((lane) => [0, 1, 2, 3].map((at) => `test.${lane}.${at}`));

test('WK-07 what was promised is in the log once and in order, whatever was lost on the way and however long the outage', async () => {
  await assert(
    asyncProperty(array(step, { maxLength: 25 }), nat(1_000_000), async (steps, seed) => {
      const dir = mkdtempSync(join(tmpdir(), 'fleetlog-outbox-'));
      const clock = createManualClock();
      const ids = createSeededIds(seed, clock);
      const broker = createMemoryBroker({ clock, ids });
      broker.declareStream({ name: 'EVENTS', subjects: ['test.>'], duplicateWindowMs: 100 });
      broker.declareObjectStore('bodies');
      broker.faults.plan({
        dropAppend: () => ids.random() < 0.1,
        loseAppendAck: () => ids.random() < 0.2,
        // A buffer that is closed meanwhile never hears the answer, as after a crash.
        appendAckDelayMs: () => Math.floor(ids.random() * 3),
      });
      let refusals = 0.1;
      const log = sometimesRefusing(broker.eventLog('EVENTS'), () => ids.random() < refusals);
      const open = (): Outbox =>
        openOutbox({
          dir,
          name: 'laws',
          sender: createReportSender({
            log,
            blobs: broker.blobs('bodies'),
            subjects: SUBJECTS,
            bufferId: () => 'b',
          }),
          clock,
          ids,
          batch: { rows: 12, bytes: 100_000 },
          gapRecord: gapRecordOf,
          storeLetter: async () => undefined,
          onFatal: (error) => {
            throw error;
          },
        });
      let outbox = open();
      const close = async (): Promise<void> => {
        const closing = outbox.close({ drainMs: 0 }).then(() => 'closed');
        while ((await Promise.race([closing, clock.advance(1)])) !== 'closed');
      };
      let promised = 0;
      for (const { kind, lane, count } of steps) {
        if (kind === 'write')
          await Promise.all(
            Array.from({ length: count }, async (_, at) => {
              await outbox.enqueue(recordOf('x', { lane: `l${lane}`, subject: `test.l${lane}.${at % 4}` }));
              promised += 1;
            }),
          );
        if (kind === 'away') broker.faults.goAway();
        if (kind === 'back') broker.faults.comeBack();
        if (kind === 'wait') await clock.advance(count * 100);
        if (kind === 'restart') {
          await close();
          outbox = open();
        }
      }
      broker.faults.comeBack();
      broker.faults.plan({});
      refusals = 0;
      while (outbox.status().pending > 0) await clock.advance(60_000);
      const stored: { lane: string; seq: number }[] = [];
      for await (const { subject, headers } of log.replay())
        stored.push({ lane: subject.split('.')[1] ?? '', seq: Number(headers['Fleet-Source-Seq']) });
      expect(stored.map(({ seq }) => seq).toSorted((a, b) => a - b)).toEqual(
        Array.from({ length: promised }, (_, at) => at + 1),
      );
      for (const lane of ['l0', 'l1', 'l2']) {
        const seqs = stored.filter((one) => one.lane === lane).map(({ seq }) => seq);
        expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
      }
      await close();
      rmSync(dir, { recursive: true });
    }),
    propertyRuns(60),
  );
}, 60_000);
