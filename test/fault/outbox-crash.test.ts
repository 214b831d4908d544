// The durable buffer and processes that die: kill -9 in the middle of concurrent writes and deliveries, and a lock whose holder is gone.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { oneSeed } from '#test/support/seeds.ts';

const PROGRAM = new URL('../support/outbox-writer.ts', import.meta.url).pathname;

let dir: string;
const running = new Set<ChildProcess>();
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetlog-outbox-'));
});
afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

interface Told {
  readonly acks: Map<string, number>;
  readonly sends: { readonly sourceSeq: number; readonly id: string; readonly lane: string }[];
}

const start = (mode: string): { child: ChildProcess; lines: AsyncIterable<string> } => {
  const child = spawn(process.execPath, [PROGRAM, dir, mode], { stdio: ['pipe', 'pipe', 'pipe'] });
  running.add(child);
  child.on('exit', () => running.delete(child));
  return { child, lines: createInterface({ input: child.stdout }) };
};

const note = (told: Told, line: string): void => {
  const [what, seq = '', id = '', lane = ''] = line.split(' ');
  if (what === 'ack') told.acks.set(id, Number(seq));
  if (what === 'send') told.sends.push({ sourceSeq: Number(seq), id, lane });
};

/** Runs the writer and kills it after `lines` lines; what it managed to say is noted to the last word. */
const writeAndKill = async (told: Told, lines: number): Promise<void> => {
  const { child, lines: output } = start('write');
  let seen = 0;
  for await (const line of output) {
    note(told, line);
    seen += 1;
    if (seen === lines) child.kill('SIGKILL');
  }
};

test('OB-26 after kill -9 at random points every promised record arrives, numbered without gaps and once by id', async () => {
  const told: Told = { acks: new Map(), sends: [] };
  const ids = createSeededIds(oneSeed(11), createManualClock());
  for (let crash = 0; crash < 6; crash += 1) await writeAndKill(told, 2 + Math.floor(ids.random() * 700));
  const { child, lines } = start('drain');
  for await (const line of lines) note(told, line);
  expect(child.exitCode ?? (await once(child, 'exit'))[0]).toBe(0);

  // The other side stores each id once, at its first arrival.
  const stored = new Map<string, { sourceSeq: number; lane: string }>();
  for (const { id, ...rest } of told.sends) if (!stored.has(id)) stored.set(id, rest);
  expect(told.acks.size).toBeGreaterThan(100);
  for (const [id, sourceSeq] of told.acks) expect(stored.get(id)?.sourceSeq).toBe(sourceSeq);
  const seqs = [...stored.values()].map(({ sourceSeq }) => sourceSeq);
  expect(seqs).toEqual(Array.from({ length: seqs.length }, (_, at) => at + 1));
}, 60_000);

test('WK-09 a second process is refused and told who holds the buffer; after a kill -9 the next one gets it at once', async () => {
  const first = start('hold');
  for await (const line of first.lines) if (line === 'open') break;
  const second = start('hold');
  let complaint = '';
  second.child.stderr?.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  await once(second.child, 'close');
  expect(complaint).toContain('OUTBOX_LOCKED');
  expect(complaint).toContain(`in use by process ${first.child.pid} on `);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const third = start('drain');
  await once(third.child, 'close');
  expect(third.child.exitCode).toBe(0);
});
