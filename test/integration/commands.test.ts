// Commands on a real broker: rivals, repeats, and what the cache saves.
import { afterEach, expect, test } from 'vitest';
import { createCommandHandler } from '#libs/commands/handle-command.ts';
import type { NatsConnectionHandle } from '#libs/nats/connect.ts';
import type { EventLog } from '#libs/ports/event-log.ts';
import { systemClock as clock } from '#libs/system/clock.ts';
import { systemIds as ids } from '#libs/system/ids.ts';
import { natsWorld } from '#test/support/nats-world.ts';
import { testConnection } from '#test/support/nats-connection.ts';
import {
  type Counter,
  type CounterCommand,
  counterDecider,
  type CounterEvent,
  jsonBytes,
  jsonOf,
} from '#test/support/tally.ts';

const connections: NatsConnectionHandle[] = [];

afterEach(async () => {
  await Promise.all(connections.splice(0).map((connection) => connection.close()));
});

const connect = async (): Promise<NatsConnectionHandle> => {
  const connection = await testConnection();
  connections.push(connection);
  return connection;
};

const counters = (log: EventLog) =>
  createCommandHandler<string, CounterCommand, CounterEvent, Counter, 'COUNTER_CLOSED' | 'COUNTER_FULL'>({
    log,
    decider: counterDecider,
    subjectOf: (name) => `${log.stream}.${name}`,
    encode: (event) => ({ headers: {}, body: jsonBytes(event) }),
    decodeEntry: (entry) => jsonOf(entry.body) as CounterEvent,
    clock,
    ids,
    maxTries: 200,
  });

test('three processes that race for ten places take ten, and a repeat gets its first answer', async () => {
  const world = natsWorld(await connect());
  const log = await world.stream();
  const processes = [counters(log)];
  for (let at = 0; at < 2; at += 1) processes.push(counters(world.over(await connect()).log(log.stream)));
  const ask = () =>
    Promise.all(
      processes.flatMap((commands, process) =>
        Array.from({ length: 10 }, (_, at) =>
          commands.handle('a', { kind: 'add', by: 100 }, { id: `p${process}-${at}` }),
        ),
      ),
    );
  const first = await ask();
  expect(first.filter(({ kind }) => kind === 'accepted')).toHaveLength(10);
  expect(first.filter(({ kind }) => kind === 'rejected')).toHaveLength(20);
  const again = await ask();
  for (const [at, outcome] of first.entries()) {
    if (outcome.kind === 'accepted') expect(again[at]).toEqual({ ...outcome, repeated: true });
    else expect(again[at]).toEqual(outcome);
  }
  expect((await log.bounds()).lastSeq).toBe(10);
});

test('many aggregates are commanded side by side, each in its own order', async () => {
  const log = await natsWorld(await connect()).stream();
  const commands = counters(log);
  const outcomes = await Promise.all(
    Array.from({ length: 640 }, (_, at) =>
      commands.handle(`c${at % 64}`, { kind: 'add', by: 1 }, { id: `${at}` }),
    ),
  );
  expect(outcomes.every(({ kind }) => kind === 'accepted')).toBe(true);
  expect(await counters(log).load('c7')).toMatchObject({ state: { sum: 10 } });
});
