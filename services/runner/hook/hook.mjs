// `fleetlog hook <name>`: carries what a program gives its hook to the runner's control endpoint and prints the answer. Plain
// JavaScript and no HTTP client on purpose: it is started for every hook, and stripping types and loading a client take longer than the rest.
//
// A hook never hangs and never breaks the program: when nobody answers in time it says so on standard error and lets the program
// go on, except before a tool call, which must not go on unasked (exit code 2).
import { connect } from 'node:net';
import { env } from 'node:process';
import { setTimeout as ring } from 'node:timers';

const WITHIN_MS = Number(env.FLEETLOG_HOOK_WITHIN_MS) || 8000;
const LIMIT_BYTES = 8 * 1024 * 1024;
const CLOSED_HOOKS = new Set(['pre-tool-use']);
const HELP = `fleetlog hook <name>: what hook settings of Claude Code and Codex call.
Reads the hook's JSON from standard input, asks the runner, prints the answer in the program's own words.
Names: stop, user-prompt-submit, session-end, pre-tool-use, permission-request.
It works inside a turn of a runner only (FLEETLOG_CONTROL and FLEETLOG_TURN_TOKEN are set there).
Without an answer within ${WITHIN_MS} ms the program goes on; pre-tool-use refuses the call instead (exit code 2).
`;

const readAll = (stream) =>
  new Promise((resolve, reject) => {
    const chunks = [];
    let size = 0;
    stream.on('data', (chunk) => {
      size += chunk.length;
      if (size > LIMIT_BYTES) reject(new Error(`the input is over ${LIMIT_BYTES} bytes`));
      else chunks.push(chunk);
    });
    stream.on('end', () => resolve(Buffer.concat(chunks)));
    stream.on('error', reject);
  });

const addressOf = (text) => {
  if (text?.startsWith('unix:')) return { path: text.slice(5) };
  const [, host, port] = /^http:\/\/([\w.]+):(\d+)$/.exec(text ?? '') ?? [];
  if (host === undefined) throw new Error('FLEETLOG_CONTROL is not set: this is no turn of a runner');
  return { host, port: Number(port) };
};

/** One request on one connection, which the server closes. Resolves with status and body. */
const post = async (path, body) => {
  const socket = connect(addressOf(env.FLEETLOG_CONTROL));
  const answer = readAll(socket);
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: control\r\nauthorization: Bearer ${env.FLEETLOG_TURN_TOKEN ?? ''}\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n`,
  );
  socket.write(body);
  const text = (await answer).toString('utf8');
  const at = text.indexOf('\r\n\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
  if (at < 0 || status === 0) throw new Error('the runner went away');
  return { status, body: text.slice(at + 4) };
};

/** Started as `fleetlog hook <name>`, or by itself with the name. */
const [name = ''] = process.argv.slice(process.argv[2] === 'hook' ? 3 : 2);

const fail = (error) => {
  const isClosed = CLOSED_HOOKS.has(name);
  const end = isClosed ? 'the call is refused' : 'the program goes on without it';
  process.stderr.write(`fleetlog hook ${name}: ${error}; ${end}\n`, () => process.exit(isClosed ? 2 : 0));
};

const tell = async (error) => {
  try {
    await post('/v1/hook-fatal', Buffer.from(JSON.stringify({ hook: name || 'unnamed', error })));
  } catch {
    // Whoever could be told is not there.
  }
};

const run = async () => {
  const input = await readAll(process.stdin);
  const { status, body } = await post(`/v1/hooks/${name}`, input);
  if (status === 200) {
    process.stdout.write(body === '{}' ? '' : `${body}\n`, () => process.exit(0));
    return;
  }
  const error = `the runner answered ${status}: ${body.slice(0, 1000)}`;
  await tell(error);
  fail(error);
};

if (name === '--help' || name === '-h' || name === '') {
  process.stdout.write(HELP);
  process.exitCode = name === '' ? 2 : 0;
} else {
  ring(() => fail(`no answer within ${WITHIN_MS} ms`), WITHIN_MS);
  run().catch(async (error) => {
    const message = error instanceof Error ? error.message : String(error);
    await tell(message);
    fail(message);
  });
}
