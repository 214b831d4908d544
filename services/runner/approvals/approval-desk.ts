// The questions of a runner's turns. Held ones: reported under the fence of their turn and settled by the owner's word, the program's own
// withdrawal, or the end of the turn; in memory only, because after a crash there is no program that waits and the claim's end closes
// the question. Put-off ones: the program ends, and what it is told when it is resumed comes with the turn's instruction.
import { createHash } from 'node:crypto';
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { ApprovalMode, ApprovalRule, AskedCall, SettledApproval } from '#streams/approvals.ts';
import { idFromDigest, makeId } from '#streams/ids.ts';
import type { AnswerInstruction } from '#streams/instructions.ts';
import type { ApprovalsPart } from '#services/runner/control/control-parts.ts';
import type { ReportWriter, TurnScope } from '#services/runner/report-writer.ts';
import { askedCall, type ApprovalCall } from './asked-call.ts';
import { decideCall, type CallDecision, type PlannedCall } from './call-decision.ts';

/** What became of a question. Anything but `isAllowed` means that the call must not be done. */
type ApprovalAnswer =
  /** `input`: of the call as asked, or what a person put in its place. */
  | { readonly isAllowed: true; readonly input: unknown; readonly message: string }
  | {
      readonly isAllowed: false;
      readonly why: 'reject' | 'expired' | 'withdrawn';
      readonly message: string;
    };

/** Asks a person about a call and waits, for days maybe. `signal`: the program no longer asks. Never rejects but with the faults of the buffer. */
export type AskApproval = (call: ApprovalCall, signal?: AbortSignal) => Promise<ApprovalAnswer>;

/** The questions of one turn. */
export interface TurnApprovals {
  readonly ask: AskApproval;
  /** The turn is over: whoever waits is refused, and nothing more is asked. */
  close(): void;
}

interface OpenOptions {
  /** What the turn is resumed with. */
  readonly answers: readonly SettledApproval[];
  /** The turn waits for a person from now on; gives what ends that. */
  readonly hold: () => () => void;
}

interface DeskParts {
  readonly writer: ReportWriter;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly config: {
    /** How long a question may wait. */
    readonly approvalWaitMs: number;
    /** Calls that are asked about before they are made (call-rules.policy.ts). */
    readonly askBefore: readonly string[];
    /** Who must allow them. */
    readonly approvalApprovers: number;
    readonly approvalRole?: string | undefined;
    readonly approvalFourEyes: boolean;
  };
}

/** What a report of a put-off call says. */
type ParkedQuestion = AskedCall & { readonly askedAt: number };

export interface ApprovalDesk {
  /** Whether any call is asked about before it is made. */
  readonly isAsked: boolean;
  openFor(scope: TurnScope, options: OpenOptions): TurnApprovals;
  /** The owner's word; about a question that waits no more it is passed over. */
  answer(instruction: AnswerInstruction): void;
  /** About a call that the program of a turn is about to make. Waits for nobody. */
  decide(turnId: string, call: PlannedCall): CallDecision;
  /** As {@link TurnApprovals.ask}, by the turn's id; a turn that is over is refused. */
  askFor(
    turnId: string,
    call: PlannedCall & { readonly question?: string },
    signal: AbortSignal,
  ): Promise<ApprovalAnswer>;
  /** The question that a turn is parked with. The same turn and call give the same id. */
  parked(scope: TurnScope, call: ApprovalCall): ParkedQuestion;
}

const WITHDRAWN: ApprovalAnswer = {
  isAllowed: false,
  why: 'withdrawn',
  message: 'the turn ended before anybody answered',
};

/** What the settings ask for; undefined when anybody may allow a call, alone. */
const ruleOf = ({
  approvalApprovers,
  approvalRole,
  approvalFourEyes,
}: DeskParts['config']): ApprovalRule | undefined =>
  approvalApprovers === 1 && approvalRole === undefined && !approvalFourEyes
    ? undefined
    : {
        approvers: approvalApprovers,
        fourEyes: approvalFourEyes,
        ...(approvalRole !== undefined && { role: approvalRole }),
      };

/** What a settled approval means for the call it was asked about. */
const answerFor = (call: ApprovalCall, approval: SettledApproval): ApprovalAnswer => {
  const { decision, input, message = '' } = approval;
  if (decision === 'approve') return { isAllowed: true, input: call.input, message };
  if (decision === 'edit') return { isAllowed: true, input, message };
  return { isAllowed: false, why: decision, message };
};

/** A turn whose program may ask. */
interface OpenTurn extends TurnApprovals {
  readonly answers: readonly SettledApproval[];
  deferredCallId: string | null;
}

