// An agent of the Agent Client Protocol that does what its prompt says: a JSON array of steps. Run as a program; its one argument is a JSON
// object that says what kind of agent it is (see `Persona` in acp-rig.ts). Keeps its conversations in a file of its folder, so that another process
// can go on with them. Plain Node; it can misbehave in every way that the tests need, and knows nothing of the code under test.
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const persona = JSON.parse(process.argv[2] ?? '{}');
const {
  name = 'scripted',
  version = '1.2.3',
  protocolVersion = 1,
  canResume = true,
  canLoad = true,
  afterReject = 'goes-on',
  usage = { inputTokens: 10, outputTokens: 2, cachedReadTokens: 5, cachedWriteTokens: 0 },
} = persona;

const FILE = '.conversations.json';
const conversations = () => (existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : {});
const remember = (id, prompts) => writeFileSync(FILE, JSON.stringify({ ...conversations(), [id]: prompts }));
const log = (what) => appendFileSync('agent.log', `${process.pid} ${what}\n`);

let isStdoutOpen = true;
const print = (text) => {
  if (!isStdoutOpen) return;
  for (let rest = Buffer.from(text); rest.length > 0;) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
};
const say = (message) => print(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);

let lastId = 100;
const waiting = new Map();
const ask = (method, params) =>
  new Promise((resolve) => {
    lastId += 1;
    waiting.set(lastId, resolve);
    say({ id: lastId, method, params });
  });

/** The prompt under way. */
let turn;
const update = (sessionId, body) => say({ method: 'session/update', params: { sessionId, update: body } });
const words = (kind, text) => ({ sessionUpdate: kind, content: { type: 'text', text } });
const never = () => new Promise(() => {});

const OPTIONS = [
  { optionId: 'yes-1', name: 'Yes', kind: 'allow_once' },
  { optionId: 'yes-all', name: 'Always', kind: 'allow_always' },
  { optionId: 'no-1', name: 'No', kind: 'reject_once' },
];

const askPermission = async (sessionId, { id, title = 'touch it', input, options = OPTIONS }) => {
  const toolCall = {
    toolCallId: id,
    title,
    kind: 'execute',
    ...(input !== undefined && { rawInput: input }),
  };
  const { result } = await ask('session/request_permission', { sessionId, toolCall, options });
  const { outcome, optionId } = result.outcome;
  log(`answer ${id} ${optionId ?? outcome}`);
  if (outcome !== 'selected') return 'cancelled';
  const isAllowed = options.some((option) => option.optionId === optionId && option.kind.startsWith('allow'));
  const status = isAllowed ? 'completed' : 'failed';
  update(sessionId, { sessionUpdate: 'tool_call_update', toolCallId: id, status });
  return isAllowed ? 'allowed' : 'rejected';
};

const background = ({ ignoresTerm = false }) => {
  const source = `${ignoresTerm ? "process.on('SIGTERM', () => {});" : ''} setInterval(() => {}, 1000); process.send('up')`;
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['-e', source], {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    child.once('message', () => {
      log(`background ${child.pid}`);
      child.disconnect();
      child.unref();
      resolve();
    });
  });
};

/** Starts a server of tools as agents do: with nothing of their own environment but what the server was given. */
const serve = (at) => {
  const { command, args, env } = servers[at];
  const given = Object.fromEntries(env.map(({ name, value }) => [name, value]));
  const child = spawn(command, args, { env: given, stdio: ['pipe', 'pipe', 'inherit'], detached: true });
  return new Promise((resolve) => child.stdout.once('data', () => resolve()));
};

/** Each step; gives how the prompt ends, when it does. */
const STEPS = {
  say: (id, text) => update(id, words('agent_message_chunk', text)),
  think: (id, text) => update(id, words('agent_thought_chunk', text)),
  update: (id, body) => update(id, body),
  ofAnother: (_id, body) => update('another', body),
  notify: (_id, message) => say(message),
  request: async (_id, { method, params }) => log(`request ${JSON.stringify(await ask(method, params))}`),
  raw: (_id, text) => print(`${text}\n`),
  bytes: (_id, count) => print(`${'x'.repeat(count)}\n`),
  binary: () => print(Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x0a])),
  flood: (id, count) => {
    for (let at = 0; at < count; at += 1)
      update(id, words('agent_message_chunk', `${'y'.repeat(1000)} ${at}\n`));
  },
  floodUnknown: (_id, count) => print('what is this\n'.repeat(count)),
  complain: (_id, text) => writeSync(2, `${text}\n`),
  serve: (_id, at) => serve(at),
  background: (_id, options) => background(options),
  file: (_id, { path, content }) => writeFileSync(path, content),
  recall: (id) => update(id, words('agent_message_chunk', conversations()[id].join('|'))),
  environment: (id, key) => update(id, words('agent_message_chunk', `${key}=${process.env[key]}`)),
  servers: (id) => update(id, words('agent_message_chunk', JSON.stringify(servers))),
  ignoreTerm: () => void process.on('SIGTERM', () => log('SIGTERM ignored')),
  closeStdout: () => {
    isStdoutOpen = false;
    closeSync(1);
  },
  die: (_id, signal) => process.kill(process.pid, signal),
  exit: (_id, code) => process.exit(code),
  hang: (_id, how) => {
    if (how === 'deaf') turn.isDeaf = true;
    return Promise.race([never(), turn.cancelled]);
  },
  ask: async (id, call) => {
    const answer = await Promise.race([askPermission(id, call), turn.cancelled]);
    if (answer !== 'rejected' || afterReject === 'goes-on') return undefined;
    return { result: { stopReason: afterReject === 'cancels' ? 'cancelled' : 'end_turn', usage } };
  },
  end: (_id, result) => ({ result }),
  fail: (_id, error) => ({ error }),
};

