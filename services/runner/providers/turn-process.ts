// One process of a turn, or of the turns of a session: its own process group, the prompt on standard input in one piece (or an input that
// stays open), both outputs read no faster than they are taken, and an end that is bound to the exit of the process, not to the end of its output. Does not know what the output means.
//
// running    SIGTERM to the group at `stop`, SIGKILL after its delay unless the process has exited
// exited     what it left behind is ended (its group, and whatever bears the mark); the outputs are read to their end
// ended      nothing of it is left
import { Duplex } from 'node:stream';
import type { Clock } from '#libs/ports/clock.ts';
import { sweepMarked } from '#libs/processes/marked-processes.ts';
import { isNobodySince, noteBirth, type Birth } from '#libs/processes/process-ids.ts';
import { nextTurn } from '#libs/service/next-turn.ts';
import { exitOf, launch, spawnProblem, startProblemOf, type Child, type ProcessExit } from './launch.ts';
import { ProcessOutputs, type OutputReader } from './process-outputs.ts';
import type { TurnOrder } from './provider.ts';

export interface TurnProcessOptions {
  readonly order: TurnOrder;
  readonly clock: Clock;
  /** Standard input stays open for {@link TurnProcess.write}; default: it gets the prompt and is closed. */
  readonly keepsInput?: boolean;
  /** The program gets a pipe as its file descriptor 3, for {@link TurnProcess.writeWords}. */
  readonly hasWords?: boolean;
  readonly stdout: OutputReader;
  readonly stderr: OutputReader;
  /** Standard output has ended: the program has closed it, or is going. */
  readonly onOutputEnd?: () => void;
  /** A reader rejected: nothing can be taken any more. */
  readonly onReaderFailed: (error: unknown) => void;
}

export interface ProcessEnd {
  readonly exit: ProcessExit | null;
  readonly startProblem: string | null;
  readonly leftovers: number;
}

export interface TurnProcess {
  /** Null: it could not be started. Never rejects. */
  readonly started: Promise<number | null>;
  /** To standard input, where it is kept open. What the program does not read any more is lost without a word. */
  write(text: string): void;
  /** To file descriptor 3, where there is one. What the program does not read is lost without a word. */
  writeWords(text: string): void;
  /** Closes standard input. */
  endInput(): void;
  /** Closes file descriptor 3, where there is one. */
  endWords(): void;
  /** SIGTERM now, SIGKILL after `killAfterMs`. A later call can only bring the kill nearer. */
  stop(killAfterMs: number): void;
  /** Never rejects. */
  readonly ended: Promise<ProcessEnd>;
}

/** Whether anybody is in it. */
const signalGroup = (pid: number, name: NodeJS.Signals): boolean => {
  try {
    process.kill(-pid, name);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code !== 'ESRCH';
  }
};

/** Resolves when everything that is ready to be written has been. */
const turnOfTheLoop = async (): Promise<void> => {
  await nextTurn();
  await nextTurn();
};

class RunningProcess implements TurnProcess {
  readonly started: Promise<number | null>;
  readonly ended: Promise<ProcessEnd>;
  readonly #options: TurnProcessOptions;
  readonly #child: Child;
  readonly #words: Duplex | undefined;
  /** From before it was started: nothing older can bear its mark. */
  readonly #birth: Birth | undefined;
  #hasExited = false;
  #killDueMs = Number.POSITIVE_INFINITY;
  #cancelKill = (): void => undefined;

