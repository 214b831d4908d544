// Opens a durable buffer and starts its delivery. One process a buffer; see outbox.ts for what is promised.
import { Fault } from '#libs/kernel/fault.ts';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { BatchLimits } from './batch.policy.ts';
import { markSuspect, openDatabase } from './database.ts';
import { Drain } from './drain.ts';
import { bufferBase } from './file-names.ts';
import { GroupWriter } from './group-writer.ts';
import { lockBuffer, type BufferLock } from './lock.ts';
import { LogSync, type SyncFile } from './log-sync.ts';
import { forgetFound } from './log-takeover.ts';
import { makeFolder } from './make-folder.ts';
import type { Gap, NewRecord, Outbox, OutboxEvent, ParkedRecord, Sender } from './outbox.ts';
import type { Budget } from './shed.policy.ts';
import { isCorrupt, storageFault } from './storage-fault.ts';
import { Store } from './store.ts';

export interface OutboxOptions {
  /** Folder that outlives the process; created when missing. */
  readonly dir: string;
  /** Whose buffer it is; part of the file name. */
  readonly name: string;
  readonly sender: Sender;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Default: 200,000 records or 512 MiB. */
  readonly budget?: Budget;
  /** Most that travels together; default 500 records or 2 MiB. */
  readonly batch?: BatchLimits;
  /** Builds the record that tells of dropped ones; it is enqueued in the same transaction. Pure; worth it ESSENTIAL. */
  readonly gapRecord: (gap: Gap) => NewRecord;
  /** Stores a record that was refused 12 times where people look for it. Retried for ever; may be called twice for one record. */
  readonly storeLetter: (parked: ParkedRecord) => Promise<void>;
  readonly observe?: (event: OutboxEvent) => void;
  /** Default: what the system does. */
  readonly syncFile?: SyncFile;
  /** The buffer cannot be used any longer (damaged file, broken invariant): end the process. Called once. */
  readonly onFatal: (error: unknown) => void;
}

const BUDGET: Budget = { rows: 200_000, bytes: 512 * 1024 * 1024 };
const BATCH: BatchLimits = { rows: 500, bytes: 2 * 1024 * 1024 };
const DRAIN_MS = 5000;

interface Parts {
  readonly store: Store;
  readonly writer: GroupWriter;
  readonly drain: Drain;
  readonly sync: LogSync;
  readonly lock: BufferLock;
}

const startParts = (options: OutboxOptions, base: string, lock: BufferLock): Parts => {
  const { clock, ids, gapRecord } = options;
  const observe = options.observe ?? ((): void => undefined);
  const opened = openDatabase(base, { id: ids.ulid(), now: clock.now() });
  const store = new Store(opened.database, opened.state);
  const onFatal = (error: unknown): void => {
    if (isCorrupt(error)) markSuspect(base);
    options.onFatal(error);
  };
  const drain = new Drain({
    store,
    clock,
    observe,
    onFatal,
    sender: options.sender,
    limits: options.batch ?? BATCH,
    random: () => ids.random(),
    storeLetter: options.storeLetter,
  });
  const sync = new LogSync({
    store,
    clock,
    path: opened.path,
    syncFile: options.syncFile,
    onSynced: () => drain.wake(),
    onFailed: onFatal,
  });
  const writer = new GroupWriter({
    store,
    base,
    observe,
    gapRecord,
    budget: options.budget ?? BUDGET,
    now: () => clock.now(),
    makeId: () => ids.ulid(),
    isInFlight: (sourceSeq) => drain.doubt.isInFlight(sourceSeq),
    mayBeStored: (sourceSeq) => drain.doubt.mayBeStored(sourceSeq),
    onCommitted: () => drain.wake(),
    onWritten: () => sync.grown(),
    sync: (canWait) => (canWait ? sync.askLater() : sync.ask()),
  });
  // What an earlier process committed may be in the system's memory only.
  if (store.state.rows > 0) sync.ask();
  const { lost } = opened;
  if (lost !== undefined) {
    const { problem, movedTo, firstSourceSeq, lastSourceSeq } = lost;
    observe({ kind: 'lost', problem, movedTo, nextSourceSeq: store.state.nextSourceSeq });
    const dropped = lastSourceSeq - firstSourceSeq + 1;
    const ranges = [[firstSourceSeq, lastSourceSeq]] as const;
    const gap: Gap = { reason: 'lost', lane: '', firstSourceSeq, lastSourceSeq, dropped, ranges, kinds: {} };
    // A failure is reported by the writer itself.
    writer.write({ records: [gapRecord(gap)] }).then(
      () => forgetFound(opened.path),
      () => undefined,
    );
  }
  const { rows: pending, parked, nextSourceSeq } = store.state;
  observe({ kind: 'opened', pending, parked, nextSourceSeq });
  return { store, writer, drain, sync, lock };
};

