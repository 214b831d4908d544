// A process of its own for test/bench/life-of-runs.ts, as fleets have it: whoever asks for runs, a runner that does nothing but speak, and whoever
// looks at the bucket `runs`. `run.ts <url> <user> <password>`; its parent sends `{count, width}`, and it answers when so many runs have lived; or `{tellsClaims}`, and it tells of each claim.
import type { NewEntry } from '#libs/ports/event-log.ts';
import type { Ports } from '#libs/service/context.ts';
import { systemIds } from '#libs/system/ids.ts';
import { runnerConsumerName } from '#streams/consumers.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { ReportData, ReportName } from '#streams/reports.ts';
import { AGENT, EVENTS_A_RUN, sharedMs, type ClaimTold, type LifeOrder } from '#test/bench/life-of-runs.ts';
import { BOUNDARY, startControlPlane } from '#test/support/control-plane.ts';
import { runRequest } from '#test/support/run-facts.ts';
import { ask, done } from '#test/support/scripted-runner.ts';

const SAID = 'The heron stands in the reeds and waits; the water is still, and nothing moves but the light.';
const NO_END: readonly string[] = ['queued', 'claimed', 'running', 'waiting', 'cancelling'];

/** Reports go in the order in which they were made: what waits while a batch is on its way goes with the next. */
class Reporter {
  readonly #ports: Ports;
  #waiting: NewEntry[] = [];
  #isSending = false;
  #sourceSeq = 0;

  constructor(ports: Ports) {
    this.#ports = ports;
  }

  /** All reports of one turn. */
  turn(instruction: TurnInstruction, fence: number): void {
    const { runId, sessionId, commandId, provider } = instruction;
    const about = { runId, sessionId, turnId: makeId('turn', systemIds.ulid()) };
    const now = this.#ports.clock.now();
    const started = { runnerId: 'r1', provider, program: ['agent'], workspace: 'w', pid: 1, startedAt: now };
    this.#add('turn-started', { ...about, commandId, ...started }, fence);
    for (let at = 0; at < EVENTS_A_RUN; at += 1) this.#add('text', { ...about, text: SAID }, fence);
    this.#add('turn-finished', { ...about, commandId, result: done, endedAt: now }, fence);
    if (this.#isSending) return;
    this.#isSending = true;
    setImmediate(() => void this.#send());
  }

  #add<Name extends ReportName>(name: Name, data: ReportData<Name>, fence: number): void {
    this.#sourceSeq += 1;
    const entry = encodeReport(name, data, {
      boundary: BOUNDARY,
      agent: AGENT,
      id: makeId('event', systemIds.ulid()),
      source: `/runner/${AGENT}`,
      timeMs: this.#ports.clock.now(),
      actor: `agent:${AGENT}`,
      correlation: AGENT,
      fence,
      sourceSeq: this.#sourceSeq,
    });
    this.#waiting.push(entry);
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, 500);
      await this.#ports.log('EVENTS').appendTogether(group);
    }
    this.#isSending = false;
  }
}

let tellsClaims = false;

/** Takes instructions until the signal aborts, claims each run and reports its turn. */
const speak = async (ports: Ports, signal: AbortSignal): Promise<void> => {
  const reporter = new Reporter(ports);
  const queue = ports.queue('COMMANDS', runnerConsumerName(BOUNDARY, AGENT));
  const take = async (instruction: TurnInstruction): Promise<void> => {
    const { runId, commandId } = instruction;
    const answer = await ask(ports, 'claim', { runId, runnerId: 'r1', claimId: commandId, commandId }, AGENT);
    if (tellsClaims) process.send?.({ runId, atMs: sharedMs() } satisfies ClaimTold);
    if (answer.outcome !== 'ok') throw new Error(`claim: ${JSON.stringify(answer)}`);
    reporter.turn(instruction, (answer.result as { readonly fence: number }).fence);
  };
  for await (const batch of queue.batches({ max: 64, signal }))
    for (const delivery of batch) {
      const reading = decodeInstruction(delivery.entry);
      if (reading.kind === 'known' && reading.name === 'turn')
        void take(reading.data).catch(() => delivery.retry(100));
      delivery.ack();
    }
};

/** Follows the bucket and calls back for each run that it shows as ended. */
const watchEnds = async (
  ports: Ports,
  signal: AbortSignal,
  onEnd: (runId: string) => void,
): Promise<void> => {
  for await (const event of ports.bucket('runs').watch({ signal })) {
    if (event.kind !== 'put') continue;
    const view = parseJson(event.entry.value) as { readonly runId?: string; readonly state?: string };
    if (view.runId !== undefined && view.state !== undefined && !NO_END.includes(view.state))
      onEnd(view.runId);
  }
};

const [url = '', user = '', password = ''] = process.argv.slice(2);
const { ports } = await startControlPlane({ broker: { url, user, password }, services: [] });
const unending = new AbortController().signal;
const awaited = new Map<string, () => void>();
const ended = new Set<string>();
const onEnd = (runId: string): void => {
  const resolve = awaited.get(runId);
  if (resolve === undefined) ended.add(runId);
  else resolve();
  awaited.delete(runId);
};

/** Creates one run and leaves it to its runner; resolves when the bucket shows that it has ended. */
const liveOnce = async (): Promise<void> => {
  const asked = runRequest({
    runId: makeId('run', systemIds.ulid()),
    sessionId: makeId('session', systemIds.ulid()),
    agent: AGENT,
  });
  const answer = await ask(ports, 'create', asked);
  if (answer.outcome !== 'ok') throw new Error(`create: ${JSON.stringify(answer)}`);
  if (!ended.delete(asked.runId)) await new Promise<void>((resolve) => awaited.set(asked.runId, resolve));
};

/** So many runs, so many of them at once. */
const live = async ({ count, width }: Extract<LifeOrder, { count: number }>): Promise<void> => {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await liveOnce();
    }
  };
  await Promise.all(Array.from({ length: width }, worker));
};

/** What fails here ends the process, and with it the benchmark. */
const fail = (error: unknown): never => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
};

void speak(ports, unending).catch(fail);
void watchEnds(ports, unending, onEnd).catch(fail);
process.on('message', (order: LifeOrder) => {
  if ('tellsClaims' in order) tellsClaims = true;
  const work = 'count' in order ? live(order) : Promise.resolve();
  work.then(() => process.send?.('done'), fail);
});
// Its parent is gone: nobody asks any more.
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
