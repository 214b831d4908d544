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
  reported,
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

/** Says its last words when it is told to end. */
const LAST_WORDS = `
import { request } from 'node:http';
const { FLEETLOG_CONTROL: address, FLEETLOG_TURN_TOKEN: token } = process.env;
process.on('SIGTERM', () => {
  const headers = { authorization: 'Bearer ' + token };
  const sent = request({ socketPath: address.slice(5), method: 'POST', path: '/v1/session-end', headers }, (answer) => {
    answer.resume().on('end', () => process.exit(0));
  });
  sent.end(JSON.stringify({ reason: 'told to end' }));
});
console.log(JSON.stringify({ type: 'text', text: 'ready' }));
setInterval(() => undefined, 1000);
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

/** In a file: what a run asks for is stored without its secrets, and a line that sends a token looks like one. */
const programOf = (source: string): string[] => {
  const path = join(dirname(folders.dataDir), `program-${source.length}.mjs`);
  writeFileSync(path, source);
  return [process.execPath, path];
};

const entriesOf = async (stream: string): Promise<number> => {
  let entries = 0;
  for await (const _ of control.ports.log(stream).replay()) entries += 1;
  return entries;
};

test('RN-04 RN-05 RN-07 a program speaks for its turn while the turn lasts, and nobody is told what it says but those who watch', async () => {
  const program = programOf(PROGRAM);
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

  // What is mirrored is for watching: it comes back to no program, as mail or as an instruction.
  expect(await entriesOf('MESSAGES')).toBe(0);
  expect(await entriesOf('COMMANDS')).toBe(1);
});

test('RN-02 WK-10 WK-11 what a program says while its runner stops is kept and delivered, and the endpoint goes with the runner', async () => {
  const request = { prompt: 'Wait.', program: programOf(LAST_WORDS), turnTimeoutMs: 30_000 };
  const runId = await createRun(control.ports, { request });
  await reported(control.ports, runId, ({ name }) => name === 'text');
  await runner.stop();
  const reports = await reportsOf(control.ports, runId);
  expect(reports.map(({ name }) => name)).toEqual([
    'turn-started',
    'prompt-echoed',
    'text',
    'session-ended',
    'turn-finished',
  ]);
  expect(reports[3]).toMatchObject({ data: { reason: 'told to end', providerSessionId: null } });
  expect(existsSync(join(folders.dataDir, 'control.sock'))).toBe(false);
  expect(existsSync(join(folders.dataDir, 'control.json'))).toBe(false);
});
