// One turn of a simulated runner: claims, starts, works under its lease, asks people, is told things, and reports its end; or it is too late, and
// whoever holds the run by then has nothing to fear of it. It ends for good with the process that does it.
import { makeId } from '#streams/ids.ts';
import type { TurnInstruction } from '#streams/instructions.ts';
import type { ReportData, ReportName } from '#streams/reports.ts';
import type { TurnResult } from '#streams/turn-result.ts';
import { done } from './scripted-runner.ts';
import { askRuns } from './simulated-asking.ts';
import { below, isLucky, oneOf, type World } from './simulated-world.ts';

const failed = (kind: 'provider-failed' | 'infra-failed' | 'runner-lost'): TurnResult => ({
  ...done,
  outcome: 'failed',
  exitCode: 2,
  failure: { kind, message: kind },
});

const ENDS: readonly TurnResult[] = [
  done,
  done,
  done,
  failed('provider-failed'),
  failed('infra-failed'),
  failed('runner-lost'),
  { ...done, outcome: 'blocked', summary: 'needs a key' },
];
const unfit: TurnResult = {
  ...done,
  outcome: 'failed',
  exitCode: null,
  failure: { kind: 'infra-failed', message: 'no program', unfit: true },
};
const cancelled: TurnResult = { ...done, outcome: 'cancelled' };

/** How long a question waits, ms. */
const QUESTION_MS = 6000;

/** The process that does it. */
export interface TurnHost {
  readonly world: World;
  readonly runner: { readonly agent: string };
  readonly runnerId: string;
  readonly over: AbortController;
  readonly isAlive: boolean;
  /** Turns in hand, by run. */
  readonly turns: Map<string, Turn>;
  /** Puts a report into the buffer. */
  report<Name extends ReportName>(
    name: Name,
    data: ReportData<Name>,
    turn: Pick<Turn, 'runId' | 'fence'>,
  ): void;
}

/** What a process knows of a turn in hand. */
export class Turn {
  readonly runId: string;
  readonly sessionId: string;
  readonly turnId: string;
  fence = 0;
  /** `claiming` until it has its fence; for what happens to it. */
  phase: 'claiming' | 'claimed' | 'running' | 'asking' | 'finishing' = 'claiming';
  stopped: 'cancel' | 'interrupt' | undefined;
  readonly #life: TurnHost;
  readonly #answers = new Set<string>();
  /** Interrupts its waiting. */
  #wake = new AbortController();

  constructor(life: TurnHost, { runId, sessionId }: TurnInstruction) {
    this.#life = life;
    this.runId = runId;
    this.sessionId = sessionId;
    this.turnId = makeId('turn', life.world.ids.ulid());
  }

  stop(why: 'cancel' | 'interrupt'): void {
    this.stopped ??= why;
    this.#wake.abort();
  }

  answer(approvalId: string): void {
    this.#answers.add(approvalId);
    this.#wake.abort();
  }

  hasAnswer(approvalId: string): boolean {
    return this.#answers.has(approvalId);
  }

  /** Words for the program: it takes them, or not. */
  told(commandId: string): void {
    const { world } = this.#life;
    const about = { runId: this.runId, sessionId: this.sessionId, turnId: this.turnId, commandId };
    const nowMs = world.clock.now();
    if (this.phase === 'finishing' || isLucky(world, 0.3)) {
      const failure = { state: 'failed', code: 'TURN_OVER', message: 'too late' } as const;
      return this.#life.report('command-finished', { ...about, ...failure, finishedAt: nowMs }, this);
    }
    this.#life.report('command-acknowledged', { ...about, acknowledgedAt: nowMs }, this);
    if (isLucky(world, 0.5))
      this.#life.report('command-finished', { ...about, state: 'completed', finishedAt: nowMs }, this);
  }

  /** Waits, unless something comes. */
  async pause(delayMs: number): Promise<void> {
    await this.#life.world.clock.sleep(delayMs, AbortSignal.any([this.#wake.signal, this.#life.over.signal]));
    this.#wake = new AbortController();
  }
}

const start = (life: TurnHost, turn: Turn, { commandId, provider }: TurnInstruction): void => {
  const { world, runner } = life;
  const about = { runId: turn.runId, sessionId: turn.sessionId, turnId: turn.turnId };
  const facts = { commandId, provider, runnerId: life.runnerId, program: ['agent'], workspace: 'w', pid: 1 };
  life.report('turn-started', { ...about, ...facts, startedAt: world.clock.now() }, turn);
  if (isLucky(world, 0.3))
    life.report(
      'session-bound',
      { ...about, providerSessionId: `${runner.agent}-${below(world, 3)}`, requested: null },
      turn,
    );
};

