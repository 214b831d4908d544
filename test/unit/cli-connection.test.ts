// Where the command line finds the stack: flags, then variables, then the file in the data directory.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CONNECTION_FILE, findConnection } from '#services/cli/connection.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'fleetlog-connection-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const FILE = {
  natsUrl: 'nats://127.0.0.1:1',
  natsUser: 'control',
  natsPassword: 'p',
  apiUrl: 'http://127.0.0.1:2',
  tenant: 't',
  project: 'q',
};
const writeFileAs = (text: string) => writeFile(join(dir, CONNECTION_FILE), text);

test('the file of a running stack is enough', async () => {
  await writeFileAs(JSON.stringify(FILE));
  expect(await findConnection({ data: dir }, {}, '/')).toEqual(FILE);
});

test('a variable wins over the file, a flag over the variable', async () => {
  await writeFileAs(JSON.stringify(FILE));
  const environment = {
    FLEETLOG_NATS_URL: 'nats://env:1',
    FLEETLOG_API_URL: 'http://env:2',
    FLEETLOG_DATA: dir,
  };
  expect(await findConnection({ apiUrl: 'http://flag:3' }, environment, '/')).toMatchObject({
    natsUrl: 'nats://env:1',
    apiUrl: 'http://flag:3',
    natsPassword: 'p',
  });
});

test('a password may be in a file of its own', async () => {
  await writeFile(join(dir, 'secret'), 's3cret\n');
  const environment = { FLEETLOG_NATS_URL: 'nats://x:1', FLEETLOG_NATS_PASSWORD_FILE: join(dir, 'secret') };
  expect(await findConnection({ data: dir }, environment, '/')).toMatchObject({ natsPassword: 's3cret' });
});

test('no stack: the error says how to start one', async () => {
  await expect(findConnection({ data: dir }, {}, '/')).rejects.toMatchObject({
    code: 'CONNECTION_UNKNOWN',
    message: expect.stringContaining('npm start') as string,
  });
});

test.each(['{', '{}', '[]', '{"natsUrl":1}'])('a file that holds %s is refused by name', async (text) => {
  await writeFileAs(text);
  await expect(findConnection({ data: dir }, {}, '/')).rejects.toMatchObject({
    code: 'CONNECTION_INVALID',
    message: expect.stringContaining(CONNECTION_FILE) as string,
  });
});
