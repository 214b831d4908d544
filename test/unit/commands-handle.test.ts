// Handling a command: what is appended, what is answered, and what a repeat, a conflict or a fault changes about it.
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { add, close, commandHarness } from '#test/support/command-harness.ts';
import { bytes } from '#test/support/tally.ts';

describe('a command', () => {
  test('given an empty history, is decided on the initial state and appended under its id', async () => {
    const { handler, log, history } = commandHarness();
    const outcome = await handler().handle('a', add(5), { id: 'cmd-1' });
    const event = { type: 'added', by: 5, at: 1_000_000 };
    expect(outcome).toEqual({ kind: 'accepted', event, seq: 1, repeated: false });
    expect(await history('a')).toEqual([event]);
    const stored = await log.last('counter.a');
    expect(stored?.headers).toEqual({ 'Nats-Msg-Id': 'cmd-1', 'ce-id': 'cmd-1', command: 'cmd-1' });
  });

  test('takes its time from the caller when one is given, and its event id from the derivation', async () => {
    const { handler, log } = commandHarness();
    const commands = handler({ eventId: (id) => `evt-${id}` });
    const outcome = await commands.handle('a', add(1), { id: '7', now: 42 });
    expect(outcome).toMatchObject({ kind: 'accepted', event: { at: 42 } });
    expect((await log.last('counter.a'))?.headers).toMatchObject({ 'Nats-Msg-Id': 'evt-7', command: '7' });
  });

  test('that is refused, or already true, appends nothing', async () => {
    const { handler, history } = commandHarness();
    const commands = handler();
    expect(await commands.handle('a', add(1001), { id: '1' })).toMatchObject({
      kind: 'rejected',
      rejection: { code: 'COUNTER_FULL' },
      seq: 0,
    });
    await commands.handle('a', close, { id: '2' });
    expect(await commands.handle('a', close, { id: '3' })).toEqual({
      kind: 'unchanged',
      state: { sum: 0, isClosed: true },
      seq: 1,
    });
    expect(await history('a')).toHaveLength(1);
  });

  test('needs no read on the hot path, and one look before a refusal is believed', async () => {
    const { handler, calls } = commandHarness();
    const commands = handler();
    await commands.handle('a', add(1), { id: '1' });
    const before = { ...calls };
    await commands.handle('a', add(1), { id: '2' });
    expect(calls).toEqual({ ...before, append: before.append + 1 });
    await commands.handle('a', add(1000), { id: '3' });
    expect(calls).toEqual({ ...before, append: before.append + 1, last: before.last + 1 });
  });

  test('that most likely begins its aggregate needs no read, and is decided anew when it does not', async () => {
    const { handler, calls, history } = commandHarness();
    expect(await handler().handle('a', add(1), { id: '1', begins: true })).toMatchObject({
      kind: 'accepted',
      seq: 1,
    });
    expect(calls).toEqual({ append: 1, read: 0, last: 0 });
    // Another process, which knows nothing of the first entry.
    expect(await handler().handle('a', add(2), { id: '2', begins: true })).toMatchObject({
      kind: 'accepted',
      seq: 2,
      repeated: false,
    });
    expect(await handler().handle('a', add(1), { id: '1', begins: true })).toMatchObject({
      kind: 'accepted',
      seq: 1,
      repeated: true,
    });
    await handler().handle('a', close, { id: '3', begins: true });
    expect(await handler().handle('a', add(1001), { id: '4', begins: true })).toMatchObject({
      kind: 'rejected',
      rejection: { code: 'COUNTER_CLOSED' },
    });
    expect(await history('a')).toHaveLength(3);
  });

  test('remembers what it saw last, without a read and without a promise that it is new', async () => {
    const { handler, calls } = commandHarness();
    const [one, two] = [handler(), handler()];
    expect(one.remembered('a')).toBeUndefined();
    await one.handle('a', add(1), { id: '1' });
    const before = { ...calls };
    expect(one.remembered('a')?.state).toEqual({ sum: 1, isClosed: false });
    expect(calls).toEqual(before);
    await two.handle('a', add(1), { id: '2' });
    expect(one.remembered('a')?.state).toEqual({ sum: 1, isClosed: false });
    expect((await one.load('a')).state).toEqual({ sum: 2, isClosed: false });
  });

  test('takes note of what was appended past it where it follows what is remembered, and of nothing else', async () => {
    const { handler, calls } = commandHarness();
    const [one, two] = [handler(), handler()];
    await one.handle('a', add(1), { id: '1' });
    const second = await two.handle('a', add(5), { id: '2' });
    if (second.kind !== 'accepted') throw new Error(second.kind);
    const noted = { event: second.event, id: '2', seq: second.seq, bytes: 10 };
    const before = { ...calls };
    await one.noteAppended('a', { ...noted, afterSeq: 7 });
    await one.noteAppended('b', { ...noted, afterSeq: 0 });
    expect([one.remembered('a')?.state.sum, one.remembered('b')]).toEqual([1, undefined]);
    await one.noteAppended('a', { ...noted, afterSeq: 1 });
    expect(one.remembered('a')).toMatchObject({ state: { sum: 6 }, seq: 2 });
    expect(calls).toEqual(before);
    expect(await one.handle('a', add(5), { id: '2' })).toMatchObject({ repeated: true, seq: 2 });
  });

  test('keeps no more bytes of histories in memory than it may, whatever a single one holds', async () => {
    const { handler, calls } = commandHarness();
    // Room for two of these histories, and for none of three entries.
    const commands = handler({ cacheBytes: 100 });
    const isRemembered = async (name: string): Promise<boolean> => {
      const before = calls.read;
      await commands.handle(name, add(1), { id: `again-${name}-${before}` });
      return calls.read === before;
    };
    for (const name of ['a', 'b', 'c']) await commands.handle(name, add(1), { id: `cmd-${name}` });
    expect(await isRemembered('c')).toBe(true);
    expect(await isRemembered('a')).toBe(false);
    for (const id of ['1', '2', '3']) await commands.handle('big', add(1), { id });
    expect(await isRemembered('big')).toBe(false);
  });

  test('loads what the cache has forgotten', async () => {
    const { handler } = commandHarness();
    const commands = handler({ cacheSize: 1 });
    for (const name of ['a', 'b', 'a'])
      await commands.handle(name, add(1), { id: `${name}-${Math.abs(name.length)}` });
    expect(await commands.load('a')).toEqual({ state: { sum: 1, isClosed: false }, seq: 1 });
    expect(await commands.load('nobody')).toEqual({ state: { sum: 0, isClosed: false }, seq: 0 });
  });
});

