// The durable buffer and its file: who may open it, and what becomes of one that cannot be read.
import { closeSync, existsSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { bufferBase } from '#libs/outbox/file-names.ts';
import { recordOf } from '#test/support/outbox-peer.ts';
import { faultCode, useOutboxRig } from '#test/support/outbox-rig.ts';

const rig = useOutboxRig();

describe('the file', () => {
  test('OB-03 WK-09 names that look alike once made safe do not share a file', () => {
    expect(bufferBase('/x', 'a b')).not.toBe(bufferBase('/x', 'a_b'));
    expect(bufferBase('/x', 'a b')).toMatch(/^\/x\/outbox-a_b-[0-9a-f]{8}$/);
  });

  test('WK-09 a second opening is refused with a code that names the holder', () => {
    rig().start();
    let code: unknown;
    try {
      rig().start();
    } catch (error) {
      code = [
        faultCode(error),
        error instanceof Error && error.message.includes(`process ${process.pid} on `),
      ];
    }
    expect(code).toEqual(['OUTBOX_LOCKED', true]);
  });

  const damage = (path: string): void => {
    const handle = openSync(path, 'r+');
    writeSync(handle, Buffer.alloc(2048, 0x5a), 0, 2048, 4096);
    closeSync(handle);
  };

  test.each([
    [
      'is no database',
      (path: string) => writeFileSync(path, 'this is no database at all, only text'.repeat(99)),
    ],
    ['has a damaged page', damage],
    [
      'belongs to another program',
      (path: string) => {
        rmSync(path);
        const other = new DatabaseSync(path);
        other.exec('CREATE TABLE t(x)');
        other.close();
      },
    ],
  ])('a file that %s is moved aside, a gap tells of it, and no number is used twice', async (_, spoil) => {
    rig().peer.mode = 'away';
    const first = rig().start();
    const called = rig().peer.nextCall();
    const last = await first.enqueue(recordOf('unsent'));
    await called;
    await rig().closeNow(first);
    const path = rig().path;
    spoil(path);
    rig().peer.mode = 'up';
    const second = rig().start();
    const next = await second.enqueue(recordOf('after'));
    await second.drained();
    expect(next.sourceSeq).toBeGreaterThan(last.sourceSeq);
    expect(second.bufferId).not.toBe(first.bufferId);
    expect(rig().of('lost')[0]).toMatchObject({
      movedTo: expect.stringContaining('.unreadable-'),
    });
    expect(readdirSync(rig().dir).filter((name) => name.includes('.unreadable-')).length).toBeGreaterThan(0);
    const [gap, after] = rig().storedTexts();
    expect(after).toBe('after');
    const parsed: unknown = JSON.parse(gap ?? '');
    expect(parsed).toMatchObject({ reason: 'lost', firstSourceSeq: 1 });
    expect(next.sourceSeq - 2).toBe((parsed as { lastSourceSeq: number }).lastSourceSeq);
  });

  test('a file that has vanished is told of like a damaged one', async () => {
    const first = rig().start();
    await first.enqueue(recordOf('a'));
    await first.drained();
    await rig().closeNow(first);
    rmSync(rig().path);
    const next = await rig().start().enqueue(recordOf('b'));
    expect(next.sourceSeq).toBeGreaterThan(65_536);
    expect(rig().events).toContainEqual(
      expect.objectContaining({ kind: 'lost', movedTo: null, problem: 'the file is gone' }),
    );
  });

  test('a creation that was cut short is begun again without a word', async () => {
    const path = rig().path;
    const blank = new DatabaseSync(path);
    blank.exec('PRAGMA journal_mode = WAL');
    blank.close();
    expect((await rig().start().enqueue(recordOf('a'))).sourceSeq).toBe(1);
    expect(rig().of('lost')).toEqual([]);
  });

  test('OB-25 a row that cannot be read is parked and named, and blocks nothing', async () => {
    rig().peer.mode = 'away';
    const first = rig().start();
    await first.enqueue(recordOf('spoilt'));
    await first.enqueue(recordOf('fine'));
    await rig().closeNow(first);
    const file = new DatabaseSync(rig().path);
    file.exec("UPDATE record SET headers = 'not json' WHERE source_seq = 1");
    file.close();
    rig().peer.mode = 'up';
    const second = rig().start();
    await second.drained();
    expect(rig().storedTexts()).toEqual(['fine']);
    expect(rig().events).toContainEqual({
      kind: 'unreadable-row',
      sourceSeq: 1,
      problem: 'headers: not an object of texts',
    });
    expect(second.status()).toMatchObject({ pending: 0, parked: 1 });
  });

  test('a buffer of a newer version is refused and left alone', async () => {
    await rig().closeNow(rig().start());
    const path = rig().path;
    const file = new DatabaseSync(path);
    file.exec('PRAGMA user_version = 9');
    file.close();
    expect(() => rig().start()).toThrow(/newer version/);
    expect(existsSync(path)).toBe(true);
  });

  test('people can read the file while it is in use', async () => {
    rig().peer.mode = 'away';
    await rig().start().enqueue(recordOf('visible'));
    const reader = new DatabaseSync(rig().path, { readOnly: true });
    expect(reader.prepare('SELECT CAST(body AS TEXT) AS text FROM record').get()).toEqual({
      text: 'visible',
    });
    reader.close();
  });
});
