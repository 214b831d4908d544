// A provider whose program is started for each turn, reads its prompt from standard input and prints what it does as lines: the part that
// all of them share. Sees to the limits of a turn; what a line says is the reader's, what the facts mean is turn-outcome.policy.ts's.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { Deadline } from './deadline.ts';
import { coalesce } from './coalesce.policy.ts';
import { LineSplitter, type Line } from './line-splitter.ts';
import { LineSteering } from './line-steering.ts';
import type { LineProtocol, ProgramReader } from './program-reader.ts';
import type { SteerAnswer, WordsAnswer } from '#services/runner/turn-commands.ts';
import { ProgramLines } from './program-lines.ts';
import type { EventSink, Provider, ProviderEvent, ProviderTurn, TurnOrder } from './provider.ts';
import { TextChunks } from './text-chunks.ts';
import type { StopReason, TurnFacts } from './turn-facts.ts';
import type { OutputReader } from './process-outputs.ts';
import { startTurnProcess, type ProcessEnd, type TurnProcess } from './turn-process.ts';

/** Pieces of standard error. */
const ERROR_CHARACTERS = 16_384;
const TAIL_CHARACTERS = 2000;

class LineTurn implements ProviderTurn {
  readonly started: Promise<{ readonly pid: number | null }>;
  readonly ended: Promise<TurnFacts>;
  readonly #order: TurnOrder;
  readonly #sink: EventSink;
  readonly #clock: Clock;
  readonly #process: TurnProcess;
  readonly #protocol: LineProtocol;
  readonly #reader: ProgramReader;
  readonly #lines: LineSplitter;
  readonly #errors = new TextChunks(ERROR_CHARACTERS);
  readonly #deadline: Deadline;
  #cancelSilence: CancelTimer | undefined;
  #heardAtMs = 0;
  #cancelLinger: CancelTimer | undefined;
  #stopped: StopReason | null = null;
  #closing: TurnFacts['closing'] = null;
  #parked: TurnFacts['parked'];
  #usage: TurnFacts['usage'] = null;
  #quota: TurnFacts['quota'];
  #lastText = '';
  #errorTail = '';
  readonly #seen = new ProgramLines();
  #events = 0;
  #hasEnded = false;
  readonly #steering: LineSteering;

