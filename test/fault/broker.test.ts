// The private broker as its users see it: start, crash, restart, freeze, and the end of everything with its owner.
import { connect } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { freshBroker } from '#test/support/broker.ts';

test('a broker is ready when it is started', async () => {
  await using fresh = await freshBroker();
  const connection = await connect({ servers: fresh.url, user: fresh.user, pass: fresh.password });
  await connection.flush();
  expect(connection.getServer()).toBe(fresh.url.replace('nats://', ''));
  await connection.close();
});
