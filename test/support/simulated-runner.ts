// The runner of an agent in a simulated world: it announces itself, claims what it is told, keeps its leases, asks people, is told things by
// them, is paused beyond its leases, dies with its work and comes back. Its reports wait in a buffer that outlives it, as on its disk.
import type { Delivery } from '#libs/ports/work-queue.ts';
import { runnerConsumerName } from '#streams/consumers.ts';
import { decodeInstruction } from '#streams/instruction-codec.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import { encodeReport } from '#streams/report-codec.ts';
import type { ReportData, ReportName } from '#streams/reports.ts';
import type { ProviderName } from '#streams/run.ts';
import { BOUNDARY } from './control-plane.ts';
import { ask } from './scripted-runner.ts';
import { doTurn, type Turn, type TurnHost } from './simulated-turn.ts';
import { below, isLucky, persist, type World } from './simulated-world.ts';

/** A runner of the simulation. */
export interface SimulatedRunner {
  readonly agent: string;
  readonly providers: readonly ProviderName[];
  readonly slots: number;
  readonly labels?: readonly string[];
}

type Parts = ReturnType<typeof encodeReport>;

/** Reports on their way, in their order. What was sent and not struck off before a death is sent once more. */
class Buffer {
  readonly #world: World;
  readonly #waiting: Parts[] = [];
  #isSending = false;
  #sourceSeq = 0;

  constructor(world: World) {
    this.#world = world;
  }

  nextSeq(): number {
    return (this.#sourceSeq += 1);
  }

  put(report: Parts, isAlive: () => boolean): void {
    this.#waiting.push(report);
    void this.send(isAlive);
  }

  async send(isAlive: () => boolean): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    for (let next = this.#waiting[0]; next !== undefined && isAlive(); next = this.#waiting[0]) {
      const report = next;
      await persist(this.#world, async () => {
        if (isAlive()) await this.#world.ports.log('EVENTS').append(report);
      });
      // Died before it was struck off.
      if (isAlive()) this.#waiting.shift();
    }
    this.#isSending = false;
  }
}

/** One process of the runner: from its start to its death. */
export class RunnerLife implements TurnHost {
  readonly world: World;
  readonly runner: SimulatedRunner;
  readonly runnerId: string;
  readonly over = new AbortController();
  /** Turns in hand, by run. */
  readonly turns = new Map<string, Turn>();
  readonly #inHand = new Map<string, Promise<void>>();
  readonly #buffer: Buffer;

  constructor(world: World, runner: SimulatedRunner, runnerId: string, buffer: Buffer) {
    this.world = world;
    this.runner = runner;
    this.runnerId = runnerId;
    this.#buffer = buffer;
  }

  get isAlive(): boolean {
    return !this.over.signal.aborted;
  }

  /** Puts a report into the buffer. */
  report<Name extends ReportName>(
    name: Name,
    data: ReportData<Name>,
    { runId, fence }: Pick<Turn, 'runId' | 'fence'>,
  ): void {
    const { agent } = this.runner;
    const parts = encodeReport(name, data, {
      boundary: BOUNDARY,
      agent,
      id: `sim:${this.world.ids.ulid()}`,
      source: `/runner/${agent}`,
      timeMs: this.world.clock.now(),
      actor: `agent:${agent}`,
      correlation: runId,
      fence,
      sourceSeq: this.#buffer.nextSeq(),
    });
    this.#buffer.put(parts, () => this.isAlive);
  }

  async live(): Promise<void> {
    void this.#buffer.send(() => this.isAlive);
    await Promise.all([this.#announce(), this.#takeInstructions()]);
  }

  async #announce(): Promise<void> {
    const { agent, providers, slots, labels = [] } = this.runner;
    const facts = { version: '1', startedAt: 1, buffered: 0, labels: [...labels], providers: [...providers] };
    const request = { runnerId: this.runnerId, ...facts, slots, ttlMs: 6000 };
    while (this.isAlive) {
      // A word that is lost is followed by another.
      await ask(this.world.ports, 'announce', request, agent).catch(() => undefined);
      await this.world.clock.sleep(2000, this.over.signal);
    }
  }

  async #takeInstructions(): Promise<void> {
    const queue = this.world.ports.queue('COMMANDS', runnerConsumerName(BOUNDARY, this.runner.agent));
    for await (const batch of queue.batches({ max: 4, signal: this.over.signal }))
      for (const delivery of batch) {
        if (!this.isAlive) return;
        const reading = decodeInstruction(delivery.entry);
        if (reading.kind !== 'known')
          throw new Error(`an instruction cannot be read: ${delivery.entry.subject}`);
        // A turn is acknowledged when the claim is answered: until then its instruction would be lost with this process.
        if (reading.name === 'turn') this.#begin(reading.data, delivery);
        else {
          this.#follow(reading);
          delivery.ack();
        }
      }
  }

  #follow({ name, data }: Extract<ReturnType<typeof decodeInstruction>, { readonly kind: 'known' }>): void {
    const turn = 'runId' in data ? this.turns.get(data.runId) : undefined;
    // Of a claim that is over, or not ours: it means nothing to this process.
    if (turn === undefined || ('fence' in data && data.fence !== turn.fence)) return;
    if (name === 'cancel') turn.stop('cancel');
    else if (name === 'answer-approval') turn.answer(data.approval.approvalId);
    else if (name === 'steer') turn.told(data.commandId);
    else if (name === 'interrupt') {
      turn.stop('interrupt');
      const about = { runId: turn.runId, sessionId: turn.sessionId, turnId: turn.turnId };
      const { commandId } = data;
      this.report(
        'command-acknowledged',
        { ...about, commandId, acknowledgedAt: this.world.clock.now() },
        turn,
      );
    }
  }

  /** One turn of a run after another: a later instruction waits for the end of the one in hand. */
  #begin(instruction: TurnInstruction, delivery: Delivery): void {
    const { runId } = instruction;
    const before = this.#inHand.get(runId) ?? Promise.resolve();
    this.#inHand.set(runId, this.#doAfter(before, instruction, delivery));
  }

  async #doAfter(before: Promise<void>, instruction: TurnInstruction, delivery: Delivery): Promise<void> {
    await before;
    if (this.isAlive) await doTurn(this, instruction, () => this.isAlive && delivery.ack());
    this.turns.delete(instruction.runId);
  }
}

/** Lives and dies until the signal aborts; from `calm` on it only lives. `onDeath` hears of each death before it comes. */
export const runRunner = async (
  world: World,
  runner: SimulatedRunner,
  {
    signal,
    calm,
    onDeath,
  }: {
    readonly signal: AbortSignal;
    readonly calm: AbortSignal;
    readonly onDeath: (life: RunnerLife) => void;
  },
): Promise<void> => {
  const buffer = new Buffer(world);
  const { agent } = runner;
  for (let number = 1; !signal.aborted; number += 1) {
    const life = new RunnerLife(world, runner, `${agent}-${number}`, buffer);
    const living = life.live();
    const end = (): void => life.over.abort();
    signal.addEventListener('abort', end, { once: true });
    await world.clock.sleep(3000 + below(world, 15_000), calm);
    // It dies no more, or with the world.
    if (calm.aborted) return living;
    onDeath(life);
    world.tell(`the runner of ${agent} dies`);
    life.over.abort();
    signal.removeEventListener('abort', end);
    await world.clock.sleep(isLucky(world, 0.5) ? below(world, 2000) : below(world, 12_000), calm);
    world.tell(`the runner of ${agent} is there again`);
  }
};
