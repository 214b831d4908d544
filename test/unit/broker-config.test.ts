// The rendered configuration of a broker: what is in it, and what is refused before a server sees it.
import { expect, test } from 'vitest';
import {
  renderAccounts,
  renderBrokerConfig,
  type AccountConfig,
  type BrokerSettings,
} from '#libs/broker/broker-config.ts';

const CONTROL: AccountConfig = {
  name: 'CONTROL',
  jetstream: true,
  users: [{ user: 'control', password: 'secret' }],
  exports: [
    { kind: 'service', subject: 'ev.>' },
    {
      kind: 'service',
      subject: '$JS.API.CONSUMER.MSG.NEXT.CMD.*',
      responseType: 'stream',
      accounts: ['RUNNERS'],
    },
  ],
};
const RUNNERS: AccountConfig = {
  name: 'RUNNERS',
  users: [
    {
      user: 'r1',
      password: 'p',
      permissions: {
        publish: { allow: ['ev.r1.>'], deny: ['ev.r1.secret'] },
        subscribe: { allow: ['_INBOX_r1.>'] },
        allowResponses: true,
      },
    },
  ],
  imports: [{ kind: 'service', account: 'CONTROL', subject: 'ev.>', to: 'up.>' }],
};

const settings = (changes: Partial<BrokerSettings> = {}): BrokerSettings => ({
  serverName: 'n1',
  host: '127.0.0.1',
  clientPort: 4222,
  monitorPort: 8222,
  storeDir: '/data/store',
  sync: 'always',
  accounts: [CONTROL, RUNNERS, { name: 'SYS', isSystem: true, users: [] }],
  ...changes,
});

const rendered = (changes: Partial<BrokerSettings> = {}): Record<string, unknown> =>
  JSON.parse(renderBrokerConfig(settings(changes)));

test('an acknowledged append is on disk unless the relaxed profile is asked for', () => {
  expect(rendered()).toMatchObject({ jetstream: { store_dir: '/data/store', sync_interval: 'always' } });
  expect(rendered({ sync: 'relaxed' })).toMatchObject({ jetstream: { sync_interval: '100ms' } });
  expect(rendered()).not.toHaveProperty('jetstream.limits');
  expect(rendered({ maxConsumersPerStream: 5000 })).toMatchObject({
    jetstream: { limits: { default_max_consumers: 5000 } },
  });
});

test('clients and monitoring listen on the given host only, with a payload limit of 1 MiB', () => {
  expect(rendered()).toMatchObject({
    listen: '127.0.0.1:4222',
    http: '127.0.0.1:8222',
    max_payload: 1_048_576,
  });
});

test('accounts carry users, permissions, exports and imports', () => {
  expect(renderAccounts([CONTROL, RUNNERS])).toEqual({
    accounts: {
      CONTROL: {
        jetstream: 'enabled',
        users: [{ user: 'control', password: 'secret' }],
        exports: [
          { service: 'ev.>' },
          { service: '$JS.API.CONSUMER.MSG.NEXT.CMD.*', accounts: ['RUNNERS'], response_type: 'stream' },
        ],
      },
      RUNNERS: {
        users: [
          {
            user: 'r1',
            password: 'p',
            permissions: {
              publish: { allow: ['ev.r1.>'], deny: ['ev.r1.secret'] },
              subscribe: { allow: ['_INBOX_r1.>'] },
              allow_responses: true,
            },
          },
        ],
        imports: [{ service: { account: 'CONTROL', subject: 'ev.>' }, to: 'up.>' }],
      },
    },
  });
});

test('the system account is named beside the accounts', () => {
  expect(rendered()).toMatchObject({ system_account: 'SYS', accounts: { SYS: { users: [] } } });
});

test('a cluster member lists its routes', () => {
  const cluster = { name: 'c', port: 6222, routes: ['nats-route://127.0.0.1:6222'] };
  expect(rendered({ cluster })).toMatchObject({
    cluster: { name: 'c', listen: '127.0.0.1:6222', routes: ['nats-route://127.0.0.1:6222'] },
  });
  expect(rendered()).not.toHaveProperty('cluster');
});

test('two accounts of one name and two system accounts are refused', () => {
  expect(() => renderAccounts([CONTROL, CONTROL])).toThrow('two accounts have the same name');
  expect(() =>
    renderAccounts([
      { name: 'A', isSystem: true, users: [] },
      { name: 'B', isSystem: true, users: [] },
    ]),
  ).toThrow('more than one account is marked as the system account');
});

test('quotes and backslashes of a password survive, control characters are refused', () => {
  const withPassword = (password: string): readonly AccountConfig[] => [
    { name: 'A', users: [{ user: 'u', password }] },
  ];
  const tricky = 'a"b\\c$d{e}\\u0041';
  expect(rendered({ accounts: withPassword(tricky) })).toMatchObject({
    accounts: { A: { users: [{ password: tricky }] } },
  });
  expect(() => rendered({ accounts: withPassword('bell\u0007') })).toThrow('control character');
});