describe('a command that is repeated', () => {
  test('gets the answer of the first time, also when the state has gone on', async () => {
    const { clock, handler, history } = commandHarness();
    const commands = handler();
    const first = await commands.handle('a', add(900), { id: '1' });
    await commands.handle('a', close, { id: '2' });
    await clock.advance(60_000);
    expect(await commands.handle('a', add(900), { id: '1' })).toEqual({ ...first, repeated: true });
    expect(await handler().handle('a', add(900), { id: '1' }), 'another process').toEqual({
      ...first,
      repeated: true,
    });
    expect(await history('a')).toHaveLength(2);
  });

  test('after its answer was lost is not appended twice', async () => {
    const { broker, handler, history } = commandHarness();
    const commands = handler();
    broker.faults.plan({ loseAppendAck: (nth) => nth === 1 });
    await expect(commands.handle('a', add(5), { id: '1' })).rejects.toMatchObject({
      code: 'LOG_UNAVAILABLE',
    });
    expect(await commands.handle('a', add(5), { id: '1' })).toMatchObject({
      kind: 'accepted',
      seq: 1,
      repeated: true,
    });
    expect(await history('a')).toHaveLength(1);
  });

  test('long ago is found in the log, beyond the ids that are remembered', async () => {
    const { handler, broker, history } = commandHarness();
    const commands = handler();
    await commands.handle('a', add(1), { id: 'old' });
    for (let at = 0; at < 300; at += 1) await commands.handle('a', add(1), { id: `n${at}` });
    await commands.handle('a', close, { id: 'end' });
    broker.forgetIds('COUNTERS');
    expect(await commands.handle('a', add(1), { id: 'old' })).toMatchObject({
      kind: 'accepted',
      seq: 1,
      repeated: true,
    });
    expect(await history('a')).toHaveLength(302);
  });

  test('that a newer version has answered is left to it, and nothing is appended', async () => {
    const { handler, history } = commandHarness();
    await handler().handle('a', add(1), { id: 'new' });
    const older = handler({ decodeEntry: () => undefined });
    await expect(older.handle('a', add(1), { id: 'new' })).rejects.toMatchObject({
      code: 'EVENT_NEWER',
      retry: 'later',
    });
    expect(await history('a')).toHaveLength(1);
  });

  test('under the id of another aggregate is told, and nothing is appended', async () => {
    const { handler, history } = commandHarness();
    const commands = handler();
    await commands.handle('a', add(1), { id: 'same' });
    await expect(commands.handle('b', add(1), { id: 'same' })).rejects.toMatchObject({
      code: 'EVENT_MISSING',
    });
    expect(await history('b')).toEqual([]);
  });
});