  constructor(protocol: LineProtocol, order: TurnOrder, sink: EventSink, clock: Clock) {
    this.#protocol = protocol;
    this.#reader = protocol.createReader(order);
    this.#lines = new LineSplitter(protocol.maxLineBytes);
    this.#order = order;
    this.#sink = sink;
    this.#clock = clock;
    const { turnTimeoutMs } = order.limits;
    this.#deadline = new Deadline(clock, turnTimeoutMs, () => this.stop('deadline'));
    this.#awaitOutput();
    const place = protocol.words?.place;
    this.#process = startTurnProcess({
      order,
      clock,
      keepsInput: place === 'input',
      hasWords: place === 'own',
      stdout: this.#output((chunk) => this.#eventsOf(this.#lines.push(chunk))),
      stderr: this.#output((chunk) => this.#errorEvents(this.#errors.push(chunk))),
      onReaderFailed: () => this.stop('sink'),
    });
    this.#steering = new LineSteering(protocol.words, {
      process: this.#process,
      clock,
      prompt: order.prompt,
      promptId: order.environment[order.mark] ?? '',
    });
    this.started = this.#process.started.then((pid) => ({ pid }));
    this.ended = this.#process.ended.then((end) => this.#finish(end));
  }

  steer(text: string, commandId: string): Promise<WordsAnswer> {
    return this.#steering.give(text, commandId);
  }

  deliver(text: string, id: string): Promise<SteerAnswer> {
    return this.#steering.deliver(text, id);
  }

  stop(reason: StopReason, killAfterMs = this.#order.limits.killAfterMs): void {
    this.#stopped ??= reason;
    this.#steering.end();
    this.#process.stop(killAfterMs);
  }

  hold(): () => void {
    const release = this.#deadline.hold();
    this.#endSilence();
    return () => {
      release();
      this.#awaitOutput();
    };
  }

  #output(read: (chunk: Buffer) => Iterable<ProviderEvent>): OutputReader {
    return {
      take: async (chunk) => {
        this.#awaitOutput();
        await this.#emit(read(chunk));
        // The time in which we took its events is not the program's silence.
        this.#awaitOutput();
      },
    };
  }

  async #emit(events: Iterable<ProviderEvent>): Promise<void> {
    for (const event of coalesce(events, this.#protocol.isWordByWord)) {
      await this.#sink(event);
      this.#events += 1;
    }
  }

  *#eventsOf(lines: Iterable<Line>): Generator<ProviderEvent> {
    for (const line of lines) {
      this.#seen.count(line.bytes);
      for (const meaning of this.#reader.read(line)) {
        if (meaning.kind === 'steerable') this.#steering.announced(meaning.acknowledges);
        if (meaning.kind === 'taken-up') this.#steering.takenUp(meaning.id);
        if (meaning.kind === 'usage') this.#usage = meaning.usage;
        if (meaning.kind === 'quota') this.#quota = meaning.word ?? undefined;
        if (meaning.kind === 'closing') this.#close(meaning.closing, meaning.parked);
        if (meaning.kind === 'event') yield this.#note(meaning.event);
      }
    }
  }

  *#errorEvents(pieces: Iterable<string>): Generator<ProviderEvent> {
    for (const text of pieces) {
      this.#errorTail = (this.#errorTail + text).slice(-TAIL_CHARACTERS);
      yield { kind: 'output', stream: 'stderr', text };
    }
  }

  /** Remembers what the facts will need. */
  #note(event: ProviderEvent): ProviderEvent {
    if (event.kind === 'text') {
      const before = this.#protocol.isWordByWord ? this.#lastText : '';
      this.#lastText = (before + event.text).slice(-TAIL_CHARACTERS);
    }
    if (event.kind === 'usage') this.#usage = event.usage;
    return event.kind === 'unknown-line' ? this.#seen.strange(event) : event;
  }

  #close(closing: TurnFacts['closing'], parked: TurnFacts['parked']): void {
    // Told to stop, it may say anything.
    if (this.#stopped !== null) return;
    this.#closing = closing;
    this.#parked = parked;
    if (closing !== null) this.#steering.end();
    if (closing === null || !this.#protocol.goesAfterResult) return;
    this.#endSilence();
    this.#cancelLinger ??= this.#clock.timer(this.#order.limits.lingerMs, () => this.stop('linger'), {
      keepAlive: true,
    });
  }

  /** Its silence begins anew. */
  #awaitOutput(): void {
    const { silenceMs } = this.#order.limits;
    this.#heardAtMs = this.#clock.monotonicMs();
    const isLeaving = this.#closing !== null && this.#protocol.goesAfterResult;
    if (silenceMs > 0 && !isLeaving && !this.#hasEnded && !this.#deadline.isHeld)
      this.#cancelSilence ??= this.#listen(silenceMs);
  }

  /** One timer that looks when it rings: most output comes long before. */
  #listen(withinMs: number): CancelTimer {
    const look = (): void => {
      const leftMs = this.#heardAtMs + this.#order.limits.silenceMs - this.#clock.monotonicMs();
      if (leftMs > 0) this.#cancelSilence = this.#listen(leftMs);
      else this.stop('silence');
    };
    return this.#clock.timer(withinMs, look, { keepAlive: true });
  }

  #endSilence(): void {
    this.#cancelSilence?.();
    this.#cancelSilence = undefined;
  }

  async #finish({ exit, startProblem, leftovers }: ProcessEnd): Promise<TurnFacts> {
    this.#hasEnded = true;
    this.#steering.end();
    this.#deadline.stop();
    this.#endSilence();
    this.#cancelLinger?.();
    try {
      await this.#emit(this.#eventsOf(this.#lines.end()));
      await this.#emit(this.#errorEvents(this.#errors.end()));
    } catch {
      this.#stopped ??= 'sink';
    }
    this.#steering.gone();
    this.#cancelLinger?.();
    const session = this.#reader.session(this.#errorTail);
    return {
      closing: this.#closing,
      exit,
      startProblem,
      stopped: this.#stopped,
      lastText: this.#lastText,
      errorTail: this.#errorTail,
      usage: this.#usage,
      lines: this.#seen.seen,
      events: this.#events,
      leftovers,
      ...(this.#parked !== undefined && { parked: this.#parked }),
      ...(session !== undefined && { session }),
      ...(this.#quota !== undefined && { quota: this.#quota }),
    };
  }
}

/** The provider of this protocol on this clock. */
export const createLineProvider = (protocol: LineProtocol, clock: Clock): Provider => ({
  name: protocol.name,
  start: (order, sink) => new LineTurn(protocol, order, sink, clock),
});
