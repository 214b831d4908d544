// The service `identity` beside a nats-server that reads streams/nats.conf, as in containers: a new agent has a password, consumers and a
// user at the running broker; a start of the deployment anew keeps all of them; a server that refuses its files is told of.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findFreePort } from '#libs/broker/free-port.ts';
import { askRequest } from '#libs/service/ask-request.ts';
import { systemClock } from '#libs/system/clock.ts';
import { createDeploymentIdentity } from '#services/deployment-identity.ts';
import { provisionShape } from '#services/provisioning.ts';
import { secretsOf, shapeOf } from '#services/stack-identity.ts';
import { connectTo } from '#services/wire.ts';
import { runnerInboxPrefix } from '#streams/accounts.ts';
import { runnerConsumerName } from '#streams/consumers.ts';
import { IDENTITY_REQUESTS } from '#streams/identity-requests.ts';
import { requestSubject } from '#streams/subjects.ts';
import { scratchDir, testExecutable } from '#test/support/broker.ts';
import { BOUNDARY, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';

const root = scratchDir('deployment');
const places = { dir: join(root, 'secrets'), credentialsDir: join(root, 'credentials') };
const FIRST = { agents: [{ ...BOUNDARY, agent: 'builder-1' }], hosts: [{ ...BOUNDARY, host: 'local' }] };
const CONF = join(import.meta.dirname, '../../streams/nats.conf');

let control: ControlPlane;
let url: string;
let server: ReturnType<typeof spawn>;

beforeAll(async () => {
  const [port, monitorPort] = [await findFreePort('127.0.0.1'), await findFreePort('127.0.0.1')];
  url = `nats://127.0.0.1:${port}`;
  const text = readFileSync(CONF, 'utf8')
    .replace('0.0.0.0:4222', `127.0.0.1:${port}`)
    .replace('0.0.0.0:8222', `127.0.0.1:${monitorPort}`)
    .replaceAll('"/data/', `"${root}/`);
  writeFileSync(join(root, 'fleetlog.conf'), text);
  const secrets = await secretsOf(places, FIRST);
  server = spawn(await testExecutable(), ['-c', join(root, 'fleetlog.conf')], { stdio: 'ignore' });
  const access = { servers: [url], name: 'test', user: 'control', password: secrets.controlPassword };
  await provisionShape({ ...access, waitMs: 20_000 }, FIRST);
  control = await startControlPlane({
    broker: { url, user: 'control', password: secrets.controlPassword },
    services: [createDeploymentIdentity()],
    config: { identity: { secretsDir: places.dir, credentialsDir: places.credentialsDir, brokerUrl: [url] } },
  });
});
afterAll(async () => {
  await control.stop();
  server.kill('SIGKILL');
  await once(server, 'exit');
});

const addAgents = (...agents: readonly string[]) =>
  askRequest(control.ports.requests.client, {
    subject: requestSubject(BOUNDARY, 'identity', 'add-agents'),
    request: { agents, actor: 'user:test' },
    answer: IDENTITY_REQUESTS['add-agents'].answer,
    timeoutMs: 20_000,
  });

/** Connects as the runner of an agent, and pulls from its consumer. */
const dialAs = async (agent: string): Promise<void> => {
  const password = readFileSync(join(places.credentialsDir, `runner-${agent}-password`), 'utf8').trim();
  const inboxPrefix = runnerInboxPrefix(agent);
  const access = { servers: [url], name: agent, user: `runner-${agent}`, password, inboxPrefix };
  const connection = await connectTo(access, systemClock);
  const subject = `$JS.API.CONSUMER.MSG.NEXT.COMMANDS.${runnerConsumerName(BOUNDARY, agent)}`;
  const answer = await connection.nc.request(subject, '{"batch":1,"no_wait":true}');
  expect(answer.headers?.code).toBe(404);
  await connection.close();
};

test('new agents are let in at once, each with a password of its own; a host’s name is left alone', async () => {
  const answer = await addAgents('heron', 'gull', 'local', 'builder-1');
  expect(answer).toMatchObject({
    outcome: 'ok',
    result: {
      agents: [
        { agent: 'heron', outcome: 'added', user: 'runner-heron' },
        { agent: 'gull', outcome: 'added' },
        { agent: 'local', outcome: 'taken', credential: '' },
        { agent: 'builder-1', outcome: 'there' },
      ],
    },
  });
  await Promise.all(['heron', 'gull', 'builder-1'].map(dialAs));
  expect(statSync(join(places.credentialsDir, 'runner-heron-password')).mode & 0o077).toBe(0);
  expect(() => statSync(join(places.dir, 'runner-heron-password'))).toThrow();
  expect(() => statSync(join(places.credentialsDir, 'control-password'))).toThrow();
});

test('a start of the deployment anew writes the same users', async () => {
  const before = readFileSync(join(places.dir, 'runners.conf'), 'utf8');
  await secretsOf(places, await shapeOf(places.dir, FIRST));
  expect(readFileSync(join(places.dir, 'runners.conf'), 'utf8')).toBe(before);
});

test('a broker that does not take its files up is a fault to try again, and everybody stays connected', async () => {
  const conf = readFileSync(join(root, 'fleetlog.conf'), 'utf8');
  writeFileSync(join(root, 'fleetlog.conf'), `${conf}\nnonsense {{{`);
  expect(await addAgents('plover')).toMatchObject({ outcome: 'fault', code: 'BROKER_RELOAD_FAILED' });
  writeFileSync(join(root, 'fleetlog.conf'), conf);
  // Half made: the repeat does the rest, and makes no second password.
  const password = readFileSync(join(places.credentialsDir, 'runner-plover-password'), 'utf8');
  await addAgents('plover');
  expect(readFileSync(join(places.credentialsDir, 'runner-plover-password'), 'utf8')).toBe(password);
  await dialAs('plover');
});
