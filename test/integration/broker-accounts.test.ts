// The configuration we render, as a real server understands it: two accounts that meet in declared services only, users that may do
// what they are given, and a system account.
import { jetstream, jetstreamManager, type JetStreamApiError } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { expect, onTestFinished, test } from 'vitest';
import type { AccountConfig } from '#libs/broker/broker-config.ts';
import { freshBroker, testBroker } from '#test/support/broker.ts';

const RUNNER_PASSWORD = 'r"1\\$x';

const ACCOUNTS: readonly AccountConfig[] = [
  {
    name: 'CONTROL',
    jetstream: true,
    users: [{ user: 'control', password: 'control' }],
    exports: [{ kind: 'service', subject: 'ev.>', accounts: ['RUNNERS'] }],
  },
  {
    name: 'RUNNERS',
    users: [
      {
        user: 'r1',
        password: RUNNER_PASSWORD,
        permissions: {
          publish: { allow: ['ev.r1.>'] },
          subscribe: { allow: ['_INBOX_r1.>'] },
        },
      },
    ],
    imports: [{ kind: 'service', account: 'CONTROL', subject: 'ev.>' }],
  },
  { name: 'SYS', isSystem: true, users: [{ user: 'system', password: 'system' }] },
];

const dial = async (url: string, user: string, pass: string): Promise<NatsConnection> => {
  const inboxPrefix = user === 'r1' ? '_INBOX_r1' : '_INBOX';
  const connection = await connect({ servers: url, user, pass, inboxPrefix });
  onTestFinished(() => connection.close());
  return connection;
};

test('a runner reaches the streams of the control plane by the exported subjects only', async () => {
  await using broker = await freshBroker({ accounts: ACCOUNTS });
  const control = await dial(broker.url, 'control', 'control');
  await (await jetstreamManager(control)).streams.add({ name: 'EV', subjects: ['ev.>'] });
  const runner = await dial(broker.url, 'r1', RUNNER_PASSWORD);

  expect((await jetstream(runner).publish('ev.r1.started', 'x')).seq).toBe(1);
  await expect(jetstream(runner).publish('ev.r2.forged', 'x', { timeout: 500 })).rejects.toThrow();
  await expect(jetstreamManager(runner, { timeout: 500 })).rejects.toThrow();
  expect(() => runner.subscribe('ev.>', { callback: () => {} })).not.toThrow();

  const { state } = await (await jetstreamManager(control)).streams.info('EV');
  expect(state.messages).toBe(1);
});

test('a wrong password is refused', async () => {
  const broker = await testBroker();
  await expect(
    connect({ servers: broker.url, user: 'control', pass: 'wrong', maxReconnectAttempts: 0 }),
  ).rejects.toThrow(/Authorization/i);
});

test('the system account answers for the server', async () => {
  const broker = await testBroker();
  const system = await dial(broker.url, 'system', 'system');
  const answer = await system.request('$SYS.REQ.SERVER.PING.JSZ', '', { timeout: 2000 });
  expect(answer.json()).toMatchObject({ data: { config: { sync_interval: 100_000_000 } } });
});

test('the default of everything we ship keeps an acknowledged append through a power cut', async () => {
  await using broker = await freshBroker({ sync: 'always' });
  const varz = await (await fetch(`${broker.monitorUrl}/varz`)).json();
  expect(varz).toMatchObject({ max_payload: 1_048_576, jetstream: { config: { sync_always: true } } });
});

test('a message over the payload limit is refused by the broker', async () => {
  await using broker = await freshBroker({ maxPayloadBytes: 1024 });
  const connection = await dial(broker.url, 'control', 'control');
  await (await jetstreamManager(connection)).streams.add({ name: 'S', subjects: ['s'] });
  const failure = await jetstream(connection)
    .publish('s', 'x'.repeat(2000))
    .catch((error: JetStreamApiError) => error);
  expect(failure).toBeInstanceOf(Error);
});
