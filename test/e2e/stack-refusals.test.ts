// What the running stack refuses: bad input over HTTP and on the command line. Each refusal has its code, its status or exit code, a
// JSON form for programs, and leaves the streams as they were.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runFleetlog } from '#services/command-line.ts';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { stackLog, type StackLog } from '#test/support/stack-log.ts';
import { api, stackHome, type StackHome, type UpStack } from '#test/support/stack.ts';
import { recordedTerminal } from '#test/support/recorded-terminal.ts';

let home: StackHome;
let stack: UpStack;
let streams: StackLog;

beforeAll(async () => {
  home = await stackHome('refusals');
  stack = await home.up();
  streams = await stackLog(home);
  // The stack's own host says for the first time that it is there; after that nothing moves by itself.
  await vi.waitFor(
    async () =>
      expect((await api(stack.apiUrl, '/api/v1/hosts')).body).toMatchObject({
        hosts: [{ host: 'local', state: 'online' }],
      }),
    { timeout: 20_000 },
  );
});
afterAll(async () => {
  await streams[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
});

const unknownRun = 'run_01KAJ5M8E0R3YV1D6C2T9ZQ4XB';
const json = { 'content-type': 'application/json' };
const run = (changes: object): string => JSON.stringify({ prompt: 'x', ...changes });

interface BadRequest {
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body: string;
  readonly status: number;
  readonly code: string;
}

const BAD_REQUESTS: Readonly<Record<string, BadRequest>> = {
  'malformed JSON': { body: '{"prompt": ', status: 400, code: 'INPUT_MALFORMED' },
  'an unknown field': { body: run({ promt: 'y' }), status: 400, code: 'INPUT_INVALID' },
  'an oversize body': { body: run({ prompt: 'x'.repeat(2_000_000) }), status: 413, code: 'INPUT_TOO_LARGE' },
  'an oversize prompt': { body: run({ prompt: 'x'.repeat(200_001) }), status: 400, code: 'INPUT_INVALID' },
  'a bad name': { body: run({ agent: 'a.b.>' }), status: 400, code: 'INPUT_INVALID' },
  'a path as a workspace': { body: run({ workspace: '../x' }), status: 400, code: 'INPUT_INVALID' },
  'a wrong content type': {
    headers: { 'content-type': 'text/plain' },
    body: run({}),
    status: 415,
    code: 'CONTENT_TYPE_UNSUPPORTED',
  },
  'an unknown agent': { body: run({ agent: 'nobody' }), status: 404, code: 'AGENT_UNKNOWN' },
  'a wrong tenant': { body: run({ tenant: 'other' }), status: 403, code: 'BOUNDARY_DENIED' },
  'an unknown session': {
    body: run({ session: 'ses_01KAJ5M8E0H7N2WQ5F8P1KDT6S' }),
    status: 404,
    code: 'SESSION_UNKNOWN',
  },
  'an unknown run': {
    path: `/api/v1/runs/${unknownRun}/cancel`,
    body: '{}',
    status: 404,
    code: 'RUN_UNKNOWN',
  },
};

describe('over HTTP', () => {
  for (const [name, { path = '/api/v1/runs', headers = json, body, status, code }] of Object.entries(
    BAD_REQUESTS,
  ))
    test(`${name} is refused with ${status} ${code} and nothing is appended`, async () => {
      const before = await streams.lastSeqs();
      const answer = await api(stack.apiUrl, path, { method: 'POST', headers, body });
      expect(answer).toMatchObject({
        status,
        body: { status, code, requestId: expect.any(String) as unknown },
      });
      expect(await streams.lastSeqs()).toEqual(before);
    });
});

interface BadCommand {
  readonly args: readonly string[];
  readonly exit: number;
  readonly code: string;
  readonly says: RegExp;
}

const BAD_COMMANDS: readonly BadCommand[] = [
  { args: ['dance'], exit: 2, code: 'ARGUMENT_INVALID', says: /unknown command 'dance'/ },
  { args: ['run', 'strat'], exit: 2, code: 'ARGUMENT_INVALID', says: /start/ },
  { args: ['run', 'list', '--colour'], exit: 2, code: 'ARGUMENT_INVALID', says: /unknown option '--colour'/ },
  { args: ['run', 'show'], exit: 2, code: 'ARGUMENT_INVALID', says: /missing required argument 'run'/ },
  { args: ['run', 'start', ' '], exit: 2, code: 'ARGUMENT_INVALID', says: /a prompt is needed/ },
  {
    args: ['run', 'start', 'x', '--lease-ms', 'long'],
    exit: 2,
    code: 'ARGUMENT_INVALID',
    says: /--lease-ms "long"/,
  },
  {
    args: ['run', 'start', 'x', '--agent', 'nobody'],
    exit: 1,
    code: 'AGENT_UNKNOWN',
    says: /no runner is set up for agent nobody/,
  },
  { args: ['run', 'start', 'x', '--workspace', '../x'], exit: 1, code: 'INPUT_INVALID', says: /workspace/ },
  { args: ['run', 'start', 'x', '--replay', 'never'], exit: 1, code: 'INPUT_INVALID', says: /replay/ },
  { args: ['run', 'show', unknownRun], exit: 1, code: 'RUN_UNKNOWN', says: /no run / },
  { args: ['run', 'watch', unknownRun], exit: 1, code: 'RUN_UNKNOWN', says: /no run / },
  { args: ['run', 'cancel', 'nonsense'], exit: 1, code: 'RUN_UNKNOWN', says: /no run / },
  { args: ['run', 'list', '--limit', 'none'], exit: 1, code: 'INPUT_INVALID', says: /limit/ },
  { args: ['sessions', 'show', 'ses_x'], exit: 1, code: 'SESSION_UNKNOWN', says: /./ },
  { args: ['replay', '--from', 'yesterday'], exit: 2, code: 'ARGUMENT_INVALID', says: /--from "yesterday"/ },
  { args: ['replay', '--from', '5'], exit: 2, code: 'ARGUMENT_INVALID', says: /needs one stream/ },
  {
    args: ['replay', '--stream', 'LOGS'],
    exit: 2,
    code: 'ARGUMENT_INVALID',
    says: /there are EVENTS, COMMANDS/,
  },
  {
    args: ['replay', '--subject', 'other.>'],
    exit: 2,
    code: 'ARGUMENT_INVALID',
    says: /no stream has such subjects/,
  },
  { args: ['replay', '--subject', 'fleet..x'], exit: 2, code: 'ARGUMENT_INVALID', says: /fleet\.\.x/ },
  { args: ['tail', '--limit', 'many'], exit: 2, code: 'ARGUMENT_INVALID', says: /--limit "many"/ },
  {
    args: ['projections', 'rebuild', 'nothing'],
    exit: 2,
    code: 'ARGUMENT_INVALID',
    says: /there are runs, sessions, activity/,
  },
  {
    args: ['verify', 'nothing'],
    exit: 2,
    code: 'ARGUMENT_INVALID',
    says: /there are runs, sessions, activity/,
  },
  { args: ['provision', '--replicas', '2'], exit: 2, code: 'ARGUMENT_INVALID', says: /expected 1, 3 or 5/ },
  { args: ['provision', '--agents', 'No Name'], exit: 2, code: 'ARGUMENT_INVALID', says: /./ },
  { args: ['secrets', 'show', '../passwd'], exit: 2, code: 'ARGUMENT_INVALID', says: /./ },
  {
    args: ['secrets', 'show', 'nothing'],
    exit: 1,
    code: 'SECRET_UNREADABLE',
    says: /nothing cannot be read/,
  },
  { args: ['run', 'list', '--data', ''], exit: 2, code: 'ARGUMENT_INVALID', says: /expected a directory/ },
  {
    args: ['up', '--data', '/dev/null', '--port', '0'],
    exit: 1,
    code: 'DATA_DIR_UNUSABLE',
    says: /dev.null/,
  },
  { args: ['up', '--port', 'seven'], exit: 2, code: 'ARGUMENT_INVALID', says: /--port "seven"/ },
  { args: ['up', '--agent', 'No Name', '--port', '0'], exit: 2, code: 'ARGUMENT_INVALID', says: /./ },
  {
    args: ['run', 'list', '--data', '/nowhere'],
    exit: 3,
    code: 'CONNECTION_UNKNOWN',
    says: /no running stack found/,
  },
  {
    args: ['run', 'list', '--api-url', 'http://127.0.0.1:9'],
    exit: 3,
    code: 'API_UNREACHABLE',
    says: /127\.0\.0\.1:9/,
  },
  { args: ['run', 'list', '--api-url', 'nonsense'], exit: 2, code: 'ARGUMENT_INVALID', says: /apiUrl/ },
];

interface Said {
  readonly exit: number;
  readonly out: string;
  readonly note: string;
}

/** A command line in this process: the real one but for its terminal. */
const command = async (args: readonly string[]): Promise<Said> => {
  const { terminal, out, note } = recordedTerminal();
  const exit = await runFleetlog(args, {
    terminal,
    environment: { FLEETLOG_DATA: home.dataDir },
    workingDirectory: home.dataDir,
    signal: new AbortController().signal,
    readStandardInput: () => Promise.resolve(undefined),
  });
  return { exit, out: out.join('\n'), note: note.join('\n') };
};

describe('on the command line', () => {
  for (const { args, exit, code, says } of BAD_COMMANDS)
    test(`fleetlog ${args.join(' ')} is refused with ${exit} ${code}, for people and for programs`, async () => {
      const before = await streams.lastSeqs();
      expect(await command(args)).toEqual({ exit, out: '', note: expect.stringMatching(says) as unknown });
      const asJson = await command([...args, '--json']);
      expect(asJson).toMatchObject({ exit, note: '' });
      expect(JSON.parse(asJson.out)).toMatchObject({
        error: {
          code,
          message: expect.stringMatching(says) as unknown,
          retry: expect.stringMatching(/./) as unknown,
        },
      });
      expect(await streams.lastSeqs()).toEqual(before);
    });

  test('the exit codes and the two forms are those of the process', async () => {
    const [usage, refused, away] = await Promise.all([
      home.cli(['replay', '--stream', 'LOGS']),
      home.cli(['run', 'show', unknownRun, '--json']),
      home.cli(['run', 'list', '--api-url', 'http://127.0.0.1:9', '--json']),
    ]);
    expect(usage).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^error ARGUMENT_INVALID: /) as unknown,
    });
    expect(refused).toMatchObject({ code: 1, stderr: '' });
    expect(refused.json()).toMatchObject({ error: { code: 'RUN_UNKNOWN' } });
    expect(away).toMatchObject({ code: 3, stderr: '' });
    expect(away.json()).toMatchObject({ error: { code: 'API_UNREACHABLE', retry: 'later' } });
  });

  test('a connection file that cannot be read is named, and so is a stack that has gone', async () => {
    const dir = join(home.dataDir, 'elsewhere');
    mkdirSync(dir);
    writeFileSync(join(dir, 'connection.json'), 'not JSON');
    expect(await command(['run', 'list', '--data', dir])).toMatchObject({
      exit: 1,
      note: expect.stringMatching(/^error CONNECTION_INVALID: .*elsewhere/) as unknown,
    });
    const gone = { ...home.connection(), natsUrl: 'nats://127.0.0.1:9', apiUrl: 'http://127.0.0.1:9' };
    writeFileSync(join(dir, 'connection.json'), JSON.stringify(gone));
    expect(await command(['run', 'list', '--data', dir])).toMatchObject({
      exit: 3,
      note: expect.stringMatching(/^error API_UNREACHABLE: .*Is the stack running/) as unknown,
    });
    expect(await command(['replay', '--data', dir])).toMatchObject({
      exit: 3,
      note: expect.stringMatching(/^error BROKER_UNREACHABLE: /) as unknown,
    });
  });
});
