// A runner's buffer on a real broker, over a network that can lose answers; writers that go on whatever happens; and the verdict at the
// end: everything that was promised is in the stream exactly once and in the order of its lane, or named in a gap report.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import { bufferBase } from '#libs/outbox/file-names.ts';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import { ESSENTIAL, type Enqueued, type Outbox, type OutboxEvent } from '#libs/outbox/outbox.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { createReportSender } from '#services/runner/report-sender.ts';
import { typedFilter, typedSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from './broker.ts';
import { lossyProxy, type LossyProxy } from './lossy-proxy.ts';
import { connectTo } from './nats-connection.ts';
import { recordOf } from './outbox-peer.ts';

const AGENT = 'builder-1';
const BOUNDARY = { tenant: 'acme', project: 'web' };
const TYPES = ['text', 'usage', 'gap'];
const SUBJECTS = TYPES.map((type) => typedSubject(BOUNDARY, 'evt', AGENT, type));
const LANES = 4;
/** A broker that does not answer is given up after this time: before it can have forgotten an id, as in the product. */
const PATIENCE = { withinMs: 600, attemptMs: 300 };

export interface DrainWorld extends AsyncDisposable {
  readonly broker: FreshBroker;
  readonly proxy: LossyProxy;
  readonly dir: string;
  /** The buffer's file. */
  readonly path: string;
  readonly events: OutboxEvent[];
  /** Opens the buffer, or the next life of it. */
  start(): Outbox;
  /** The buffer of this life. */
  readonly outbox: () => Outbox;
  /** Ends this life without delivering anything more. */
  close(): Promise<void>;
  /** Enqueues this many; notes what was promised. Rejects as `enqueue` does, after the others are settled. */
  readonly enqueue: (count: number) => Promise<void>;
  /** Entries in the stream, asked past the lossy network. */
  readonly stored: () => Promise<number>;
  /** Waits until all is delivered and judges. */
  verdict(): Promise<{ readonly promised: number; readonly stored: number; readonly named: number }>;
  /** How often records were found stored of which the buffer had not been told. */
  lostAnswers(): number;
}

/** What one entry of the stream says. */
interface StoredReport {
  readonly number: number;
  readonly id: string;
  readonly lane: string;
  readonly ranges: readonly (readonly [number, number])[];
}

const readStored = async (log: EventLog): Promise<readonly StoredReport[]> => {
  const found: StoredReport[] = [];
  for await (const { headers, body, subject } of log.replay()) {
    const text = new TextDecoder().decode(body);
    const ranges = subject.endsWith('.gap')
      ? (JSON.parse(text) as { readonly ranges: [number, number][] }).ranges
      : [];
    const number = Number(headers['Fleet-Source-Seq']);
    found.push({ number, id: headers['Nats-Msg-Id'] ?? '', lane: headers['lane'] ?? '', ranges });
  }
  return found;
};

const judge = (promised: ReadonlyMap<string, Enqueued>, stored: readonly StoredReport[]) => {
  const named = stored.flatMap(({ ranges }) => ranges);
  const isNamed = (number: number): boolean =>
    named.some(([first, last]) => first <= number && number <= last);
  const times = new Map<string, number>();
  for (const { id } of stored) times.set(id, (times.get(id) ?? 0) + 1);
  const lost = [...promised.values()].filter(({ id, sourceSeq }) => !times.has(id) && !isNamed(sourceSeq));
  const doubled = [...times].filter(([, count]) => count > 1);
  expect({ lost, doubled }).toEqual({ lost: [], doubled: [] });
  expect(new Set(stored.map(({ number }) => number)).size).toBe(stored.length);
  for (const [lane, entries] of Map.groupBy(stored, (entry) => entry.lane)) {
    const numbers = entries.map(({ number }) => number);
    expect(numbers, lane).toEqual(numbers.toSorted((a, b) => a - b));
  }
  const missing = [...promised.values()].filter(({ id }) => !times.has(id)).length;
  return { promised: promised.size, stored: stored.length, named: missing };
};

export interface DrainWorldOptions {
  /** How long the broker remembers ids, ms; more than it is waited for (600). Default: two minutes. */
  readonly windowMs?: number;
  /** Where the buffer is; default a new folder. */
  readonly dir?: string;
}

/** Starts a broker with the stream of reports, and opens the buffer. */
export const openDrainWorld = async ({
  windowMs = 120_000,
  dir,
}: DrainWorldOptions = {}): Promise<DrainWorld> => {
  const home = dir ?? mkdtempSync(join(tmpdir(), 'fleetlog-drain-'));
  const broker = await freshBroker();
  const proxy = await lossyProxy(broker.url);
  const control: NatsConnectionHandle = await connectTo({ ...broker, urls: [broker.url] });
  await natsTopology(control).createStream({
    name: 'EVENTS',
    subjects: [typedFilter('evt')],
    storage: 'file',
    allow_atomic: true,
    allow_direct: true,
    duplicate_window: windowMs * 1_000_000,
  });
  const runner = await connectTo({ ...broker, urls: [proxy.url] });
  const log = createEventLog(runner, { stream: 'EVENTS', patience: PATIENCE });
  const facts = createEventLog(control, { stream: 'EVENTS' });
  const promised = new Map<string, Enqueued>();
  const events: OutboxEvent[] = [];
  const fatal: unknown[] = [];
  let current: Outbox | undefined;
  const outbox = (): Outbox => {
    if (current === undefined) throw new Error('the buffer is closed');
    return current;
  };
  const start = (): Outbox => {
    const opened: Outbox = openOutbox({
      dir: home,
      name: AGENT,
      sender: createReportSender({
        log,
        subjects: SUBJECTS,
        bufferId: () => opened.bufferId,
        blobs: { put: () => Promise.reject(new Error('no body is large')), get: async () => undefined },
      }),
      clock: systemClock,
      ids: systemIds,
      batch: { rows: 50, bytes: 1_000_000 },
      gapRecord: (gap) =>
        recordOf(JSON.stringify(gap), {
          kind: 'gap',
          worth: ESSENTIAL,
          subject: SUBJECTS[2] ?? '',
          lane: '',
        }),
      storeLetter: () => Promise.reject(new Error('nothing is refused')),
      observe: (event) => void events.push(event),
      onFatal: (error) => void fatal.push(error),
    });
    current = opened;
    return opened;
  };
  let next = 0;
  const enqueueOne = async (): Promise<void> => {
    const at = (next += 1);
    const lane = `ses_${at % LANES}`;
    const subject = SUBJECTS[at % 2] ?? '';
    const enqueued = await outbox().enqueue(
      recordOf(`number ${at} ${'x'.repeat(200)}`, { lane, subject, headers: { lane } }),
    );
    promised.set(enqueued.id, enqueued);
  };
  const close = async (): Promise<void> => {
    await current?.close({ drainMs: 0 });
    current = undefined;
  };
  start();
  return {
    broker,
    proxy,
    dir: home,
    path: `${bufferBase(home, AGENT)}.sqlite`,
    events,
    start,
    outbox,
    close,
    enqueue: async (count) => {
      const results = await Promise.allSettled(Array.from({ length: count }, enqueueOne));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    },
    stored: async () => (await facts.bounds()).lastSeq,
    lostAnswers: () => events.filter(({ kind }) => kind === 'found-stored').length,
    verdict: async () => {
      await outbox().drained();
      expect(fatal).toEqual([]);
      expect(outbox().status()).toMatchObject({ pending: 0, parked: 0 });
      return judge(promised, await readStored(facts));
    },
    [Symbol.asyncDispose]: async () => {
      await close();
      await runner.close();
      await control.close();
      await proxy[Symbol.asyncDispose]();
      await broker[Symbol.asyncDispose]();
      if (dir === undefined) rmSync(home, { recursive: true, force: true });
    },
  };
};
