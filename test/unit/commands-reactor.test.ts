// Reactors: at least once in, exactly once out.
import { describe, expect, test } from 'vitest';
import { createReactorHandler, defineReactor, type Reaction } from '#libs/commands/reactor.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { StoredEntry } from '#libs/ports/event-log.ts';
import { bytes, textOf } from '#test/support/tally.ts';

const WINDOW_MS = 120_000;

const setup = (reactions: readonly Partial<Reaction>[]) => {
  const clock = createManualClock();
  const broker = createMemoryBroker({
    clock,
    ids: createSeededIds(1, clock),
    topology: {
      streams: [
        { name: 'IN', subjects: ['in.>'] },
        { name: 'OUT', subjects: ['out.>'], duplicateWindowMs: WINDOW_MS },
      ],
    },
  });
  const source = broker.eventLog('IN');
  const out = broker.eventLog('OUT');
  const reactor = defineReactor<string>({
    name: 'instruct',
    react: (event) =>
      reactions.map((reaction) => ({ log: 'out', subject: `out.${event}`, body: bytes(event), ...reaction })),
    headers: (_event, _reaction, { id, causation }) => ({ 'ce-id': id, cause: causation }),
  });
  const handle = createReactorHandler('IN', {
    reactor,
    logs: { out },
    clock,
    duplicateWindowMs: WINDOW_MS,
  });
  const receive = async (text: string): Promise<StoredEntry> => {
    await source.append({ subject: 'in.x', id: `evt-${text}`, headers: {}, body: bytes(text) });
    const entry = await source.last('in.x');
    if (entry === undefined) throw new Error('nothing was stored');
    return entry;
  };
  const stored = async () => {
    const found: { readonly id: string | undefined; readonly subject: string }[] = [];
    for await (const { headers, subject } of out.replay())
      found.push({ id: headers['Nats-Msg-Id'], subject });
    return found;
  };
  return {
    clock,
    broker,
    out,
    receive,
    stored,
    handle: (entry: StoredEntry) => handle(textOf(entry.body), { entry }),
  };
};

describe('a reactor', () => {
  test('appends its reactions under ids derived from the event', async () => {
    const { receive, handle, stored, out } = setup([{}, { subject: 'out.other' }]);
    expect(await handle(await receive('a'))).toEqual({ kind: 'ok' });
    expect(await stored()).toEqual([
      { id: 'evt-a:instruct', subject: 'out.a' },
      { id: 'evt-a:instruct:2', subject: 'out.other' },
    ]);
    expect((await out.last('out.a'))?.headers).toMatchObject({ 'ce-id': 'evt-a:instruct', cause: 'evt-a' });
  });

  test('appends nothing new when the event is delivered again, within the window and long after', async () => {
    const { clock, broker, receive, handle, stored } = setup([{}]);
    const entry = await receive('a');
    await handle(entry);
    await handle(entry);
    await clock.advance(10 * WINDOW_MS);
    broker.forgetIds('OUT');
    await handle(entry);
    expect(await stored()).toHaveLength(1);
  });

  test('finishes what a crash between two reactions left', async () => {
    const { broker, receive, handle, stored } = setup([{}, { subject: 'out.other' }]);
    const entry = await receive('a');
    broker.faults.plan({ dropAppend: (nth) => nth === 2 });
    await expect(handle(entry)).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' });
    await handle(entry);
    expect((await stored()).map(({ subject }) => subject)).toEqual(['out.a', 'out.other']);
  });

  test('leaves a subject alone that must be empty and is not', async () => {
    const { receive, handle, out, stored } = setup([{ expectedSeq: 0, onConflict: 'done' }]);
    await out.append({ subject: 'out.a', id: 'somebody', headers: {}, body: bytes('x') });
    expect(await handle(await receive('a'))).toEqual({ kind: 'ok' });
    expect(await stored()).toHaveLength(1);
  });

  test('parks an event whose reaction conflicts or has no log', async () => {
    const conflicting = setup([{ expectedSeq: 7 }]);
    await expect(conflicting.handle(await conflicting.receive('a'))).rejects.toMatchObject({
      code: 'REACTION_CONFLICTED',
      retry: 'never',
    });
    const lost = setup([{ log: 'nowhere' }]);
    await expect(lost.handle(await lost.receive('a'))).rejects.toMatchObject({
      code: 'REACTOR_LOG_UNKNOWN',
      retry: 'never',
    });
  });
});
