// One turn of a run as a process: does what turn-machine.policy.ts says and tells it what came of it. Everything that has to
// survive a crash is in the journal before it is done. Does not choose turns (runner.ts) and does not read programs (providers).
import type { TurnInstruction } from '#streams/instructions.ts';
import type { TurnApprovals } from './approvals/approval-desk.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import { stopGraceMs } from './lease-times.policy.ts';
import { ProgramEvents } from './program-events.ts';
import type { ProviderTurn } from './providers/provider.ts';
import type { AgentWord, TurnFacts } from './providers/turn-facts.ts';
import type { JournalEntry } from './turn-journal.ts';
import {
  INITIAL,
  step,
  type Claim,
  type TurnEffect,
  type TurnEnd,
  type TurnEvent,
  type TurnState,
} from './turn-machine.policy.ts';
import { TurnClaim, type TurnOrigin } from './turn-claim.ts';
import { TurnCommands, type TurnCommand } from './turn-commands.ts';
import type { TurnParts } from './turn-parts.ts';
import { TurnReports, type WordAnswer } from './turn-reports.ts';
import { isUnfitAfter, withFitness } from './unfit.policy.ts';
import type { Workspace } from './workspace/workspaces.ts';
import type { PreparedTurn } from './turn-preparation.ts';

export class Turn {
  readonly instruction: TurnInstruction;
  readonly turnId: string;
  /** Resolves when the claim is settled (refused, or in the journal); `left`: it was left to the next process. */
  readonly settled: Promise<'settled' | 'left'>;
  /** Resolves when no program of it runs and its result is on disk. The lease may be kept longer. */
  readonly done: Promise<TurnEnd>;
  /** Resolves when nothing of it is left to do here. */
  readonly over: Promise<TurnEnd>;
  readonly #parts: TurnParts;
  readonly #entry: JournalEntry;
  readonly #origin: TurnOrigin;
  readonly #claiming: TurnClaim;
  readonly #reports: TurnReports;
  readonly #commands: TurnCommands;
  readonly #settle: (how: 'settled' | 'left') => void;
  readonly #finish: (end: TurnEnd) => void;
  readonly #end: (end: TurnEnd) => void;
  #state: TurnState = INITIAL;
  #startedAtMs = 0;
  #keeper: LeaseKeeper | undefined;
  #workspace: Workspace | undefined;
  #prepared: PreparedTurn | undefined;
  #program: ProviderTurn | undefined;
  #events: ProgramEvents | undefined;
  #approvals: TurnApprovals | undefined;

  constructor(parts: TurnParts, entry: JournalEntry, origin: TurnOrigin) {
    this.#parts = parts;
    this.#entry = entry;
    this.#origin = origin;
    this.#claiming = new TurnClaim(parts, entry, origin);
    this.#reports = new TurnReports(parts, entry);
    this.#commands = new TurnCommands({ ...parts, interrupt: () => this.#interrupt() });
    this.instruction = entry.instruction;
    this.turnId = entry.turnId;
    const settled = Promise.withResolvers<'settled' | 'left'>();
    const done = Promise.withResolvers<TurnEnd>();
    const over = Promise.withResolvers<TurnEnd>();
    [this.settled, this.done, this.over] = [settled.promise, done.promise, over.promise];
    [this.#settle, this.#finish, this.#end] = [settled.resolve, done.resolve, over.resolve];
  }

  /** Asks for the run and does the turn. */
  start(): void {
    this.#guard(this.#claim());
  }

  /** The lease may have been taken away meanwhile: asks for it. */
  doubtLease(): void {
    this.#keeper?.renewNow();
  }

  cancel(): void {
    this.#dispatch({ kind: 'cancel' });
  }

  /** What the run was told while its turn is in hand. */
  tell(command: TurnCommand): void {
    this.#commands.take(command);
  }

  #interrupt(): boolean {
    const { phase } = this.#state;
    const stop = 'stop' in this.#state ? this.#state.stop : null;
    this.#dispatch({ kind: 'interrupt' });
    return (phase === 'preparing' || phase === 'running') && stop === null;
  }

