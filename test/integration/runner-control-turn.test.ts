// A program in a turn of a real runner talks to the control endpoint with what its environment says.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askLocally } from '#libs/local-http/ask-locally.ts';
import { systemClock } from '#libs/system/clock.ts';
import { runs } from '#services/runs/service.ts';
import { freshBroker, type FreshBroker } from '#test/support/broker.ts';
import { provision, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import { createRun } from '#test/support/run-facts.ts';
import {
  ended,
  reportsOf,
  runnerFolders,
  startRunner,
  type RunnerFolders,
} from '#test/support/runner-rig.ts';

/** Posts to the endpoint as any program can, without a package: address and token are in its environment. */
const PROGRAM = `
import { request } from 'node:http';
import { writeFileSync } from 'node:fs';
const { FLEETLOG_CONTROL: address, FLEETLOG_TURN_TOKEN: token } = process.env;
const ask = (method, path, body) => new Promise((resolve, reject) => {
  const options = { socketPath: address.slice(5), method, path, headers: { authorization: 'Bearer ' + token } };
  const sent = request(options, (answer) => {
    let text = '';
    answer.on('data', (part) => (text += part)).on('end', () => resolve(JSON.parse(text)));
  });
  sent.on('error', reject).end(body && JSON.stringify(body));
});
writeFileSync('access.json', JSON.stringify({ address, token }));
console.log(JSON.stringify({ type: 'text', text: JSON.stringify(await ask('GET', '/v1/status')) }));
await ask('POST', '/v1/session-turn', { text: 'said by the way' });
console.log(JSON.stringify({ type: 'text', text: JSON.stringify(await ask('POST', '/v1/done', { summary: 'all of it' })) }));
console.log(JSON.stringify({ type: 'result', outcome: 'done', summary: 'printed' }));
`;

let broker: FreshBroker;
let control: ControlPlane;
let runner: ControlPlane;
let folders: RunnerFolders;

beforeAll(async () => {
  broker = await freshBroker();
  await provision(broker);
  control = await startControlPlane({ broker, services: [runs] });
  folders = runnerFolders();
  runner = await startRunner({ broker, folders });
});
afterAll(async () => {
  expect([...control.fatal, ...runner.fatal]).toEqual([]);
  await runner.stop();
  await control.stop();
  await broker[Symbol.asyncDispose]();
});

test('RN-04 RN-07 WK-11 a program speaks for its turn while the turn lasts, and its endpoint goes with the runner', async () => {
  // In a file: what a run asks for is stored without its secrets, and a line that sends a token looks like one.
  const path = join(dirname(folders.dataDir), 'program.mjs');
  writeFileSync(path, PROGRAM);
  const program = [process.execPath, path];
  const request = { prompt: 'Say it.', program, workspace: 'talk', turnTimeoutMs: 30_000 };
  const runId = await createRun(control.ports, { request });
  expect(await ended(control.ports, runId)).toMatchObject({
    type: 'fleetlog.run.completed.v1',
    result: { outcome: 'done' },
  });
  const reports = await reportsOf(control.ports, runId);
  const told = reports.filter(({ name }) => ['text', 'prompt-echoed', 'turn-signalled'].includes(name));
  expect(told.map(({ name, data }) => [name, data])).toMatchObject([
    ['prompt-echoed', { text: 'Say it.', origin: 'run' }],
    ['text', { text: expect.stringContaining('"controlPlane":"connected"') }],
    ['text', { text: 'said by the way' }],
    ['turn-signalled', { outcome: 'done', summary: 'all of it' }],
    ['text', { text: '{"state":"kept"}' }],
  ]);
  expect(new Set(told.map(({ data }) => 'turnId' in data && data.turnId)).size).toBe(1);

  const access = JSON.parse(readFileSync(join(folders.workspaceRoot, 'talk', 'access.json'), 'utf8')) as {
    address: string;
    token: string;
  };
  expect(access.address).toBe(`unix:${join(folders.dataDir, 'control.sock')}`);
  const late = await askLocally({ ...access, method: 'POST', path: '/v1/done', body: {} }, systemClock);
  expect(late).toMatchObject({ status: 410, body: { code: 'TURN_OVER' } });

  await runner.stop();
  expect(existsSync(join(folders.dataDir, 'control.sock'))).toBe(false);
  expect(existsSync(join(folders.dataDir, 'control.json'))).toBe(false);
});
