// The provider `exec`: any program that reads its prompt from standard input and prints its events as lines of JSON (README.md).
// Sees to the limits of a turn; leaves its meaning to turn-outcome.policy.ts.
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import { LineSplitter, type Line } from '#services/runner/providers/line-splitter.ts';
import type {
  EventSink,
  Provider,
  ProviderEvent,
  ProviderTurn,
  TurnOrder,
} from '#services/runner/providers/provider.ts';
import { TextChunks } from '#services/runner/providers/text-chunks.ts';
import type { StopReason, TurnFacts } from '#services/runner/providers/turn-facts.ts';
import {
  startTurnProcess,
  type OutputReader,
  type ProcessEnd,
  type TurnProcess,
} from '#services/runner/providers/turn-process.ts';
import { coalesce } from './coalesce.policy.ts';
import { readExecLine } from './exec-line.ts';

/** Longer lines are cut. */
const MAX_LINE_BYTES = 1024 * 1024;
/** Unknown lines told one by one; from then on they are joined as raw output, so that a flood stays a few events. */
const UNKNOWN_LINES = 64;
/** Pieces of standard error. */
const ERROR_CHARACTERS = 16_384;
const TAIL_CHARACTERS = 2000;

class ExecTurn implements ProviderTurn {
  readonly started: Promise<{ readonly pid: number | null }>;
  readonly ended: Promise<TurnFacts>;
  readonly #order: TurnOrder;
  readonly #sink: EventSink;
  readonly #clock: Clock;
  readonly #process: TurnProcess;
  readonly #lines = new LineSplitter(MAX_LINE_BYTES);
  readonly #errors = new TextChunks(ERROR_CHARACTERS);
  readonly #cancelDeadline: CancelTimer;
  #cancelSilence: CancelTimer = () => undefined;
  #cancelLinger: CancelTimer | undefined;
  #stopped: StopReason | null = null;
  #closing: TurnFacts['closing'] = null;
  #usage: TurnFacts['usage'] = null;
  #lastText = '';
  #errorTail = '';
  #unknownLines = 0;
  #events = 0;
  #hasEnded = false;

  constructor(order: TurnOrder, sink: EventSink, clock: Clock) {
    this.#order = order;
    this.#sink = sink;
    this.#clock = clock;
    const { turnTimeoutMs } = order.limits;
    this.#cancelDeadline = clock.timer(turnTimeoutMs, () => this.stop('deadline'), { keepAlive: true });
    this.#awaitOutput();
    this.#process = startTurnProcess({
      order,
      clock,
      stdout: this.#reader((chunk) => this.#eventsOf(this.#lines.push(chunk))),
      stderr: this.#reader((chunk) => this.#errorEvents(this.#errors.push(chunk))),
      onReaderFailed: () => this.stop('sink'),
    });
    this.started = this.#process.started.then((pid) => ({ pid }));
    this.ended = this.#process.ended.then((end) => this.#finish(end));
  }

  stop(reason: StopReason, killAfterMs = this.#order.limits.killAfterMs): void {
    this.#stopped ??= reason;
    this.#process.stop(killAfterMs);
  }

  #reader(read: (chunk: Buffer) => Iterable<ProviderEvent>): OutputReader {
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
    for (const event of coalesce(events)) {
      await this.#sink(event);
      this.#events += 1;
    }
  }

  *#eventsOf(lines: Iterable<Line>): Generator<ProviderEvent> {
    for (const line of lines) {
      const meaning = readExecLine(line);
      if (meaning.kind === 'result') this.#close(meaning.closing, meaning.usage);
      if (meaning.kind === 'event') yield this.#note(meaning.event);
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
    if (event.kind === 'text') this.#lastText = (this.#lastText + event.text).slice(-TAIL_CHARACTERS);
    if (event.kind === 'usage') this.#usage = event.usage;
    if (event.kind !== 'unknown-line' || event.cutBytes > 0) return event;
    this.#unknownLines += 1;
    if (this.#unknownLines <= UNKNOWN_LINES) return event;
    return { kind: 'output', stream: 'stdout', text: `${event.line}\n` };
  }

  #close(closing: NonNullable<TurnFacts['closing']>, usage: TurnFacts['usage']): void {
    this.#usage = usage ?? this.#usage;
    // Told to stop, it may say anything.
    if (this.#stopped !== null) return;
    this.#closing = closing;
    this.#cancelSilence();
    this.#cancelLinger ??= this.#clock.timer(this.#order.limits.lingerMs, () => this.stop('linger'), {
      keepAlive: true,
    });
  }

  #awaitOutput(): void {
    const { silenceMs } = this.#order.limits;
    this.#cancelSilence();
    if (silenceMs > 0 && this.#closing === null && !this.#hasEnded)
      this.#cancelSilence = this.#clock.timer(silenceMs, () => this.stop('silence'), { keepAlive: true });
  }

  async #finish({ exit, startProblem, leftovers }: ProcessEnd): Promise<TurnFacts> {
    this.#hasEnded = true;
    this.#cancelDeadline();
    this.#cancelSilence();
    this.#cancelLinger?.();
    try {
      await this.#emit(this.#eventsOf(this.#lines.end()));
      await this.#emit(this.#errorEvents(this.#errors.end()));
    } catch {
      this.#stopped ??= 'sink';
    }
    this.#cancelLinger?.();
    return {
      closing: this.#closing,
      exit,
      startProblem,
      stopped: this.#stopped,
      lastText: this.#lastText,
      errorTail: this.#errorTail,
      usage: this.#usage,
      events: this.#events,
      leftovers,
    };
  }
}

/** The provider `exec` on this clock. */
export const createExecProvider = (clock: Clock): Provider => ({
  name: 'exec',
  start: (order, sink) => new ExecTurn(order, sink, clock),
});
