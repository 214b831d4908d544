// A running broker takes up a new user without a restart: who is connected stays connected, and a restart keeps it.
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { expect, onTestFinished, test } from 'vitest';
import type { AccountConfig } from '#libs/broker/broker-config.ts';
import { freshBroker } from '#test/support/broker.ts';

const accounts = (...users: readonly string[]): readonly AccountConfig[] => [
  { name: 'CONTROL', jetstream: true, users: users.map((user) => ({ user, password: 'secret' })) },
  { name: 'SYS', isSystem: true, users: [{ user: 'system', password: 'system' }] },
];

test('a new user is let in, nobody who is there is sent away, and the next life knows the user too', async () => {
  await using broker = await freshBroker({ accounts: accounts('first') });
  const dial = async (user: string): Promise<NatsConnection> => {
    const connection = await connect({ servers: broker.url, user, pass: 'secret', maxReconnectAttempts: 0 });
    onTestFinished(() => connection.close());
    return connection;
  };
  const first = await dial('first');
  await expect(dial('second')).rejects.toThrow();
  await broker.broker.reload(accounts('first', 'second'));
  const second = await dial('second');
  const heard = Promise.withResolvers<string>();
  first.subscribe('hello', { callback: (_error, message) => heard.resolve(message.string()) });
  await first.flush();
  second.publish('hello', 'from second');
  expect(await heard.promise).toBe('from second');
  await broker.restart();
  await expect(dial('second')).resolves.toBeDefined();
});