  constructor(options: TurnProcessOptions) {
    this.#options = options;
    this.#birth = noteBirth();
    const child = launch(options.order, options.hasWords === true);
    this.#child = child;
    // A program need not read its prompt; one that has closed its end or has gone must not break us (EPIPE, ECONNRESET).
    child.stdin.on('error', () => undefined);
    if (options.keepsInput !== true) child.stdin.end(options.order.prompt);
    this.#words = child.stdio[3] instanceof Duplex ? child.stdio[3] : undefined;
    this.#words?.on('error', () => undefined).resume();
    const exiting = exitOf(child);
    const spawned = spawnProblem(child, options.order);
    this.started = spawned.then(async (problem) => {
      // The end of its input leaves with the next turn of the event loop: whoever waits for the start has work that would hold it up.
      await turnOfTheLoop();
      return problem === null ? (child.pid ?? null) : null;
    });
    this.ended = spawned.then((startProblem) =>
      startProblem === null ? this.#live(exiting) : { exit: null, startProblem, leftovers: 0 },
    );
  }

  write(text: string): void {
    if (this.#child.stdin.writable) this.#child.stdin.write(text);
  }

  writeWords(text: string): void {
    if (this.#words?.writable === true) this.#words.write(text);
  }

  endWords(): void {
    if (this.#words?.writableEnded === false) this.#words.end();
  }

  endInput(): void {
    if (!this.#child.stdin.writableEnded) this.#child.stdin.end();
  }

  stop(killAfterMs: number): void {
    const { clock } = this.#options;
    const { pid } = this.#child;
    if (this.#hasExited || pid === undefined) return;
    if (this.#killDueMs === Number.POSITIVE_INFINITY) signalGroup(pid, 'SIGTERM');
    const dueMs = clock.monotonicMs() + killAfterMs;
    if (dueMs >= this.#killDueMs) return;
    this.#killDueMs = dueMs;
    this.#cancelKill();
    this.#cancelKill = clock.timer(killAfterMs, () => void signalGroup(pid, 'SIGKILL'), { keepAlive: true });
  }

  async #live(exiting: Promise<ProcessExit>): Promise<ProcessEnd> {
    const { stdout, stderr, onOutputEnd, clock, onReaderFailed } = this.#options;
    const child = this.#child;
    const both = [
      { stream: child.stdout, reader: stdout },
      { stream: child.stderr, reader: stderr },
    ];
    const outputs = new ProcessOutputs(clock, both, onReaderFailed);
    const [output, errors] = outputs.read();
    const reading = Promise.all([output?.then(onOutputEnd), errors]);
    const exit = await exiting;
    this.#hasExited = true;
    this.#words?.destroy();
    this.#cancelKill();
    const leftovers = await this.#sweep();
    const cancelEnd = outputs.endSilent();
    await reading;
    cancelEnd();
    return { exit, startProblem: null, leftovers };
  }

  async #sweep(): Promise<number> {
    const { order, clock } = this.#options;
    const { pid } = this.#child;
    const mark = `${order.mark}=${order.environment[order.mark] ?? ''}`;
    // Most leave nobody: neither in their group nor elsewhere.
    if (this.#birth !== undefined && isNobodySince(this.#birth, mark)) return 0;
    // Those of the group that have thrown their environment away are found by the group only.
    const hasGroup = pid !== undefined && signalGroup(pid, 'SIGTERM');
    const graceMs = Math.min(order.limits.killAfterMs, Math.max(0, this.#killDueMs - clock.monotonicMs()));
    const leftovers = await sweepMarked(mark, clock, graceMs, { since: this.#birth });
    if (hasGroup) signalGroup(pid, 'SIGKILL');
    return leftovers;
  }
}

/** Starts the program of `order`. */
export const startTurnProcess = (options: TurnProcessOptions): TurnProcess => {
  try {
    return new RunningProcess(options);
  } catch (error) {
    // Some failures of the system (arguments too long) are thrown instead of told.
    const startProblem = startProblemOf(options.order, error);
    const ended = Promise.resolve({ exit: null, startProblem, leftovers: 0 });
    const nothing = (): void => undefined;
    const deaf = { write: nothing, writeWords: nothing, endInput: nothing, endWords: nothing };
    return { started: Promise.resolve(null), ended, stop: nothing, ...deaf };
  }
};
