// The turns of one agent: takes instructions one after another, as many turns at once as configured and one at a time in a
// workspace, and ends them in order. Does not read queues (service.ts) and does not know what a turn does (turn.ts).
import { Fault } from '#libs/kernel/fault.ts';
import { ok, type Handled } from '#libs/consumers/disposition.ts';
import type { Ids } from '#libs/ports/ids.ts';
import { makeId } from '#streams/ids.ts';
import type { AnswerInstruction, CancelInstruction, TurnInstruction } from '#streams/instructions.ts';
import type { AgentWord } from './providers/turn-facts.ts';
import { recoverTurns, type Recovered } from './recovery.ts';
import type { SessionKeeping } from './session-keeping.ts';
import { Turn } from './turn.ts';
import type { TurnOrigin } from './turn-claim.ts';
import type { JournalEntry } from './turn-journal.ts';
import type { TurnCommand } from './turn-commands.ts';
import type { TurnParts } from './turn-parts.ts';
import type { WordAnswer } from './turn-reports.ts';
import { WorkSlots } from './work-slots.ts';

export interface RunnerOptions {
  readonly turns: TurnParts;
  readonly ids: Ids;
  /** Turns at once. */
  readonly concurrency: number;
  /** `NAME=value` in the environment of every program of this runner. */
  readonly mark: string;
  readonly keeping: SessionKeeping;
  /** The name of the workspace of a turn. */
  readonly workspaceOf: (instruction: TurnInstruction) => string;
}

const MOST_WAIT_MS = 60_000;

