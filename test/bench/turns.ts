// What a turn costs on top of the program it runs: the whole runner service (queue, claim, journal, workspace, program, reports on disk,
// delivery) over ports in memory and a buffer on a real disk, against a bare spawn that feeds the same program and reads what it
// prints. One turn after another, and 32 at once. The broker takes no part, so only one durability profile is measured.
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import type { NewEntry } from '#libs/ports/event-log.ts';
import type { Ports } from '#libs/service/context.ts';
import { createCheckBoard } from '#libs/service/checks.ts';
import { startService } from '#libs/service/running-service.ts';
import { systemClock } from '#libs/system/clock.ts';
import { readEnvironment } from '#libs/system/env.ts';
import { systemIds } from '#libs/system/ids.ts';
import { createLogger } from '#libs/telemetry/logger.ts';
import { createMetrics } from '#libs/telemetry/metrics.ts';
import { createHooks } from '#libs/telemetry/metrics-hooks.ts';
import { createRunnerService } from '#services/runner/service.ts';
import { topologyOf } from '#streams/consumers.ts';
import { jsonBytes, parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { encodeInstruction } from '#streams/instruction-codec.ts';
import { decodeReport } from '#streams/report-codec.ts';
import { agentRequestFilter, typedFilter } from '#streams/subjects.ts';
import { scratchDir } from '#test/support/broker.ts';
import type { Bench } from './bench-world.ts';
import { fromPairs, type Target } from './figure.ts';
import { interleave, interleaveOperations, rate } from './measure.ts';

const OVERHEAD: Target = { of: 'difference', is: '<=', limit: 2 };
const AT_ONCE: Target = { of: 'ratio', is: '>=', limit: 0.8 };
const BOUNDARY = { tenant: 'local', project: 'main' };
const AGENT = 'builder-1';
const WIDTH = 32;
const TURNS_PER_ROUND = 25;
const CPU_TURNS = 10;
const PROMPT = 'say that it is done';
const PROGRAM = [
  '/bin/sh',
  '-c',
  `cat >/dev/null; echo '{"type":"result","outcome":"done","summary":"done"}'`,
];

interface TurnWorld extends AsyncDisposable {
  /** Resolves when the result of a whole turn is in the log. */
  turn(): Promise<void>;
}

const createPorts = (): Ports => {
  const [clock, ids] = [systemClock, systemIds];
  const declared = topologyOf({ replicas: 1, agents: [{ ...BOUNDARY, agent: AGENT }] });
  // In memory a bucket is no stream.
  const consumers = declared.consumers.filter(({ stream }) => !stream.startsWith('KV_'));
  const broker = createMemoryBroker({ clock, ids, topology: { ...declared, consumers } });
  return {
    clock,
    ids,
    log: (stream) => broker.eventLog(stream),
    bucket: (name) => broker.keyValue(name),
    queue: (stream, consumer) => broker.workQueue(stream, consumer),
    requests: { client: broker.requests, server: broker.requests },
    blobs: broker.blobs('bodies'),
    publisher: () => broker.publisher(),
  };
};

/** Grants every claim at once. */
const grantClaims = ({ requests }: Ports): void => {
  let fence = 0;
  const answer = (operation: string, result: (request: object) => object): void =>
    void requests.server.serve(agentRequestFilter('runs', operation), 'runs', async ({ body }) => ({
      body: jsonBytes({ outcome: 'ok', result: result(parseJson(body) as object) }),
    }));
  answer('claim', (request) => ({ ...request, seq: 1, fence: (fence += 1), leaseMs: 60_000 }));
  answer('renew', () => ({ leaseMs: 60_000, cancelRequested: false }));
  answer('announce', () => ({ ttlMs: 60_000 }));
};

const RESULTS = [typedFilter('evt', { type: 'turn-finished' })];

/** Calls back for each turn whose result is in the log. Reading what it says is others' work: see {@link checkResults}. */
const watchResults = async (
  ports: Ports,
  signal: AbortSignal,
  onResult: (runId: string) => void,
): Promise<void> => {
  for await (const { headers } of ports.log('EVENTS').replay({ subjects: RESULTS, follow: true, signal }))
    onResult(headers['Fleet-Correlation'] ?? '');
};

/** Throws if a turn ended otherwise than well. */
const checkResults = async (ports: Ports): Promise<void> => {
  for await (const entry of ports.log('EVENTS').replay({ subjects: RESULTS })) {
    const reading = decodeReport(entry);
    if (reading.kind !== 'known' || reading.name !== 'turn-finished') continue;
    const { outcome } = reading.data.result;
    if (outcome !== 'done') throw new Error(`a turn ended as ${outcome}: ${JSON.stringify(reading.data)}`);
  }
};

interface Instructed {
  readonly runId: string;
  readonly entry: NewEntry;
}

/** What the control plane sends for a new run. */
const newInstruction = (): Instructed => {
  const runId = makeId('run', systemIds.ulid());
  const commandId = makeId('command', systemIds.ulid());
  const sessionId = makeId('session', systemIds.ulid());
  const request = { prompt: PROMPT, program: PROGRAM, turnTimeoutMs: 60_000 };
  const about = { runId, commandId, sessionId, agent: AGENT, provider: 'exec', leaseMs: 60_000 } as const;
  const entry = encodeInstruction(
    'turn',
    { ...about, request },
    {
      boundary: BOUNDARY,
      target: AGENT,
      id: commandId,
      source: '/service/runs',
      timeMs: systemClock.now(),
      actor: 'service:runs',
    },
  );
  return { runId, entry };
};

/** `turns`: how many will be asked for; what instructs them is made before. */
const openWorld = async (dir: string, turns: number): Promise<TurnWorld> => {
  const instructions = Array.from({ length: turns }, newInstruction);
  const ports = createPorts();
  grantClaims(ports);
  const waiting = new Map<string, () => void>();
  const stop = new AbortController();
  const watching = watchResults(ports, stop.signal, (runId) => waiting.get(runId)?.());
  const service = createRunnerService({ environment: readEnvironment(), newSecret: () => systemIds.ulid() });
  const metrics = createMetrics({ processMetrics: false });
  const failed = Promise.withResolvers<never>();
  const settings = {
    agent: AGENT,
    dataDir: join(dir, 'data'),
    workspaceRoot: join(dir, 'work'),
    concurrency: WIDTH,
  };
  const running = startService(service, service.config.parse(settings), {
    clock: systemClock,
    ids: systemIds,
    logger: createLogger({ level: 'silent', format: 'json', clock: systemClock }),
    metrics,
    hooks: createHooks(metrics),
    ports,
    board: createCheckBoard(systemClock),
    drainMs: 5000,
    onFatal: failed.reject,
  });
  await running.booted;
  return {
    turn: async () => {
      const { runId, entry } = instructions.pop() ?? newInstruction();
      const over = new Promise<void>((resolve) => waiting.set(runId, resolve));
      await ports.log('COMMANDS').append(entry);
      await Promise.race([over, failed.promise, watching.then(() => over)]);
      waiting.delete(runId);
    },
    [Symbol.asyncDispose]: async () => {
      await running.stop();
      stop.abort();
      await watching;
      await checkResults(ports);
    },
  };
};

let bareTurns = 0;

/** The same program in a folder of its own, its prompt, its output and its end, and nothing else. */
const bareTurn = (root: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const cwd = join(root, `${(bareTurns += 1)}`);
    mkdirSync(cwd);
    const [command = '', ...parameters] = PROGRAM;
    const child = spawn(command, parameters, { cwd, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += String(chunk)));
    child.stderr.resume();
    child.on('error', reject);
    child.on('close', () => (text.includes('done') ? resolve() : reject(new Error(`it said ${text}`))));
    child.stdin.end(PROMPT);
  });