  /** What the agent says of its work while its program runs. Resolves when it is on disk. */
  async say(word: AgentWord): Promise<WordAnswer> {
    const state = this.#state;
    if (state.phase !== 'running' || state.isLost) {
      const message = `turn ${this.turnId} does not run (any more)`;
      return { kind: 'refused', code: 'TURN_NOT_RUNNING', message };
    }
    await this.#reports.say(state.claim, word);
    return { kind: 'kept' };
  }

  /** The runner is stopping: what has not begun is left to the next process. */
  leave(): void {
    if (this.#state.phase === 'claiming' || this.#state.phase === 'confirming') this.shutdown();
  }

  shutdown(): void {
    this.#dispatch({ kind: 'shutdown' });
  }

  #dispatch(event: TurnEvent): void {
    const { state, effects } = step(this.#state, event);
    const hasChanged = state.phase !== this.#state.phase;
    this.#state = state;
    if (hasChanged) this.#onPhase(state);
    for (const effect of effects) this.#do(effect);
  }

  #onPhase(state: TurnState): void {
    this.#parts.observe({ kind: 'phase', runId: this.instruction.runId, state });
    if (state.phase === 'finishing') this.#parts.control.end(this.#entry.turnId);
    if (state.phase === 'over') this.#parts.control.revoke(this.#entry.turnId);
    // Nothing of the turn works in it any more.
    if (state.phase === 'delivering' || state.phase === 'over') this.#workspace?.release();
    if (state.phase === 'delivering') this.#finish('reported');
    if (state.phase !== 'over') return;
    this.#keeper?.stop();
    this.#guard(this.#parts.midTurn.closed(this.#entry.turnId));
    this.#claiming.end();
    // What has to be forgotten is forgotten first: see #do.
    if (state.end === 'reported' || state.end === 'left') this.#close(state.end);
  }

