// One buffer on a real folder under a clock moved by hand, for tests of libs/outbox. Each test gets a fresh one; at its end nothing may be left running.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { bufferBase } from '#libs/outbox/file-names.ts';
import { openOutbox, type OutboxOptions } from '#libs/outbox/open-outbox.ts';
import type { Outbox, OutboxEvent, ParkedRecord } from '#libs/outbox/outbox.ts';
import { createOutboxPeer, gapRecordOf, textOf, type OutboxPeer } from './outbox-peer.ts';

export interface OutboxRig {
  readonly dir: string;
  readonly clock: ManualClock;
  readonly peer: OutboxPeer;
  readonly events: OutboxEvent[];
  readonly letters: ParkedRecord[];
  /** Path of the buffer's database. */
  readonly path: string;
  start(more?: Partial<OutboxOptions>): Outbox;
  /** Closes at once, leaving what is undelivered to the next process. */
  closeNow(outbox: Outbox): Promise<{ readonly undelivered: number }>;
  storedTexts(): string[];
  /** The events of one kind. */
  of<Kind extends OutboxEvent['kind']>(kind: Kind): Extract<OutboxEvent, { readonly kind: Kind }>[];
}

const closeOn = async (clock: ManualClock, outbox: Outbox): Promise<{ readonly undelivered: number }> => {
  const closing = outbox.close({ drainMs: 0 });
  while ((await Promise.race([closing.then(() => 'closed'), clock.advance(1)])) !== 'closed');
  return closing;
};

const createRig = (dir: string, fatal: unknown[], open: Outbox[]): OutboxRig => {
  const clock = createManualClock();
  const peer = createOutboxPeer();
  const events: OutboxEvent[] = [];
  const letters: ParkedRecord[] = [];
  return {
    dir,
    clock,
    peer,
    events,
    letters,
    path: `${bufferBase(dir, 'builder-1')}.sqlite`,
    start: (more = {}) => {
      const outbox = openOutbox({
        dir,
        name: 'builder-1',
        sender: peer,
        clock,
        ids: createSeededIds(open.length + 1, clock),
        gapRecord: gapRecordOf,
        storeLetter: async (parked) => void letters.push(parked),
        observe: (event) => events.push(event),
        onFatal: (error) => fatal.push(error),
        ...more,
      });
      open.push(outbox);
      return outbox;
    },
    closeNow: (outbox) => closeOn(clock, outbox),
    storedTexts: () => peer.stored.map((record) => textOf(record)),
    of: (kind) =>
      events.filter(
        (event): event is Extract<OutboxEvent, { readonly kind: typeof kind }> => event.kind === kind,
      ),
  };
};

/** Code of a thrown fault. */
export const faultCode = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

/** Registers the hooks; call it once at the top of a test file. The rig is that of the running test. */
export const useOutboxRig = (): (() => OutboxRig) => {
  let rig: OutboxRig | undefined;
  let fatal: unknown[] = [];
  let open: Outbox[] = [];
  beforeEach(() => {
    fatal = [];
    open = [];
    rig = createRig(mkdtempSync(join(tmpdir(), 'fleetlog-outbox-')), fatal, open);
  });
  afterEach(async () => {
    if (rig === undefined) return;
    for (const outbox of open) await rig.closeNow(outbox);
    expect(fatal).toEqual([]);
    expect(rig.clock.pendingTimers()).toBe(0);
    rmSync(rig.dir, { recursive: true });
  });
  return () => {
    if (rig === undefined) throw new Error('the rig is that of a running test');
    return rig;
  };
};
