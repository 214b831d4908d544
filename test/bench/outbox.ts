// The runner's buffer against bare SQLite with the same rows and the same promise (on disk): awaited enqueues of one writer and of
// a thousand; and a million buffered records: start, drain and memory, in processes of their own. No broker takes part, so the
// durability profile changes nothing and only one is measured.
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { openOutbox } from '#libs/outbox/open-outbox.ts';
import { ESSENTIAL, type NewRecord, type Outbox } from '#libs/outbox/outbox.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import { systemClock } from '#libs/system/clock.ts';
import { systemIds } from '#libs/system/ids.ts';
import { scratchDir } from '#test/support/broker.ts';
import { openBareBuffer } from './bare-buffer.ts';
import type { Bench } from './bench-world.ts';
import { fromPairs, type Figure, type Target } from './figure.ts';
import { interleave, rate } from './measure.ts';
import { sampleReports } from './sample-entries.ts';

const ONE: Target = { of: 'ratio', is: '>=', limit: 0.85 };
const MANY: Target = { of: 'ratio', is: '>=', limit: 0.6 };
const START: Target = { of: 'value', is: '<=', limit: 1000 };
const MEMORY: Target = { of: 'value', is: '<=', limit: 120 };
const WRITERS = 1000;
const SINGLES = 300;
const GROUPS = 5;
const MILLION = 1_000_000;

/** A report as the runner buffers it. */
const bufferedReport = ({ subject, id, headers, body }: NewEntry, lane: string): NewRecord => ({
  subject,
  id,
  headers,
  body,
  lane,
  kind: 'text',
  worth: 7,
});

/** A buffer whose other side never answers: what is enqueued stays. */
const openIdle = (dir: string): Outbox =>
  openOutbox({
    dir,
    name: 'bench',
    sender: { send: () => new Promise(() => undefined) },
    clock: systemClock,
    ids: systemIds,
    budget: { rows: 10 * MILLION, bytes: 2 ** 40 },
    gapRecord: () => ({
      lane: '',
      kind: 'gap',
      worth: ESSENTIAL,
      subject: 's',
      headers: {},
      body: new Uint8Array(),
    }),
    storeLetter: () => Promise.resolve(),
    onFatal: (error) => {
      throw error;
    },
  });

const records = (count: number): readonly NewRecord[] =>
  sampleReports(count).map((entry) => bufferedReport(entry, 'ses_1'));

/** Thousands of records after which both logs have grown to their size: until then a sync has to note the growth as well. */
const GROWTH = 60;

const growLogs = async (outbox: Outbox, bare: ReturnType<typeof openBareBuffer>): Promise<void> => {
  for (let n = 0; n < GROWTH; n += 1) {
    const all = records(WRITERS);
    await Promise.all(all.map((record) => outbox.enqueue(record)));
    bare.database.exec('BEGIN');
    for (const record of all) bare.insert(bare.rowOf(record));
    bare.database.exec('COMMIT');
  }
};

const enqueueFigures = async (rounds: number, emit: (figure: Figure) => void): Promise<void> => {
  const dir = scratchDir('bench-outbox');
  const outbox = openIdle(dir);
  const bare = openBareBuffer(dir);
  const named = { bench: 'outbox', unit: 'entries/s', profile: 'always' } as const;
  await growLogs(outbox, bare);
  const one = await interleave(
    rounds,
    () => {
      const all = records(SINGLES);
      return rate(SINGLES, async () => {
        for (const record of all) await outbox.enqueue(record);
      });
    },
    () => {
      const all = records(SINGLES).map((record) => bare.rowOf(record));
      return rate(SINGLES, async () => {
        for (const row of all) bare.insert(row);
      });
    },
  );
  emit(fromPairs({ ...named, figure: 'enqueue, one writer', target: ONE }, one));
  const many = await interleave(
    rounds,
    () => {
      const all = records(WRITERS * GROUPS);
      return rate(WRITERS * GROUPS, async () => {
        for (let at = 0; at < all.length; at += WRITERS)
          await Promise.all(all.slice(at, at + WRITERS).map((record) => outbox.enqueue(record)));
      });
    },
    () => {
      const all = records(WRITERS * GROUPS).map((record) => bare.rowOf(record));
      return rate(WRITERS * GROUPS, async () => {
        for (let at = 0; at < all.length; at += WRITERS) {
          bare.database.exec('BEGIN');
          for (const row of all.slice(at, at + WRITERS)) bare.insert(row);
          bare.database.exec('COMMIT');
        }
      });
    },
  );
  emit(fromPairs({ ...named, figure: 'enqueue, 1,000 writers', target: MANY }, many));
  await outbox.close({ drainMs: 0 });
  bare.database.close();
  rmSync(dir, { recursive: true, force: true });
};

/** Runs one step on a million records in a process of its own; what it measured. */
const inProcess = async (step: 'fill' | 'drain', dir: string): Promise<Readonly<Record<string, number>>> => {
  const script = join(import.meta.dirname, 'buffer-process/start.mjs');
  const child = spawn(process.execPath, [script, step, dir, String(MILLION)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  return JSON.parse(text) as Readonly<Record<string, number>>;
};

const millionFigures = async (emit: (figure: Figure) => void): Promise<void> => {
  const dir = scratchDir('bench-million');
  const single = (figure: string, unit: Figure['unit'], value: number, target: Target | null): void =>
    emit({
      bench: 'outbox',
      figure,
      value,
      unit,
      floor: null,
      ratio: null,
      target,
      profile: 'always',
      rounds: 1,
      spread: null,
    });
  try {
    const fill = await inProcess('fill', dir);
    single('a million: fill, resident at most', 'MB', fill['peakMb'] ?? Number.NaN, null);
    const drain = await inProcess('drain', dir);
    single('a million: start', 'ms', drain['startMs'] ?? Number.NaN, START);
    single('a million: resident after start', 'MB', drain['startMb'] ?? Number.NaN, MEMORY);
    single('a million: drain, resident at most', 'MB', drain['peakMb'] ?? Number.NaN, MEMORY);
    single('a million: drain', 'entries/s', drain['perSecond'] ?? Number.NaN, null);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

export const outboxBench: Bench = {
  name: 'outbox',
  run: async ({ profile, rounds, emit }) => {
    if (profile !== 'always') return;
    await enqueueFigures(rounds, emit);
    await millionFigures(emit);
  },
};