const runStep = async (sessionId, step) => {
  const [[kind, value]] = Object.entries(step);
  const doStep = STEPS[kind];
  if (doStep === undefined) throw new Error(`no step ${kind}`);
  return doStep(sessionId, value);
};

const prompt = async (id, { sessionId, prompt: [{ text }] }) => {
  log(`prompt ${text}`);
  remember(sessionId, [
    ...(conversations()[sessionId] ?? []),
    text.length > 60 ? `${text.slice(0, 60)}…` : text,
  ]);
  const cancelled = Promise.withResolvers();
  turn = {
    cancel: () => cancelled.resolve(),
    cancelled: cancelled.promise,
    isCancelled: false,
    isDeaf: false,
  };
  const { after = [], steps } = Array.isArray(JSON.parse(text))
    ? { steps: JSON.parse(text) }
    : JSON.parse(text);
  let end;
  for (const step of steps) {
    end = await runStep(sessionId, step);
    if (turn.isCancelled && !turn.isDeaf) end = { result: { stopReason: 'cancelled', usage } };
    if (end !== undefined) break;
  }
  say({ id, ...(end ?? { result: { stopReason: 'end_turn', usage } }) });
  turn = undefined;
  for (const step of after) await runStep(sessionId, step);
};

let servers = [];
const UNKNOWN = { error: { code: -32_002, message: 'Resource not found' } };
const reopen = (way, { sessionId, mcpServers }) => {
  log(`${way} ${sessionId}`);
  servers = mcpServers;
  const prompts = conversations()[sessionId];
  if (prompts === undefined || persona.forgets === true) return UNKNOWN;
  const replay = () => {
    for (const text of prompts) update(sessionId, words('user_message_chunk', text));
    update(sessionId, words('agent_message_chunk', 'old words'));
    update(sessionId, {
      sessionUpdate: 'tool_call',
      toolCallId: 'old',
      title: 'old call',
      status: 'completed',
    });
  };
  if (way === 'load' && persona.replaysLate !== true) replay();
  if (way === 'load' && persona.replaysLate === true) setImmediate(() => setImmediate(replay));
  return { result: { modes: { currentModeId: 'usual', availableModes: [] } } };
};

const METHODS = {
  initialize: (params) => {
    log(`initialize ${JSON.stringify(params.clientCapabilities)}`);
    return {
      result: {
        protocolVersion,
        ...(name !== null && { agentInfo: { name, version } }),
        agentCapabilities: { loadSession: canLoad, sessionCapabilities: canResume ? { resume: {} } : {} },
      },
    };
  },
  'session/new': ({ cwd, mcpServers }) => {
    if (persona.needsLogin === true) return { error: { code: -32_000, message: 'Authentication required' } };
    servers = mcpServers;
    const sessionId = `conversation-${Object.keys(conversations()).length + 1}`;
    log(`new ${sessionId} ${cwd}`);
    remember(sessionId, []);
    // As real ones do: about a conversation whose name is not told yet.
    update(sessionId, { sessionUpdate: 'available_commands_update', availableCommands: [] });
    return { result: { sessionId, modes: { currentModeId: 'usual', availableModes: [] } } };
  },
  'session/resume': (params) => reopen('resume', params),
  'session/load': (params) => reopen('load', params),
  'session/set_mode': ({ modeId }) => {
    log(`mode ${modeId}`);
    return modeId === 'none' ? { error: { code: -32_602, message: 'no such mode' } } : { result: {} };
  },
};

const take = async (message) => {
  if (message.method === undefined) {
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
    return;
  }
  if (message.method === 'session/cancel') {
    log('cancel');
    if (turn === undefined || turn.isDeaf) return;
    turn.isCancelled = true;
    turn.cancel();
    return;
  }
  if (message.method === persona.deafTo) return;
  if (message.method === 'session/prompt') return prompt(message.id, message.params);
  const answer = METHODS[message.method]?.(message.params) ?? {
    error: { code: -32_601, message: 'Method not found' },
  };
  say({ id: message.id, ...answer });
};

log(`started ${process.argv.slice(3).join(' ')}`);
if (persona.greetsWith !== undefined) print(`${persona.greetsWith}\n`);
if (persona.ignoresTerm === true) process.on('SIGTERM', () => log('SIGTERM ignored'));
const input = createInterface({ input: process.stdin });
input.on('line', (line) => void take(JSON.parse(line)));
input.on('close', () => {
  log('end of input');
  // A socket that listens keeps it alive.
  if (persona.staysAtEof === true) createServer().listen(0, '127.0.0.1');
  else process.exit(0);
});