/** Processor time of this process for one of them, ms: what other work on the machine changes little. */
const cpuMsOf = async (count: number, one: () => Promise<void>): Promise<number> => {
  const before = process.cpuUsage();
  for (let n = 0; n < count; n += 1) await one();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / count;
};

/** Does `count` of them, 32 at a time. */
const atOnce = async (count: number, one: () => Promise<void>): Promise<void> => {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await one();
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, worker));
};

export const turnsBench: Bench = {
  name: 'turns',
  run: async ({ profile, rounds, emit }) => {
    if (profile !== 'always') return;
    const dir = scratchDir('bench-turns');
    const bare = join(dir, 'bare');
    mkdirSync(bare);
    {
      const turns = rounds * TURNS_PER_ROUND + 20 + (rounds + 3) * (CPU_TURNS + 4 * WIDTH);
      await using world = await openWorld(dir, turns);
      const one = await interleaveOperations(rounds * TURNS_PER_ROUND, 20, {
        ours: () => world.turn(),
        floor: () => bareTurn(bare),
      });
      const named = { bench: 'turns', profile } as const;
      emit(fromPairs({ ...named, figure: 'one turn', unit: 'ms', target: OVERHEAD }, one));
      const cpu = await interleave(
        rounds,
        () => cpuMsOf(CPU_TURNS, () => world.turn()),
        () => cpuMsOf(CPU_TURNS, () => bareTurn(bare)),
      );
      emit(fromPairs({ ...named, figure: 'one turn, processor time', unit: 'ms', target: null }, cpu));
      const count = 4 * WIDTH;
      const many = await interleave(
        rounds,
        () => rate(count, () => atOnce(count, () => world.turn())),
        () => rate(count, () => atOnce(count, () => bareTurn(bare))),
      );
      emit(
        fromPairs({ ...named, figure: `${WIDTH} turns at once`, unit: 'entries/s', target: AT_ONCE }, many),
      );
    }
    rmSync(dir, { recursive: true, force: true });
  },
};