interface Waiting {
  readonly call: ApprovalCall;
  settle(answer: ApprovalAnswer): void;
}

class Desk implements ApprovalDesk {
  readonly #parts: DeskParts;
  readonly #waiting = new Map<string, Waiting>();
  readonly #turns = new Map<string, OpenTurn>();

  constructor(parts: DeskParts) {
    this.#parts = parts;
  }

  get isAsked(): boolean {
    return this.#parts.config.askBefore.length > 0;
  }

  openFor(scope: TurnScope, { answers, hold }: OpenOptions): TurnApprovals {
    const mine = new Set<string>();
    const { turnId } = scope;
    const turn: OpenTurn = {
      answers,
      deferredCallId: null,
      ask: async (call, signal) => {
        if (this.#turns.get(turnId) !== turn || signal?.aborted === true) return WITHDRAWN;
        const approvalId = makeId('approval', this.#parts.ids.ulid());
        mine.add(approvalId);
        const release = hold();
        try {
          const answer = await this.#wait(scope, { approvalId, call }, signal);
          const isOurs = this.#turns.get(turnId) === turn;
          if (answer === WITHDRAWN && isOurs) await this.#withdraw(scope, approvalId);
          return answer;
        } finally {
          release();
          mine.delete(approvalId);
        }
      },
      close: () => {
        if (this.#turns.get(turnId) === turn) this.#turns.delete(turnId);
        for (const approvalId of mine) this.#waiting.get(approvalId)?.settle(WITHDRAWN);
      },
    };
    this.#turns.set(turnId, turn);
    return turn;
  }

  answer({ approval }: AnswerInstruction): void {
    const found = this.#waiting.get(approval.approvalId);
    found?.settle(answerFor(found.call, approval));
  }

  decide(turnId: string, call: PlannedCall): CallDecision {
    const turn = this.#turns.get(turnId);
    if (turn === undefined) return { decision: 'deny', message: 'the turn is over' };
    const { answers, deferredCallId } = turn;
    const decision = decideCall(call, { rules: this.#parts.config.askBefore, answers, deferredCallId });
    if (decision.decision === 'defer') turn.deferredCallId = call.callId;
    return decision;
  }

  async askFor(
    turnId: string,
    { callId, ...call }: PlannedCall & { readonly question?: string },
    signal: AbortSignal,
  ): Promise<ApprovalAnswer> {
    const turn = this.#turns.get(turnId);
    return turn === undefined ? WITHDRAWN : turn.ask({ ...call, callId: callId ?? call.tool }, signal);
  }

  parked({ turnId }: TurnScope, call: ApprovalCall): ParkedQuestion {
    const digest = createHash('sha256').update(`${turnId}#${call.callId}`).digest();
    return this.#question(idFromDigest('approval', digest), call, 'parked');
  }

  #question(approvalId: string, call: ApprovalCall, mode: ApprovalMode): ParkedQuestion {
    const askedAt = this.#parts.clock.now();
    const rule = ruleOf(this.#parts.config);
    return {
      ...askedCall(call),
      ...(rule !== undefined && { rule }),
      approvalId,
      mode,
      expiresAt: askedAt + this.#parts.config.approvalWaitMs,
      askedAt,
    };
  }

  async #wait(
    scope: TurnScope,
    { approvalId, call }: { readonly approvalId: string; readonly call: ApprovalCall },
    signal: AbortSignal | undefined,
  ): Promise<ApprovalAnswer> {
    const answer = Promise.withResolvers<ApprovalAnswer>();
    const onAbort = (): void => answer.resolve(WITHDRAWN);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.set(approvalId, { call, settle: answer.resolve });
    try {
      const payload = { commandId: scope.commandId, ...this.#question(approvalId, call, 'held') };
      await this.#parts.writer.write(scope, 'approval-wanted', payload, { id: `${approvalId}.wanted` });
      return await answer.promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#waiting.delete(approvalId);
    }
  }

  async #withdraw(scope: TurnScope, approvalId: string): Promise<void> {
    const { writer, clock } = this.#parts;
    const payload = { approvalId, reason: 'the program stopped waiting', withdrawnAt: clock.now() };
    await writer.write(scope, 'approval-withdrawn', payload, { id: `${approvalId}.withdrawn` });
  }
}

/** The desk as the control endpoint takes it. */
export const approvalsPart = (desk: ApprovalDesk): ApprovalsPart => ({
  isAsked: desk.isAsked,
  decide: ({ turnId }, call) => Promise.resolve(desk.decide(turnId, call)),
  ask: ({ turnId }, call, signal) => desk.askFor(turnId, call, signal),
});

export const createApprovalDesk = (parts: DeskParts): ApprovalDesk => new Desk(parts);
