// A host under its own broker user, which is allowed the least: it works whole (registers, starts, reports), and it can neither speak as
// another host or agent, nor pull what is another's, nor hear what is not for it.
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createHostsService } from '#services/hosts/service.ts';
import { accountsOf, hostInboxPrefix, hostUser } from '#streams/accounts.ts';
import { hostConsumerName, runnerConsumerName } from '#streams/consumers.ts';
import { agentRequestSubject, requestSubject, typedSubject } from '#streams/subjects.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { BOUNDARY, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import {
  HOST,
  hostFolders,
  hostReported,
  provisionHosts,
  shutDown,
  spawnAgent,
  startHost,
} from '#test/support/host-rig.ts';

const accounts = accountsOf(
  {
    agents: [{ ...BOUNDARY, agent: 'calm' }],
    hosts: [HOST, 'other'].map((host) => ({ ...BOUNDARY, host })),
  },
  {
    systemPassword: 'system',
    controlPassword: 'control',
    viewerPassword: 'viewer',
    runnerPasswords: { calm: 'calm' },
    hostPasswords: { [HOST]: 'forge', other: 'other' },
  },
);

let broker: FreshBroker;
let control: ControlPlane;
let bare: NatsConnection;
const refusals: string[] = [];

beforeAll(async () => {
  broker = await freshBroker({ accounts });
  await provisionHosts(broker, [HOST, 'other'], { agents: ['calm'] });
  control = await startControlPlane({ broker, services: [createHostsService({ version: 'test' })] });
  bare = await connect({
    servers: broker.url,
    user: hostUser(HOST),
    pass: 'forge',
    inboxPrefix: hostInboxPrefix(HOST),
  });
  void (async () => {
    for await (const status of bare.status())
      if (status.type === 'error') refusals.push(status.error.message);
  })();
});
afterAll(async () => {
  await bare.close();
  expect(control.fatal).toEqual([]);
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

test('a host works whole under its own user', async () => {
  const host = await startHost({
    broker: { ...broker, user: hostUser(HOST), password: 'forge' },
    folders: hostFolders(['calm']),
    config: { onStop: 'end' },
    inboxPrefix: hostInboxPrefix(HOST),
  });
  try {
    const spawn = await spawnAgent(control.ports, 'calm');
    await hostReported(control.ports, 'spawn-started', spawn.spawnId);
    await shutDown(control.ports, spawn);
    await hostReported(control.ports, 'agent-exited', spawn.spawnId);
    await expect
      .poll(async () => (await control.ports.bucket('hosts').get(`local.main.${HOST}`)) !== undefined)
      .toBe(true);
  } finally {
    await host.stop();
  }
  expect(host.fatal).toEqual([]);
});

test.each([
  ['report as another host', typedSubject(BOUNDARY, 'evt', 'other', 'spawn-started')],
  ['report as an agent', typedSubject(BOUNDARY, 'evt', 'calm', 'text')],
  ['instruct anybody', typedSubject(BOUNDARY, 'cmd', 'other', 'agent-spawn')],
  [
    'pull the instructions of another host',
    `$JS.API.CONSUMER.MSG.NEXT.COMMANDS.${hostConsumerName(BOUNDARY, 'other')}`,
  ],
  ['pull those of an agent', `$JS.API.CONSUMER.MSG.NEXT.COMMANDS.${runnerConsumerName(BOUNDARY, 'calm')}`],
  ['acknowledge for another host', `$JS.ACK.COMMANDS.${hostConsumerName(BOUNDARY, 'other')}.1.1.1.1.1`],
  ['announce another host', agentRequestSubject({ ...BOUNDARY, agent: 'other' }, 'hosts', 'announce')],
  ['announce a runner', agentRequestSubject({ ...BOUNDARY, agent: 'calm' }, 'runs', 'announce')],
  ['drain a host', requestSubject(BOUNDARY, 'hosts', 'drain')],
  ['add an agent', requestSubject(BOUNDARY, 'identity', 'add-agent')],
  ['look at a stream', '$JS.API.STREAM.INFO.TRANSITIONS'],
])('a host may not %s', async (_what, subject) => {
  const before = refusals.length;
  bare.publish(subject, '{}');
  await bare.flush();
  await expect.poll(() => refusals.length).toBeGreaterThan(before);
  expect(refusals.at(-1)).toContain(subject);
});

test('a host may not listen to anything but its own answers', async () => {
  const before = refusals.length;
  bare.subscribe('fleet.>');
  bare.subscribe(`${hostInboxPrefix('other')}.>`);
  await bare.flush();
  await expect.poll(() => refusals.length).toBe(before + 2);
});

test('an agent and a host of one name are refused: each name is one broker user’s', () => {
  expect(() =>
    accountsOf(
      { agents: [{ ...BOUNDARY, agent: 'x' }], hosts: [{ ...BOUNDARY, host: 'x' }] },
      {
        systemPassword: '',
        controlPassword: '',
        viewerPassword: '',
        runnerPasswords: { x: '1' },
        hostPasswords: { x: '2' },
      },
    ),
  ).toThrow('each needs a name of its own');
});
