// Consumers when processes and brokers are killed: at least once in, exactly once out.
import { expect, onTestFinished, test } from 'vitest';
import type { EventLog } from '#libs/ports/event-log.ts';
import { systemIds as ids } from '#libs/system/ids.ts';
import { freshBroker } from '#test/support/broker.ts';
import { startLoop } from '#test/support/loop-task.ts';
import { connectTo } from '#test/support/nats-connection.ts';
import { natsWorld } from '#test/support/nats-world.ts';
import { bytes, textOf } from '#test/support/tally.ts';

const ACK_WAIT_MS = 2000;

const setup = async () => {
  const broker = await freshBroker({ sync: 'always' });
  onTestFinished(() => broker[Symbol.asyncDispose]());
  const connection = await connectTo({ ...broker, urls: [broker.url] });
  onTestFinished(() => connection.close());
  const world = natsWorld(connection);
  const [log, out] = [await world.stream('in'), await world.stream('out')];
  const { consumer } = await world.queue(log.stream, { ackWaitMs: ACK_WAIT_MS });
  const { url, user, password } = broker;
  const task = { kind: 'reactor', url, user, password, consumer, ackWaitMs: ACK_WAIT_MS } as const;
  return { broker, log, out, start: () => startLoop({ ...task, stream: log.stream, out: out.stream }) };
};

/** Appends texts `<from>` to `<from + count - 1>`, however often the broker goes away meanwhile. */
const send = async (log: EventLog, from: number, count: number): Promise<void> => {
  const one = async (text: string): Promise<void> => {
    const entry = { subject: `${log.stream}.x`, id: `e${text}`, headers: {}, body: bytes(text) };
    while ((await log.append(entry).catch(() => undefined))?.kind !== 'appended');
  };
  await Promise.all(Array.from({ length: count }, (_, at) => one(`${from + at}`)));
};

/** The texts in the order of their arrival, until there are `count` different ones. */
const copies = async (out: EventLog, count: number): Promise<string[]> => {
  const texts: string[] = [];
  const enough = new AbortController();
  for await (const entry of out.replay({ follow: true, signal: enough.signal })) {
    texts.push(textOf(entry.body));
    if (new Set(texts).size === count) enough.abort();
  }
  return texts;
};

const all = (count: number): string[] => Array.from({ length: count }, (_, at) => `${at}`).sort();

test(
  'processes that are killed leave nothing undone and nothing done twice',
  { timeout: 120_000 },
  async () => {
    const { log, out, start } = await setup();
    for (let round = 0; round < 5; round += 1) {
      const child = await start();
      const sending = send(log, round * 100, 100);
      await copies(out, round * 60 + Math.ceil(ids.random() * 50));
      await child.kill();
      await sending;
    }
    const last = await start();
    expect((await copies(out, 500)).sort()).toEqual(all(500));
    await last.kill();
    expect((await out.bounds()).lastSeq).toBe(500);
  },
);

test(
  'a broker that is killed leaves nothing undone and nothing done twice',
  { timeout: 120_000 },
  async () => {
    const { broker, log, out, start } = await setup();
    const child = await start();
    for (let round = 0; round < 3; round += 1) {
      const sending = send(log, round * 100, 100);
      await copies(out, round * 100 + Math.ceil(ids.random() * 60));
      await broker.kill();
      await broker.restart();
      await sending;
    }
    expect((await copies(out, 300)).sort()).toEqual(all(300));
    await child.kill();
    expect((await out.bounds()).lastSeq).toBe(300);
  },
);
