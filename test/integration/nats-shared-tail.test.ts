// Those of one process who follow a log together: what they are given, and who first.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import type { EventLog, NewEntry, StoredEntry } from '#libs/ports/event-log.ts';
import { freshName } from '#test/support/fresh-name.ts';
import { testConnection } from '#test/support/nats-connection.ts';

const body = new TextEncoder().encode('{}');

let connection: NatsConnectionHandle;
beforeAll(async () => {
  connection = await testConnection();
});
afterAll(() => connection.close());

interface Setup {
  readonly stream: string;
  readonly log: EventLog;
  readonly entry: (subject: string, id: string) => NewEntry;
}

const setup = async (): Promise<Setup> => {
  const stream = freshName('log');
  const subjects = [`${stream}.>`];
  await natsTopology(connection).createStream({
    name: stream,
    subjects,
    allow_atomic: true,
    allow_direct: true,
  });
  const log = createEventLog(connection, { stream });
  return {
    stream,
    log,
    entry: (subject, id) => ({ subject: `${stream}.${subject}`, id, headers: {}, body }),
  };
};

describe('followers who begin together', () => {
  it('read their backlog once, and are given the same entries', async () => {
    const { log, entry, stream } = await setup();
    const of = (at: number): string => ['run', 'session', 'task'][at % 3] ?? '';
    for (let from = 0; from < 3000; from += 1000)
      await log.appendTogether(
        Array.from({ length: 1000 }, (_, at) => entry(`${of(from + at)}.${from + at}`, `e${from + at}`)),
      );
    const abort = new AbortController();
    const { signal } = abort;
    const follow = async (families: readonly string[], from: number): Promise<StoredEntry[]> => {
      const seen: StoredEntry[] = [];
      const subjects = families.map((family) => `${stream}.${family}.*`);
      const caughtUp = Promise.withResolvers<void>();
      const onCaughtUp = (): void => caughtUp.resolve();
      const options = { from: { seq: from }, subjects, follow: true, isShared: true, onCaughtUp, signal };
      const reading = (async () => {
        for await (const one of log.replay(options)) seen.push(one);
      })();
      await Promise.race([caughtUp.promise, reading]);
      return seen;
    };
    const families = [['run'], ['session', 'run'], ['task'], ['run', 'task']];
    const froms = [900, 1, 1500, 20];
    const read = await Promise.all(families.map((some, at) => follow(some, froms[at] ?? 1)));
    const known = new Map<number, StoredEntry>();
    for (const [at, entries] of read.entries()) {
      const wanted = Array.from({ length: 3000 }, (_, n) => n + 1).filter(
        (seq) => seq >= (froms[at] ?? 1) && families[at]?.includes(of(seq - 1)),
      );
      expect(entries.map(({ seq }) => seq)).toEqual(wanted);
      for (const one of entries) expect(known.get(one.seq) ?? one).toBe(one);
      for (const one of entries) known.set(one.seq, one);
    }
    abort.abort();
  });
});

describe('who follows with urgency', () => {
  it('is given what is new before the others, and all are given it', async () => {
    const { log, entry, stream } = await setup();
    const abort = new AbortController();
    const seen: string[] = [];
    let rouse = (): void => undefined;
    const follow = async (name: string, isUrgent: boolean): Promise<void> => {
      const { signal } = abort;
      const options = { subjects: [`${stream}.>`], follow: true, isShared: true, isUrgent, signal };
      for await (const { seq } of log.replay(options)) {
        seen.push(`${name} ${seq}`);
        rouse();
      }
    };
    const following = [follow('one', false), follow('urgent', true), follow('other', false)];
    const until = async (count: number): Promise<void> => {
      while (seen.length < count) await new Promise<void>((resolve) => (rouse = resolve));
    };
    for (let at = 1; at <= 10; at += 1) {
      await log.append(entry(`a${at}`, `e${at}`));
      await until(3 * at);
      const [first, ...later] = seen.slice(-3);
      // The first is there when they begin, each by itself.
      if (at > 1) expect(first).toBe(`urgent ${at}`);
      expect(new Set([first, ...later])).toEqual(new Set([`one ${at}`, `other ${at}`, `urgent ${at}`]));
    }
    abort.abort();
    await Promise.all(following);
  });
});
