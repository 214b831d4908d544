// Whole lives of runs on the real services: created by a request, instructed, claimed, started, five events, finished, and shown by the
// bucket `runs`. The control plane and a runner that does nothing but speak are in this process, each on a connection of its own.
import type { NewEntry } from '#libs/ports/event-log.ts';
import type { Ports } from '#libs/service/context.ts';
import type { Service } from '#libs/service/define-service.ts';
import { systemIds } from '#libs/system/ids.ts';
import { runnerConsumerName } from '#streams/consumers.ts';
import { parseJson } from '#streams/entry.ts';
import { makeId } from '#streams/ids.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { ReportData, ReportName } from '#streams/reports.ts';
import { BOUNDARY, startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';
import type { TestBroker } from '#test/support/broker.ts';
import { runRequest } from '#test/support/run-facts.ts';
import { ask, done } from '#test/support/scripted-runner.ts';

/** Events between the start and the end of a turn. */
export const EVENTS_A_RUN = 5;
/** The agent whose runner speaks. */
export const AGENT = 'builder-1';
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

/** Takes instructions until the signal aborts, claims each run and reports its turn. */
const speak = async (ports: Ports, signal: AbortSignal): Promise<void> => {
  const reporter = new Reporter(ports);
  const queue = ports.queue('COMMANDS', runnerConsumerName(BOUNDARY, AGENT));
  const take = async (instruction: TurnInstruction): Promise<void> => {
    const { runId, commandId } = instruction;
    const answer = await ask(ports, 'claim', { runId, runnerId: 'r1', claimId: commandId, commandId }, AGENT);
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

export interface RunLives extends AsyncDisposable {
  /** Resolves when this many runs, so many of them at once, have lived and are shown as ended. */
  live(count: number, width: number): Promise<void>;
  /** Creates one and leaves it to its runner. Gives its id once it is created. */
  create(): Promise<string>;
  /** Resolves when the bucket shows that the run has ended. */
  shown(runId: string): Promise<void>;
  readonly plane: ControlPlane;
}

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

/** Starts everything; the broker is provisioned for agent `builder-1`. */
export const openRunLives = async (broker: TestBroker, services: readonly Service[]): Promise<RunLives> => {
  const plane = await startControlPlane({ broker, services });
  const speaker = await startControlPlane({ broker, services: [] });
  const stopping = new AbortController();
  const speaking = speak(speaker.ports, stopping.signal);
  const awaited = new Map<string, () => void>();
  const ended = new Set<string>();
  const watching = watchEnds(speaker.ports, stopping.signal, (runId) => {
    const resolve = awaited.get(runId);
    if (resolve === undefined) ended.add(runId);
    else resolve();
    awaited.delete(runId);
  });
  const shown = (runId: string): Promise<void> =>
    ended.delete(runId) ? Promise.resolve() : new Promise((resolve) => awaited.set(runId, resolve));
  const create = async (): Promise<string> => {
    const asked = runRequest({
      runId: makeId('run', systemIds.ulid()),
      sessionId: makeId('session', systemIds.ulid()),
      agent: AGENT,
    });
    const answer = await ask(speaker.ports, 'create', asked);
    if (answer.outcome !== 'ok') throw new Error(`create: ${JSON.stringify(answer)}`);
    return asked.runId;
  };
  return {
    plane,
    create,
    shown,
    live: async (count, width) => {
      let left = count;
      const worker = async (): Promise<void> => {
        while (left > 0) {
          left -= 1;
          await shown(await create());
        }
      };
      await Promise.all(Array.from({ length: width }, worker));
    },
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await Promise.all([speaking, watching]);
      await plane.stop();
      await speaker.stop();
    },
  };
};
