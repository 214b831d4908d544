// A server that did not come up is reported with its reason, its code and its last lines.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createLogTail } from '#libs/broker/log-tail.ts';
import { startFailure, storeFailure } from '#libs/broker/start-failure.ts';

const STAMP = '[42] 2026/11/21 07:19:54.342003';

test.each([
  [
    '[FTL] Error listening on port: "127.0.0.1:4222", "listen tcp: bind: address already in use"',
    'BROKER_PORT_IN_USE',
    'later',
  ],
  ['[FTL] Error creating stream store: write: no space left on device', 'BROKER_DISK_FULL', 'later'],
  ["[FTL] Can't start JetStream: mkdir /data: permission denied", 'BROKER_STORE_UNWRITABLE', 'never'],
  ['[FTL] something nobody has seen', 'BROKER_START_FAILED', 'later'],
])('%s', (line, code, retry) => {
  const lines = [`${STAMP} [INF] Starting nats-server`, `${STAMP} ${line}`];
  const fault = startFailure({ code: 1, signal: null }, lines, { executable: 'x' });
  expect(fault).toMatchObject({ code, retry });
  expect(fault.message).toContain(line);
  expect(fault.detail).toMatchObject({ executable: 'x', lastLines: lines });
});

test('a configuration the server refuses is told in its own words', () => {
  const fault = startFailure(
    { code: 1, signal: null },
    ["nats-server: Parse error on line 6: 'Expected a map'"],
    {},
  );
  expect(fault.code).toBe('BROKER_CONFIG_INVALID');
  expect(fault.message).toContain("The broker did not start: Parse error on line 6: 'Expected a map'.");
});

test('a server that says nothing is described by how it ended', () => {
  expect(startFailure({ code: null, signal: 'SIGKILL' }, [], {}).message).toBe(
    'The broker did not start: it was ended by SIGKILL.',
  );
  expect(startFailure('timeout', [], {}).message).toBe(
    'The broker did not start: it did not become ready in time.',
  );
});

test('a full disk and a foreign directory are told apart', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  expect(storeFailure('/data', full)).toMatchObject({
    code: 'BROKER_DISK_FULL',
    retry: 'later',
    cause: full,
  });
  expect(storeFailure('/data', new Error('database or disk is full'))).toMatchObject({
    code: 'BROKER_DISK_FULL',
  });
  const foreign = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
  expect(storeFailure('/data', foreign)).toMatchObject({ code: 'BROKER_STORE_UNWRITABLE', retry: 'never' });
});

test('the log keeps whole lines out of pieces, a limited number of them, and all of it in the file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fleetlog-log-'));
  const path = join(folder, 'nats.log');
  const log = createLogTail(path);
  log.write('first li');
  log.write('ne\nsecond line\nthi');
  expect(log.lines()).toEqual(['first line', 'second line', 'thi']);
  for (let line = 0; line < 1000; line += 1) log.write(`line ${line}\n`);
  expect(log.lines()).toHaveLength(400);
  expect(log.lines().at(-1)).toBe('line 999');
  log.close();
  expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(1003);
  rmSync(folder, { recursive: true });
});
