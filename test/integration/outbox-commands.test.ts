// `fleetlog outbox` on the files of a buffer: beside the process that uses it, and after that has ended.
import { expect, test } from 'vitest';
import { runFleetlog } from '#services/command-line.ts';
import { recordOf } from '#test/support/outbox-peer.ts';
import { useOutboxRig } from '#test/support/outbox-rig.ts';
import { recordedTerminal } from '#test/support/recorded-terminal.ts';

const rig = useOutboxRig();

const fleetlog = async (
  ...argv: readonly string[]
): Promise<{ code: number; out: string; notes: string }> => {
  const { terminal, out, note: notes } = recordedTerminal();
  const code = await runFleetlog(['outbox', ...argv, '--data', rig().dir], {
    terminal,
    environment: {},
    workingDirectory: rig().dir,
    signal: new AbortController().signal,
    readStandardInput: () => Promise.resolve(undefined),
  });
  return { code, out: out.join('\n'), notes: notes.join('\n') };
};
const json = async (...argv: readonly string[]): Promise<unknown> =>
  JSON.parse((await fleetlog(...argv, '--json')).out) as unknown;

/** Two records parked (1 and 2), one that waits (3). */
const startWithParked = async () => {
  rig().peer.refuses.add('bad').add('worse');
  const outbox = rig().start();
  await outbox.enqueue(recordOf('bad', { lane: 'one', headers: { 'ce-type': 'x' } }));
  await outbox.enqueue(recordOf('worse', { lane: 'two' }));
  for (let attempt = 0; attempt < 12; attempt += 1) await rig().clock.advance(60_000);
  rig().peer.mode = 'away';
  const called = rig().peer.nextCall();
  await outbox.enqueue(recordOf('waiting'));
  await called;
  rig().peer.refuses.clear();
  return outbox;
};

test('WK-03 lists and shows what is parked while the buffer is in use, and refuses to change it then', async () => {
  await startWithParked();
  expect(await json('list')).toMatchObject({
    buffers: [
      {
        isInUse: true,
        pending: 1,
        parked: 2,
        nextSourceSeq: 4,
        records: [
          {
            sourceSeq: 1,
            kind: 'note',
            lane: 'one',
            code: 'LOG_REFUSED',
            attempts: 12,
            isLetterStored: true,
          },
          { sourceSeq: 2 },
        ],
      },
    ],
  });
  expect(await json('show', '1')).toMatchObject({
    sourceSeq: 1,
    headers: { 'ce-type': 'x' },
    body: 'bad',
    parked: { code: 'LOG_REFUSED' },
  });
  expect(await json('show', '3')).toMatchObject({ body: 'waiting', parked: null });
  expect((await fleetlog('list')).out).toMatch(
    /1 waiting .* 2 parked, in use by a runner\nNUMBER .*\n1 +note/,
  );
  expect(await json('retry', '1')).toMatchObject({ error: { code: 'OUTBOX_LOCKED' } });
  expect(await json('drop', '--all')).toMatchObject({ error: { code: 'OUTBOX_LOCKED' } });
});

test('puts a record back for the next process, which sends it at its place, and drops another', async () => {
  await rig().closeNow(await startWithParked());
  expect(await json('retry', '1')).toEqual({ retry: [1], missing: [] });
  expect(await json('drop', '--all')).toEqual({ drop: [2], missing: [] });
  expect(await fleetlog('drop', '2')).toEqual({ code: 1, out: 'dropped: none', notes: 'not parked here: 2' });
  expect(await json('list')).toMatchObject({ buffers: [{ isInUse: false, pending: 2, parked: 0 }] });
  rig().peer.mode = 'up';
  const next = rig().start();
  await next.drained();
  expect(rig().storedTexts()).toEqual(['bad', 'waiting']);
});

test('says what is wrong with what it was asked', async () => {
  expect((await fleetlog('list')).code).toBe(2);
  await rig().closeNow(await startWithParked());
  for (const argv of [
    ['show', '99'],
    ['show', 'x'],
    ['retry'],
    ['retry', '1', '--all'],
    ['list', '--buffer', 'nobody'],
  ])
    expect(await fleetlog(...argv)).toMatchObject({
      code: 2,
      out: '',
      notes: expect.stringContaining('ARGUMENT_INVALID') as unknown,
    });
});
