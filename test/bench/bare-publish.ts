// The floor of everything that writes: what somebody would write by hand with the NATS client and nothing else. No retries, no
// checks, no order per subject; an answer that is not a stored sequence ends the run.
import { createInbox, headers, nuid, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node';
import type { NewEntry } from '#libs/ports/event-log.ts';

/** The client's headers of an entry. */
export const bareHeaders = (entry: NewEntry): MsgHdrs => {
  const made = headers();
  made.set('Nats-Msg-Id', entry.id);
  for (const name in entry.headers) made.set(name, entry.headers[name] ?? '');
  if (entry.expectedSeq !== undefined)
    made.set('Nats-Expected-Last-Subject-Sequence', String(entry.expectedSeq));
  return made;
};

interface Ack {
  readonly seq?: number;
  readonly error?: { readonly description?: string };
}

/** The sequence that an answer names. */
const storedSeq = (text: string): number => {
  const { seq, error } = JSON.parse(text) as Ack;
  if (seq === undefined) throw new Error(`not stored: ${error?.description ?? text}`);
  return seq;
};

export interface Ring {
  /** False when the window is full. */
  tryPublish(
    message: { readonly subject: string; readonly body: Uint8Array; readonly headers?: MsgHdrs },
    onStored: (seq: number) => void,
  ): boolean;
  /** Resolves when there is room, or at once. */
  room(): Promise<void> | undefined;
  /** Resolves when every answer is there. */
  drained(): Promise<void>;
}

/** Publishes with a ring of reply subjects that are used again and again: the fastest way that acknowledges each message. */
export const createRing = (nc: NatsConnection, window = 512): Ring => {
  const inbox = createInbox();
  const prefixLength = inbox.length + 1;
  const free = Array.from({ length: window }, (_, slot) => slot);
  const subjects = free.map((slot) => `${inbox}.${slot}`);
  const waiting: (((seq: number) => void) | undefined)[] = [];
  // Several may wait for room at once: each is woken, and looks again.
  let roomless: (() => void)[] = [];
  let onQuiet: (() => void) | undefined;
  nc.subscribe(`${inbox}.*`, {
    callback: (_error, message) => {
      const slot = Number(message.subject.slice(prefixLength));
      const onStored = waiting[slot];
      waiting[slot] = undefined;
      free.push(slot);
      onStored?.(storedSeq(message.string()));
      const woken = roomless;
      roomless = [];
      for (const wake of woken) wake();
      if (free.length === window) onQuiet?.();
    },
  });
  return {
    tryPublish: ({ subject, body, headers }, onStored) => {
      const slot = free.pop();
      if (slot === undefined) return false;
      waiting[slot] = onStored;
      const reply = subjects[slot] ?? '';
      nc.publish(subject, body, headers === undefined ? { reply } : { reply, headers });
      return true;
    },
    room: () => (free.length > 0 ? undefined : new Promise<void>((resolve) => roomless.push(resolve))),
    drained: () =>
      free.length === window ? Promise.resolve() : new Promise<void>((resolve) => (onQuiet = resolve)),
  };
};

/** One request with the entry's headers. Resolves with its sequence. */
export const bareAppend = async (nc: NatsConnection, entry: NewEntry): Promise<number> => {
  const answer = await nc.request(entry.subject, entry.body, { headers: bareHeaders(entry), timeout: 5000 });
  return storedSeq(answer.string());
};

/** One atomic batch by its headers: all published, the last one requested. Resolves with the last sequence. */
export const bareBatch = async (nc: NatsConnection, entries: readonly NewEntry[]): Promise<number> => {
  const batchId = nuid.next();
  const last = entries.length - 1;
  for (const [at, entry] of entries.entries()) {
    const made = bareHeaders(entry);
    made.set('Nats-Batch-Id', batchId);
    made.set('Nats-Batch-Sequence', String(at + 1));
    if (at < last) {
      nc.publish(entry.subject, entry.body, { headers: made });
      continue;
    }
    made.set('Nats-Batch-Commit', '1');
    const answer = await nc.request(entry.subject, entry.body, { headers: made, timeout: 5000 });
    return storedSeq(answer.string());
  }
  return 0;
};

/** The broker refuses more in one atomic batch (ADR-50). */
const MOST_A_BATCH = 1000;

/** Appends that wait while an atomic batch is in flight, and then go together in the next one. */
export const createGroupLoop = (nc: NatsConnection): ((entry: NewEntry) => Promise<number>) => {
  const waiting: { readonly entry: NewEntry; readonly resolve: (seq: number) => void }[] = [];
  let isSending = false;
  const send = async (): Promise<void> => {
    while (waiting.length > 0) {
      const group = waiting.splice(0, MOST_A_BATCH);
      const lastSeq = await bareBatch(
        nc,
        group.map(({ entry }) => entry),
      );
      const firstSeq = lastSeq - group.length + 1;
      for (const [at, { resolve }] of group.entries()) resolve(firstSeq + at);
      // One turn of the event loop, so that those who were answered can join the next batch.
      await new Promise((resolve) => setImmediate(resolve));
    }
    isSending = false;
  };
  return (entry) =>
    new Promise((resolve) => {
      waiting.push({ entry, resolve });
      if (isSending) return;
      isSending = true;
      // Who comes in the same turn goes along.
      setImmediate(() => void send());
    });
};