export class Runner {
  readonly #options: RunnerOptions;
  readonly #slots: WorkSlots;
  /** One turn at a time in a session: two that go on with one conversation would fork it silently. */
  readonly #sessions = new WorkSlots(Number.POSITIVE_INFINITY);
  readonly #turns = new Map<string, Turn>();
  readonly #stopping = new AbortController();
  readonly #begun: (() => void)[] = [];
  readonly #freed: (() => void)[] = [];
  /** Part of every claim id: a claim of an earlier process is repeated only if the journal says so. */
  readonly #epoch: string;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#slots = new WorkSlots(options.concurrency);
    this.#epoch = options.ids.ulid();
  }

  /** Turns whose program runs or whose claim is under way. */
  get active(): number {
    return this.#turns.size;
  }

  /** Calls back whenever a turn begins. */
  whenBegun(listener: () => void): void {
    this.#begun.push(listener);
  }

  /** Whether a turn that began now would have to wait for another one. */
  get isBusy(): boolean {
    return this.#slots.isFull;
  }

  /** Calls back whenever there is room again: `isBusy` says so by then. */
  whenFreed(listener: () => void): void {
    this.#freed.push(listener);
  }

  /** Clears up after an earlier process. Once, before anything else. */
  async recover(): Promise<Recovered> {
    const { turns, mark } = this.#options;
    const { clock, journal, writer, limits } = turns;
    const { killAfterMs } = limits;
    const recovered = await recoverTurns({ clock, journal, writer, mark, killAfterMs });
    for (const { isCutShort, ...entry } of recovered.claims)
      this.#begin(entry, isCutShort ? 'cut-short' : 'asked-for').catch((error: unknown) =>
        turns.onFatal(error),
      );
    await this.#options.keeping.prune();
    return recovered;
  }

  /** Resolves when the claim is settled: from then on the journal answers for the turn, and the instruction can go. */
  async takeTurn(instruction: TurnInstruction): Promise<Handled> {
    await this.#until(instruction.notBefore);
    const known = this.#turns.get(instruction.commandId);
    if (known !== undefined) return this.#whenSettled(known);
    const { ids, turns } = this.#options;
    await turns.reached('instruction-taken');
    const claimId = `${instruction.commandId}.${this.#epoch}`;
    const turnId = makeId('turn', ids.ulid());
    const turn = await this.#begin({ instruction, claimId, turnId, held: null, word: null }, 'new');
    if (turn === undefined) throw stopping();
    return this.#whenSettled(turn);
  }

  /**
   * What an agent says of its work: it decides how the turn ends, whatever becomes of the program afterwards, and the last word counts.
   * Resolves when it is on disk.
   */
  async signalDone(turnId: string, word: AgentWord): Promise<WordAnswer> {
    for (const turn of this.#turns.values()) if (turn.turnId === turnId) return turn.say(word);
    return { kind: 'refused', code: 'TURN_UNKNOWN', message: `no turn ${turnId} is in hand here` };
  }

  /** Ends the turn of the run, if it is ours. */
  takeCancel({ runId }: CancelInstruction): Handled {
    for (const turn of this.#turns.values()) if (turn.instruction.runId === runId) turn.cancel();
    return ok;
  }

  /** This runner was silent for longer than a runner may be: what it has in hand may be others' by now. */
  doubtLeases(): void {
    for (const turn of this.#turns.values()) turn.doubtLease();
  }

  /** Tells the turn of the run, if it is in hand; whose turn is over has nothing to tell, and its owner knows. */
  takeCommand(command: TurnCommand): Handled {
    const { runId } = command.data;
    for (const turn of this.#turns.values()) if (turn.instruction.runId === runId) turn.tell(command);
    return ok;
  }

  /** Tells the program that waits for it; one that waits no more needs no answer. */
  takeAnswer(instruction: AnswerInstruction): Handled {
    this.#options.turns.approvals.answer(instruction);
    return ok;
  }

  /**
   * Takes nothing more; claims under way are left to the next process; programs get `graceMs` to finish and are then
   * ended and reported as lost. Resolves when every result is on disk.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    const { clock } = this.#options.turns;
    for (const turn of this.#turns.values()) turn.leave();
    const all = Promise.all([...this.#turns.values()].map(({ done }) => done));
    const grace = new AbortController();
    await Promise.race([all, clock.sleep(graceMs, grace.signal)]);
    grace.abort();
    for (const turn of this.#turns.values()) turn.shutdown();
    await all;
  }

  async #begin(entry: JournalEntry, origin: TurnOrigin): Promise<Turn | undefined> {
    const { commandId, sessionId } = entry.instruction;
    const { signal } = this.#stopping;
    const leave = this.#options.keeping.enter(sessionId);
    const leaveSession = await this.#sessions.take(sessionId, signal);
    if (leaveSession === undefined) {
      leave();
      return undefined;
    }
    const release = await this.#slots.take(this.#options.workspaceOf(entry.instruction), signal);
    if (release === undefined) {
      leaveSession();
      leave();
      return undefined;
    }
    const turn = new Turn(this.#options.turns, entry, origin);
    this.#turns.set(commandId, turn);
    for (const tell of this.#begun) tell();
    void turn.done
      .then(release)
      .then(leaveSession)
      .then(() => this.#tellFreed());
    void turn.over.then(() => this.#turns.delete(commandId)).then(leave);
    turn.start();
    return turn;
  }

  #tellFreed(): void {
    for (const tell of this.#freed) tell();
  }

  /** Waits for a time by this clock, which may have been set meanwhile: a minute is the most. A stop ends it. */
  async #until(notBefore: number | undefined): Promise<void> {
    if (notBefore === undefined) return;
    const { clock } = this.#options.turns;
    await clock.sleep(Math.min(Math.max(0, notBefore - clock.now()), MOST_WAIT_MS), this.#stopping.signal);
    if (this.#stopping.signal.aborted) throw stopping();
  }

  async #whenSettled(turn: Turn): Promise<Handled> {
    if ((await turn.settled) === 'left') throw stopping();
    return ok;
  }
}

const stopping = (): Fault =>
  new Fault({
    code: 'RUNNER_STOPPING',
    retry: 'later',
    message: 'the runner is stopping; the instruction stays',
  });
