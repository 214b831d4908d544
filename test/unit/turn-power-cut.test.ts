// What of a turn waits for the disk, what does not, and what is made of the rest after the power has failed: a program that may have been
// started is not started again.
import { expect, test } from 'vitest';
import type { Change, Outbox } from '#libs/outbox/outbox.ts';
import { createTurnJournal, type JournalEntry } from '#services/runner/turn-journal.ts';
import { turnRig } from '#test/support/turn-rig.ts';

const ENTRY: JournalEntry = {
  instruction: {
    commandId: 'cmd_01JZZZZZZZZZZZZZZZZZZZZZZZ',
    runId: 'run_01JZZZZZZZZZZZZZZZZZZZZZZZ',
    sessionId: 'ses_01JZZZZZZZZZZZZZZZZZZZZZZZ',
    agent: 'builder-1',
    provider: 'exec',
    request: { prompt: 'do it', turnTimeoutMs: 1000 },
    leaseMs: 30_000,
  },
  claimId: 'claim',
  turnId: 'trn_01JZZZZZZZZZZZZZZZZZZZZZZZ',
  held: null,
  word: null,
};

/** Notes, and the changes that made them. */
const notebook = (): { readonly outbox: Outbox; readonly changes: Change[] } => {
  const notes = new Map<string, unknown>();
  const changes: Change[] = [];
  const outbox = {
    commit: async (change: Change) => {
      changes.push(change);
      for (const { key, value } of change.notes ?? []) notes.set(key, structuredClone(value));
      return [];
    },
    notes: () => notes,
  } as unknown as Outbox;
  return { outbox, changes };
};

test('WK-17 an entry of this start of the system says all there is, and one of another may not', async () => {
  const { outbox, changes } = notebook();
  await createTurnJournal(outbox, 'boot-1').write(ENTRY);
  expect(changes[0]?.certainty).toBe('process');
  expect(createTurnJournal(outbox, 'boot-1').read().entries).toEqual([{ ...ENTRY, isCutShort: false }]);
  expect(createTurnJournal(outbox, 'boot-2').read().entries).toEqual([{ ...ENTRY, isCutShort: true }]);
  // This system does not say any more, and has been started anew for all that anybody knows.
  expect(createTurnJournal(outbox, null).read().entries).toEqual([{ ...ENTRY, isCutShort: true }]);
});

test('WK-17 where the system does not say which start it is, every entry is on disk before anything is done', async () => {
  const { outbox, changes } = notebook();
  await createTurnJournal(outbox, null).write(ENTRY);
  expect(changes[0]?.certainty).toBe('disk');
  for (const boot of [null, 'boot-1'])
    expect(createTurnJournal(outbox, boot).read().entries).toEqual([{ ...ENTRY, isCutShort: false }]);
});

test('WK-17 an entry of an older version was on disk when it was written', () => {
  const { outbox } = notebook();
  void outbox.commit({ notes: [{ key: 'turn:1', value: ENTRY }] });
  expect(createTurnJournal(outbox, 'boot-2').read().entries).toEqual([{ ...ENTRY, isCutShort: false }]);
});

test('WK-17 a claim that was cut short is asked for again and given back as lost: its program is not started (again)', async () => {
  const rig = turnRig({ origin: 'cut-short' });
  await rig.start();
  expect(await rig.turn.over).toBe('reported');
  expect(rig.isStarted()).toBe(false);
  expect(rig.happened.filter((what) => what.startsWith('ask') || what.startsWith('report'))).toEqual([
    'ask claim',
    'ask renew',
    'report turn-finished',
  ]);
  expect(rig.commits.at(-1)?.bodies[0]).toMatchObject({
    result: { outcome: 'failed', failure: { kind: 'runner-lost' } },
  });
  expect([...rig.notes.keys()]).toEqual([]);
});

test('WK-17 a claim that somebody else has by now is let go without a word', async () => {
  const rig = turnRig({
    origin: 'cut-short',
    answer: () => ({ kind: 'refused', code: 'RUN_CLAIMED', message: 'taken' }),
  });
  await rig.start();
  expect(await rig.turn.over).toBe('refused');
  expect(rig.commits.flatMap(({ reports }) => reports)).toEqual([]);
});

test('TR-40 only the agent’s own word makes a turn wait for the disk', async () => {
  const seen: string[] = [];
  const rig = turnRig({
    onCommit: async ({ records = [], certainty }) => {
      seen.push(`${records.map(({ kind }) => kind).join(' ') || 'journal'}: ${certainty ?? 'disk'}`);
    },
  });
  await rig.start();
  await rig.program().sink({ kind: 'text', text: 'hello' });
  await rig.turn.say({ outcome: 'done', summary: 'merged' });
  rig.program().end();
  await rig.turn.over;
  expect(seen).toEqual([
    'journal: process',
    'journal: process',
    'turn-started: process',
    'text: process',
    'turn-signalled: disk',
    'turn-finished: process',
  ]);
});