const ask = (life: TurnHost, turn: Turn, { commandId }: TurnInstruction, mode: 'held' | 'parked'): string => {
  const { world } = life;
  const approvalId = makeId('approval', world.ids.ulid());
  const askedAt = world.clock.now();
  const about = { runId: turn.runId, sessionId: turn.sessionId, turnId: turn.turnId, commandId };
  const call = {
    callId: 'toolu_1',
    tool: 'Bash',
    input: { command: 'make' },
    inputCutBytes: 0,
    digest: 'd'.repeat(64),
  };
  const question = {
    question: 'Allow Bash?',
    mode,
    expiresAt: askedAt + 1000 + below(world, QUESTION_MS),
    askedAt,
  };
  const rule = isLucky(world, 0.2) ? { rule: { approvers: 2 } } : {};
  life.report('approval-wanted', { ...about, approvalId, ...call, ...question, ...rule }, turn);
  return approvalId;
};

/** Keeps the lease once; false: the turn is over for this process. Now and then it goes on although it was told that it lost it. */
const renew = async (life: TurnHost, turn: Turn): Promise<boolean> => {
  const { runId, fence } = turn;
  const answer = await askRuns(
    life.world,
    'renew',
    { runId, runnerId: life.runnerId, fence },
    life.runner.agent,
  );
  if (!life.isAlive) return false;
  if (answer.outcome !== 'ok') return isLucky(life.world, 0.4);
  if ((answer.result as { readonly cancelRequested: boolean }).cancelRequested) turn.stop('cancel');
  return true;
};

/** A question that a held turn waits for, until then by its own clock. */
interface Question {
  readonly approvalId: string;
  readonly untilMs: number;
}

/** The question, if it still waits; what nobody answers is withdrawn. */
const stillAsking = (life: TurnHost, turn: Turn, { approvalId, untilMs }: Question): Question | undefined => {
  const { clock } = life.world;
  if (turn.hasAnswer(approvalId)) return undefined;
  if (clock.monotonicMs() <= untilMs) return { approvalId, untilMs };
  const about = { runId: turn.runId, sessionId: turn.sessionId, turnId: turn.turnId };
  const withdrawn = { approvalId, reason: 'waited enough', withdrawnAt: clock.now() };
  life.report('approval-withdrawn', { ...about, ...withdrawn }, turn);
  return undefined;
};

/** Works until its end; `undefined`: it is over without a word. */
const work = async (
  life: TurnHost,
  turn: Turn,
  instruction: TurnInstruction,
): Promise<TurnResult | undefined> => {
  const { world } = life;
  const { leaseMs } = instruction;
  let asked: Question | undefined;
  for (let beats = below(world, 4); beats > 0 || asked !== undefined; beats -= 1) {
    // Now and then it is paused beyond its lease, and goes on as if nothing had happened.
    await turn.pause(isLucky(world, 0.08) ? leaseMs + 500 : Math.floor(leaseMs / 3));
    if (!life.isAlive || !(await renew(life, turn))) return undefined;
    if (turn.stopped !== undefined) return cancelled;
    if (asked !== undefined) asked = stillAsking(life, turn, asked);
    else if (isLucky(world, 0.25)) {
      const mode = isLucky(world, 0.5) ? 'held' : 'parked';
      const approvalId = ask(life, turn, instruction, mode);
      if (mode === 'parked') return undefined;
      asked = { approvalId, untilMs: world.clock.monotonicMs() + 2 * QUESTION_MS };
    }
    turn.phase = asked === undefined ? 'running' : 'asking';
  }
  return turn.stopped === undefined ? oneOf(world, ENDS) : cancelled;
};

/** Does what an instruction says. `onClaim`: the claim is answered. */
export const doTurn = async (
  life: TurnHost,
  instruction: TurnInstruction,
  onClaim: () => void,
): Promise<void> => {
  const { world, runner, runnerId } = life;
  const { runId, sessionId, commandId } = instruction;
  const turn = new Turn(life, instruction);
  life.turns.set(runId, turn);
  const claim = await askRuns(
    world,
    'claim',
    { runId, runnerId, claimId: commandId, commandId },
    runner.agent,
  );
  onClaim();
  if (claim.outcome !== 'ok' || !life.isAlive) return;
  turn.fence = (claim.result as { readonly fence: number }).fence;
  turn.phase = 'claimed';
  if (isLucky(world, 0.1)) await turn.pause(below(world, instruction.leaseMs * 1.5));
  if (!life.isAlive) return;
  // Its program is not there, or its login is not valid: before or after its start.
  const isUnfit = isLucky(world, 0.05);
  if (!isUnfit || isLucky(world, 0.5)) start(life, turn, instruction);
  turn.phase = 'running';
  const result = isUnfit ? unfit : await work(life, turn, instruction);
  if (result === undefined || !life.isAlive) return;
  turn.phase = 'finishing';
  const about = { runId, sessionId, turnId: turn.turnId, commandId };
  life.report('turn-finished', { ...about, result, endedAt: world.clock.now() }, turn);
};
