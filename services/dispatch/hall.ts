// Where the tasks of one tenant and project wait to be handed over. Decides whenever something has changed, one hand-over at a time,
// and always from a board that has seen the last one. Holds nothing that could be lost: killed at any point, the next dispatcher
// sees on the log what was handed over and what was not.
//   idle      nothing can go
//   asking    a hand-over is asked for; changes wait for its end
//   seeing    it was made (or another dispatcher's was): nothing is decided before it is on the board
import { Fault, toFault } from '#libs/kernel/fault.ts';
import type { CancelTimer, Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { MAX_GRANTS } from '#streams/admission.ts';
import type { Boundary } from '#streams/subjects.ts';
import type { Board } from './board.policy.ts';
import { decideGrants, type Grant } from './dispatch.policy.ts';
import type { Limits } from './limits.policy.ts';
import type { AskTasks } from './ask-tasks.ts';

export interface HallParts {
  readonly boundary: Boundary;
  readonly board: Board;
  readonly limits: Limits;
  readonly ask: AskTasks;
  /** Names this process in the record. */
  readonly dispatcher: string;
  readonly clock: Clock;
  readonly ids: Ids;
  /** How long a runner may be gone before what it has not begun is taken back. */
  readonly recallAfterMs: number;
  /** Resolves when everything up to this sequence is on the board, or when this dispatcher stops. */
  readonly reached: (seq: number) => Promise<void>;
  readonly signal: AbortSignal;
  /** A task that cannot be handed over, whatever is free. */
  readonly onSetAside: (taskId: string) => void;
  /** It is tried again. */
  readonly onTrouble: (fault: Fault) => void;
  /** This dispatcher cannot go on. */
  readonly onFailure: (error: unknown) => void;
}

/** Between two tries while the owner of tasks is away; up to twice as long, by chance. */
const RETRY_MS = 250;
/** A timer holds no longer than this; then the time is looked at again. */
const MOST_WAIT_MS = 3_600_000;

export class Hall {
  readonly #parts: HallParts;
  readonly #timers = new Map<string, () => void>();
  readonly #work = new Set<Promise<void>>();
  #isDeciding = false;
  #isDue = false;
  #cancelPause: CancelTimer | undefined;

  constructor(parts: HallParts) {
    this.#parts = parts;
  }

  /** Something has changed. */
  wake(): void {
    this.#isDue = true;
    if (this.#isDeciding || this.#parts.signal.aborted) return;
    this.#isDeciding = true;
    this.#track(this.#decide());
  }

  /** The agent is not there, or was not when it was given something: what it has not begun is taken back if it stays away. */
  watchAbsence(agent: string): void {
    const { board, clock, recallAfterMs, signal } = this.#parts;
    if (board.runners.isPresent(agent) || this.#timers.has(agent) || signal.aborted) return;
    this.#timers.set(
      agent,
      clock.timer(recallAfterMs, () => this.recallFrom(agent)),
    );
  }

  /** The agent is known to be gone: what it has not begun is taken back now. */
  recallFrom(agent: string): void {
    this.#timers.get(agent)?.();
    this.#timers.delete(agent);
    if (!this.#parts.signal.aborted) this.#track(this.#recall(agent));
  }

  /** Resolves when nothing is under way any more; to be called after the signal has aborted. */
  async stopped(): Promise<void> {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#cancelPause?.();
    await Promise.all(this.#work);
  }

  #track(work: Promise<void>): void {
    const tracked = work.catch(this.#parts.onFailure).finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }

  async #decide(): Promise<void> {
    const { board, limits, signal } = this.#parts;
    try {
      while (this.#isDue && !signal.aborted) {
        this.#isDue = false;
        this.#endPauses();
        const grants = decideGrants(board, limits, MAX_GRANTS);
        if (grants.length === 0) continue;
        await this.#handOver(grants);
        this.#isDue = true;
      }
    } finally {
      this.#isDeciding = false;
    }
  }

  /** Ends those that are over, and comes again when the next one is. */
  #endPauses(): void {
    const { board, clock } = this.#parts;
    const { pauses, unfit } = board.runners;
    pauses.endDue(clock.now());
    unfit.endDue(clock.now());
    this.#cancelPause?.();
    const ends = [pauses.next(), unfit.next()].filter((end) => end !== undefined);
    const next = ends.length === 0 ? undefined : Math.min(...ends);
    const waitMs = next === undefined ? undefined : Math.min(MOST_WAIT_MS, Math.max(1, next - clock.now()));
    this.#cancelPause = waitMs === undefined ? undefined : clock.timer(waitMs, () => this.wake());
  }

  async #handOver(grants: readonly Grant[]): Promise<void> {
    const { board, boundary, ask, dispatcher, ids, reached } = this.#parts;
    const request = {
      grantId: `grant-${ids.ulid()}`,
      expectedSeq: board.admissionSeq,
      dispatcher,
      grants: [...grants],
    };
    try {
      const answer = await ask(boundary, 'assign', request);
      if (answer.outcome === 'ok') {
        await reached(answer.result.upToSeq);
        return this.#setAside(grants, answer.result.granted);
      }
      // Another dispatcher was faster.
      const actualSeq = answer.detail['actualSeq'];
      if (answer.code !== 'ADMISSION_SUPERSEDED' || typeof actualSeq !== 'number') throw unexpected(answer);
      await reached(actualSeq);
      board.applyGrant(actualSeq);
    } catch (error) {
      // Whether it was made is not known, and need not be: if it was, the next one is refused until this board has seen it.
      await this.#waitAfter(error);
    }
  }

  /**
   * What was asked for, was not handed over, and waits all the same although everything has been seen: its owner cannot read it. It is
   * left to people, so that it holds up nobody else.
   */
  #setAside(asked: readonly Grant[], granted: readonly string[]): void {
    if (granted.length === asked.length || this.#parts.signal.aborted) return;
    const { board, onSetAside } = this.#parts;
    for (const { taskId, attempt } of asked)
      if (!granted.includes(taskId) && board.setAside(taskId, attempt)) onSetAside(taskId);
  }

  async #recall(agent: string): Promise<void> {
    const { board, boundary, ask } = this.#parts;
    if (board.runners.isPresent(agent)) return;
    const reason = `the runner of ${agent} is gone`;
    for (const active of board.active()) {
      if (active.agent !== agent || active.isBegun) continue;
      const { attempt, task } = active;
      try {
        await ask(boundary, 'recall', {
          taskId: task.taskId,
          attempt,
          reason,
          actor: 'service:dispatch',
        });
      } catch (error) {
        await this.#waitAfter(error);
        return this.watchAbsence(agent);
      }
    }
  }

  /** Throws what waiting does not help. */
  async #waitAfter(error: unknown): Promise<void> {
    const { clock, ids, signal, onTrouble } = this.#parts;
    const fault = toFault(error);
    if (fault.retry === 'never') throw error;
    onTrouble(fault);
    await clock.sleep(Math.round(RETRY_MS * (1 + ids.random())), signal);
  }
}

const unexpected = ({ code, message }: { readonly code: string; readonly message: string }): Fault =>
  new Fault({
    code: 'ANSWER_INVALID',
    retry: 'never',
    message: `a hand-over was refused: ${code}: ${message}`,
  });