describe('commands that race', () => {
  test('in one process take turns: no conflict, in the order of the calls', async () => {
    const { handler, history, calls } = commandHarness();
    const commands = handler();
    await Promise.all(Array.from({ length: 50 }, (_, at) => commands.handle('a', add(at), { id: `${at}` })));
    const events = await history('a');
    expect(events.map((event) => event.type === 'added' && event.by).slice(0, 5)).toEqual([0, 1, 2, 3, 4]);
    expect(calls.append).toBeLessThanOrEqual(50);
  });

  test('in several processes are all decided on the newest state, and the limit holds', async () => {
    const { clock, handler, history } = commandHarness();
    const processes = [handler({ maxTries: 100 }), handler({ maxTries: 100 }), handler({ maxTries: 100 })];
    const outcomes = Promise.all(
      processes.flatMap((commands, process) =>
        Array.from({ length: 10 }, (_, at) => commands.handle('a', add(100), { id: `${process}-${at}` })),
      ),
    );
    await clock.advance(60_000);
    const kinds = (await outcomes).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'accepted')).toHaveLength(10);
    expect(kinds.filter((kind) => kind === 'rejected')).toHaveLength(20);
    expect(await history('a')).toHaveLength(10);
  });

  test('and always lose are told so after a bounded number of tries', async () => {
    const { clock, handler, log } = commandHarness();
    const rival = async (): Promise<void> => {
      const last = await log.last('counter.a');
      const expectedSeq = last?.seq ?? 0;
      const body = bytes('{"type":"added","by":1,"at":0}');
      await log.append({ subject: 'counter.a', id: `rival-${expectedSeq}`, headers: {}, body, expectedSeq });
    };
    const contended = handler({
      maxTries: 3,
      log: {
        ...log,
        append: async (entry) => {
          await rival();
          return log.append(entry);
        },
      },
    });
    const refused = expect(contended.handle('a', add(1), { id: '1' })).rejects.toMatchObject({
      code: 'COMMAND_CONTENDED',
      retry: 'now',
    });
    await clock.advance(1000);
    await refused;
  });

  test('do not believe a refusal that another process has made untrue', async () => {
    const { clock, handler } = commandHarness();
    const slow = handler();
    const other = handler();
    await slow.handle('a', add(1), { id: '1' });
    await other.handle('a', close, { id: '2' });
    const outcome = slow.handle('a', close, { id: '3' });
    await clock.advance(100);
    expect(await outcome).toEqual({ kind: 'unchanged', state: { sum: 1, isClosed: true }, seq: 2 });
  });
});

describe('a command whose history cannot be read', () => {
  test('is not decided', async () => {
    const { handler, log } = commandHarness();
    await log.append({ subject: 'counter.a', id: 'bad', headers: {}, body: bytes('nonsense') });
    await expect(handler().handle('a', add(1), { id: '1' })).rejects.toMatchObject({
      code: 'AGGREGATE_UNREADABLE',
      retry: 'never',
      detail: { seq: 1 },
    });
  });

  test('surfaces what the codec throws, and the next command is decided on the log', async () => {
    const { handler, history } = commandHarness();
    const unusable = new Fault({ code: 'BODY_TOO_LARGE', retry: 'never', message: 'too large' });
    let isBroken = true;
    const commands = handler({
      encode: (event) => {
        if (isBroken) throw unusable;
        return { headers: {}, body: bytes(JSON.stringify(event)) };
      },
    });
    await expect(commands.handle('a', add(1), { id: '1' })).rejects.toBe(unusable);
    isBroken = false;
    await commands.handle('a', add(1), { id: '2' });
    expect(await history('a')).toHaveLength(1);
  });
});