const closeParts = async (parts: Parts, clock: Clock, drainMs: number): Promise<{ undelivered: number }> => {
  const { store, writer, drain, sync, lock } = parts;
  await writer.flushed();
  await sync.idle();
  const deadline = Promise.withResolvers<void>();
  const cancel = clock.timer(drainMs, deadline.resolve, { keepAlive: true });
  drain.nudge();
  await Promise.race([drain.waiters.empty(), drain.finished, deadline.promise]);
  drain.stop();
  await Promise.race([drain.finished, deadline.promise]);
  cancel();
  drain.abandon();
  const undelivered = store.state.rows;
  store.close();
  sync.close();
  lock.release();
  return { undelivered };
};

const makeDir = (dir: string): void => {
  try {
    makeFolder(dir);
  } catch (cause) {
    throw new Fault({
      code: 'OUTBOX_DIR_UNUSABLE',
      retry: 'never',
      message: `the folder ${dir} of the buffer cannot be made: ${cause instanceof Error ? cause.message : String(cause)}`,
      detail: { dir },
      cause,
    });
  }
};

/** Faults: `OUTBOX_LOCKED` (never; names the holder), `OUTBOX_DIR_UNUSABLE` (never), `OUTBOX_VERSION` (never), and those of {@link Outbox}. A damaged file is no fault: it is moved aside, and an event and a gap record say so. */
export const openOutbox = (options: OutboxOptions): Outbox => {
  makeDir(options.dir);
  const base = bufferBase(options.dir, options.name);
  const lock = lockBuffer(base, options.clock.now());
  let parts: Parts;
  try {
    parts = startParts(options, base, lock);
  } catch (error) {
    lock.release();
    throw storageFault(error, base);
  }
  const { store, writer, drain } = parts;
  const { bufferId } = store.state;
  let closing: Promise<{ undelivered: number }> | undefined;
  const refusal = (records: readonly NewRecord[] | undefined): Fault | undefined => {
    if (closing !== undefined) return closed(base);
    const keyless = records?.find(({ replaces }) => replaces === '');
    return keyless === undefined ? undefined : withoutKey(keyless);
  };
  return {
    bufferId,
    commit: (change) => {
      const fault = refusal(change.records);
      return fault === undefined ? writer.write(change) : Promise.reject(fault);
    },
    enqueue: (record) => {
      const records = [record];
      const fault = refusal(records);
      return fault === undefined ? writer.writeOne({ records }) : Promise.reject(fault);
    },
    notes: (prefix) => store.notes(prefix),
    note: (key) => store.note(key),
    status: () => ({
      pending: store.state.rows,
      pendingBytes: store.state.bytes,
      parked: store.state.parked,
      nextSourceSeq: store.state.nextSourceSeq,
      unreachableFailures: drain.contact.failures,
      unreachableReason: drain.contact.reason,
    }),
    nudge: () => drain.nudge(),
    settled: (sourceSeq) => drain.waiters.settled(sourceSeq),
    drained: async () => {
      await writer.flushed();
      await drain.waiters.empty();
    },
    parked: (limit = 1000) => store.parking.list(limit),
    retry: (sourceSeq) => {
      const isThere = store.parking.retry(sourceSeq);
      if (isThere) drain.release();
      return isThere;
    },
    drop: (sourceSeq) => store.parking.drop(sourceSeq),
    close: ({ drainMs = DRAIN_MS } = {}) => (closing ??= closeParts(parts, options.clock, drainMs)),
  };
};

const withoutKey = ({ kind }: NewRecord): Fault =>
  new Fault({
    code: 'OUTBOX_KEYLESS',
    retry: 'never',
    message: `a ${kind} record is to replace an earlier one, and its key is empty`,
  });

const closed = (base: string): Fault =>
  new Fault({ code: 'OUTBOX_CLOSED', retry: 'never', message: `the buffer ${base} is closed` });