  #close(end: TurnEnd): void {
    this.#settle(end === 'left' ? 'left' : 'settled');
    this.#finish(end);
    this.#end(end);
  }

  #do(effect: TurnEffect): void {
    switch (effect.kind) {
      case 'confirm':
        return this.#guard(this.#confirm());
      case 'prepare':
        return this.#guard(this.#prepare(effect.claim));
      case 'start':
        return this.#start();
      case 'stop':
        return this.#stop(effect);
      case 'finish':
        return this.#guard(this.#report(effect.facts));
      case 'forget':
        return this.#guard(this.#forget());
    }
  }

  /** Whatever a step throws is a defect, or a disk that can no longer be trusted: the process ends, and its journal speaks for it. */
  #guard(work: Promise<void>): void {
    work.catch((error: unknown) => this.#parts.onFatal(error));
  }

  async #claim(): Promise<void> {
    const event = await this.#claiming.ask(() => this.#state.phase === 'claiming');
    if (event !== undefined) this.#dispatch(event);
  }

  async #confirm(): Promise<void> {
    if (this.#state.phase !== 'confirming') return;
    const { fence } = this.#state.claim;
    const event = await this.#claiming.confirm(fence, () => this.#state.phase === 'confirming');
    if (event !== undefined) this.#dispatch(event);
  }

  async #prepare({ fence, leaseMs }: Claim): Promise<void> {
    this.#keeper = this.#claiming.keep({ fence, leaseMs }, (event) => this.#dispatch(event));
    await this.#reports.hold({ fence, leaseMs });
    this.#settle('settled');
    this.#commands.claimed(this.#reports.scope({ fence, leaseMs }));
    await this.#parts.reached('claim-journaled');
    this.#startedAtMs = this.#parts.clock.monotonicMs();
    // Not started (again): whether the run is tried again is for its replay rule to say.
    if (this.#origin === 'cut-short') {
      this.#dispatch({ kind: 'shutdown' });
      return this.#dispatch({ kind: 'workspace-ready' });
    }
    const problem = await this.#makeReady({ fence, leaseMs });
    this.#dispatch(
      problem === undefined ? { kind: 'workspace-ready' } : { kind: 'workspace-failed', ...problem },
    );
  }

  /** Resolves with why the program cannot be started, and whether this runner is why. */
  async #makeReady(claim: Claim): Promise<{ problem: string; isUnfit: boolean } | undefined> {
    const { prepareWorkspace, prepareTurn } = this.#parts;
    const { instruction } = this;
    let doing = 'cannot prepare the workspace: ';
    try {
      const workspace = await prepareWorkspace(instruction);
      this.#workspace = workspace;
      // The run may have been lost while it was made.
      if (this.#state.phase === 'over') workspace.release();
      doing = '';
      this.#prepared = await prepareTurn(instruction, this.#reports.scope(claim), workspace);
      return undefined;
    } catch (error) {
      const problem = doing + (error instanceof Error ? error.message : String(error));
      return { problem, isUnfit: isUnfitAfter(error, instruction.request) };
    }
  }

  #start(): void {
    const prepared = this.#prepared;
    if (this.#state.phase !== 'running' || prepared === undefined) return;
    const { claim } = this.#state;
    const reports = this.#reports;
    const events = new ProgramEvents(this.#parts.writer, reports.scope(claim), (event) =>
      reports.notesOf(event, prepared),
    );
    const isStartReported = Promise.withResolvers<void>();
    const approvals = this.#parts.approvals.openFor(reports.scope(claim), {
      answers: this.instruction.approvals ?? [],
      hold: () => this.#program?.hold?.() ?? ((): void => undefined),
    });
    this.#approvals = approvals;
    const order = { ...prepared.order, askApproval: approvals.ask };
    const program = prepared.provider.start(order, async (event) => {
      await isStartReported.promise;
      await events.take(event);
    });
    this.#events = events;
    this.#program = program;
    this.#commands.started(program.steer?.bind(program));
    this.#guard(this.#reportStart(claim, program, prepared).finally(() => isStartReported.resolve()));
    this.#guard(this.#awaitEnd(program, isStartReported.promise));
  }

  async #reportStart(claim: Claim, program: ProviderTurn, prepared: PreparedTurn): Promise<void> {
    await this.#reports.start(claim, program, prepared);
    const deliver = program.deliver?.bind(program);
    if (deliver !== undefined) this.#parts.midTurn.opened(this.#reports.scope(claim), deliver);
  }

  async #awaitEnd({ ended }: ProviderTurn, isStartReported: Promise<void>): Promise<void> {
    const facts = withFitness(await ended, this.instruction.request);
    this.#approvals?.close();
    await isStartReported;
    await this.#parts.reached('program-ended');
    this.#dispatch({ kind: 'program-ended', facts });
  }

  #stop({ reason, isUrgent }: Extract<TurnEffect, { readonly kind: 'stop' }>): void {
    if (this.#state.phase === 'running' && this.#state.isLost) {
      this.#events?.silence();
      this.#parts.midTurn.silence(this.#entry.turnId);
      this.#parts.control.revoke(this.#entry.turnId);
    }
    const graceMs = isUrgent && this.#keeper !== undefined ? stopGraceMs(this.#keeper.times) : undefined;
    this.#approvals?.close();
    this.#program?.stop(reason, graceMs);
  }

  async #report(facts: TurnFacts): Promise<void> {
    if (this.#state.phase !== 'finishing') return;
    await this.#commands.ended();
    await this.#parts.midTurn.closed(this.#entry.turnId);
    const durationMs = Math.round(this.#parts.clock.monotonicMs() - this.#startedAtMs);
    const { result, sourceSeq, calls } = await this.#reports.finish(this.#state.claim, facts, durationMs);
    const { runId } = this.instruction;
    const { leftovers } = facts;
    if (result !== null) this.#parts.observe({ kind: 'finished', runId, result, leftovers, calls });
    else this.#parts.observe({ kind: 'parked', runId, tool: facts.parked?.tool ?? '' });
    this.#dispatch({ kind: 'result-stored' });
    await this.#parts.outbox.settled(sourceSeq);
    this.#dispatch({ kind: 'result-delivered' });
  }

  async #forget(): Promise<void> {
    await this.#parts.journal.remove(this.instruction);
    if (this.#state.phase === 'over') this.#close(this.#state.end);
  }
}
