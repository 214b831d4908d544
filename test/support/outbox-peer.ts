// The other side of a buffer in tests: stores what it is sent as a log would (ids it has seen are duplicates), and can be
// away, refuse, or store without answering. Keeps what it was sent in order.
import type { BufferedRecord, Gap, NewRecord, Sender, SendOutcome } from '#libs/outbox/outbox.ts';
import { ESSENTIAL } from '#libs/outbox/outbox.ts';

export interface OutboxPeer extends Sender {
  /** What is stored, in order, each id once. */
  readonly stored: BufferedRecord[];
  /** Every call of `send`, oldest first. */
  readonly calls: (readonly BufferedRecord[])[];
  /** `lost-ack`: everything is stored, and the answer never comes. */
  mode: 'up' | 'away' | 'lost-ack';
  /** Texts of bodies that are refused. */
  readonly refuses: Set<string>;
  /** Resolves at the end of the next call of `send`. */
  nextCall(): Promise<void>;
}

export const textOf = (record: Pick<BufferedRecord, 'body'>): string => new TextDecoder().decode(record.body);

/** A record whose body is `text`. */
export const recordOf = (text: string, more: Partial<NewRecord> = {}): NewRecord => ({
  lane: 'lane',
  kind: 'note',
  worth: 5,
  subject: 'test.subject',
  headers: {},
  body: new TextEncoder().encode(text),
  ...more,
});

/** The record that tells of a gap. */
export const gapRecordOf = (gap: Gap): NewRecord =>
  recordOf(JSON.stringify(gap), { lane: gap.lane, kind: 'gap', worth: ESSENTIAL });

export const createOutboxPeer = (): OutboxPeer => {
  const stored: BufferedRecord[] = [];
  const seen = new Set<string>();
  const refuses = new Set<string>();
  const calls: (readonly BufferedRecord[])[] = [];
  let waiters: (() => void)[] = [];

  const store = (record: BufferedRecord): SendOutcome => {
    const duplicate = seen.has(record.id);
    if (!duplicate) stored.push(record);
    seen.add(record.id);
    return { kind: 'delivered', duplicate };
  };
  const take = (batch: readonly BufferedRecord[]): readonly SendOutcome[] => {
    let hasFailed = false;
    return batch.map((record) => {
      if (hasFailed) return { kind: 'held' };
      if (!refuses.has(textOf(record))) return store(record);
      hasFailed = true;
      return { kind: 'refused', code: 'LOG_REFUSED', message: 'not wanted' };
    });
  };

  const peer: OutboxPeer = {
    stored,
    calls,
    refuses,
    mode: 'up',
    send: (batch) => {
      calls.push(batch);
      const outcomes = peer.mode === 'away' ? [] : take(batch);
      for (const wake of waiters.splice(0)) setImmediate(wake);
      if (peer.mode === 'up') return Promise.resolve(outcomes);
      return Promise.resolve(batch.map(() => ({ kind: 'unreachable', message: 'nobody answers' })));
    },
    nextCall: () =>
      new Promise((resolve) => {
        waiters = [...waiters, resolve];
      }),
  };
  return peer;
};
