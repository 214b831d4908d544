// Questions whose program waits: each is reported under the fence of its turn and settled by the owner's word, the program's own
// withdrawal, or the end of the turn. In memory only: after a crash there is no program that waits, and the claim's end closes the
// question. Does not know which calls need a question (call-rules.policy.ts).
import type { Clock } from '#libs/ports/clock.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { SettledApproval } from '#streams/approvals.ts';
import { makeId } from '#streams/ids.ts';
import type { AnswerInstruction } from '#streams/instructions.ts';
import type { ReportWriter, TurnScope } from '#services/runner/report-writer.ts';
import { askedCall, type ApprovalCall } from './asked-call.ts';

/** What became of a question. Anything but `isAllowed` means that the call must not be done. */
type ApprovalAnswer =
  /** `input`: of the call as asked, or what a person put in its place. */
  | { readonly isAllowed: true; readonly input: unknown; readonly message: string }
  | { readonly isAllowed: false; readonly why: 'reject' | 'expired' | 'withdrawn'; readonly message: string };

/** Asks a person about a call and waits, for days maybe. `signal`: the program no longer asks. Never rejects but with the faults of the buffer. */
export type AskApproval = (call: ApprovalCall, signal?: AbortSignal) => Promise<ApprovalAnswer>;

/** The questions of one turn. */
export interface TurnApprovals {
  readonly ask: AskApproval;
  /** The turn is over: whoever waits is refused, and nothing more is asked. */
  close(): void;
}

interface DeskParts {
  readonly writer: ReportWriter;
  readonly clock: Clock;
  readonly ids: Ids;
  /** How long a question may wait. */
  readonly waitMs: number;
}

export interface ApprovalDesk {
  openFor(scope: TurnScope): TurnApprovals;
  /** The owner's word; about a question that waits no more it is passed over. */
  answer(instruction: AnswerInstruction): void;
}

const WITHDRAWN: ApprovalAnswer = {
  isAllowed: false,
  why: 'withdrawn',
  message: 'the turn ended before anybody answered',
};

/** What a settled approval means for the call it was asked about. */
const answerFor = (call: ApprovalCall, approval: SettledApproval): ApprovalAnswer => {
  const { decision, input, message = '' } = approval;
  if (decision === 'approve') return { isAllowed: true, input: call.input, message };
  if (decision === 'edit') return { isAllowed: true, input, message };
  return { isAllowed: false, why: decision, message };
};

export const createApprovalDesk = ({ writer, clock, ids, waitMs }: DeskParts): ApprovalDesk => {
  const waiting = new Map<string, { readonly call: ApprovalCall; settle(answer: ApprovalAnswer): void }>();

  const report = async (scope: TurnScope, call: ApprovalCall, approvalId: string): Promise<void> => {
    const askedAt = clock.now();
    const { commandId } = scope;
    const asked = {
      ...askedCall(call),
      approvalId,
      mode: 'held' as const,
      expiresAt: askedAt + waitMs,
      askedAt,
    };
    await writer.write(scope, 'approval-wanted', { commandId, ...asked }, { id: `${approvalId}.wanted` });
  };
  const withdraw = async (scope: TurnScope, approvalId: string): Promise<void> => {
    const payload = { approvalId, reason: 'the program stopped waiting', withdrawnAt: clock.now() };
    await writer.write(scope, 'approval-withdrawn', payload, { id: `${approvalId}.withdrawn` });
  };

  return {
    openFor: (scope) => {
      const mine = new Set<string>();
      let isClosed = false;
      const settle = (approvalId: string, answer: ApprovalAnswer): void =>
        waiting.get(approvalId)?.settle(answer);
      return {
        ask: async (call, signal) => {
          if (isClosed || signal?.aborted === true) return WITHDRAWN;
          const approvalId = makeId('approval', ids.ulid());
          const answer = Promise.withResolvers<ApprovalAnswer>();
          waiting.set(approvalId, { call, settle: answer.resolve });
          mine.add(approvalId);
          const onAbort = (): void => settle(approvalId, WITHDRAWN);
          signal?.addEventListener('abort', onAbort, { once: true });
          try {
            await report(scope, call, approvalId);
            const settled = await answer.promise;
            if (settled === WITHDRAWN && !isClosed) await withdraw(scope, approvalId);
            return settled;
          } finally {
            signal?.removeEventListener('abort', onAbort);
            waiting.delete(approvalId);
            mine.delete(approvalId);
          }
        },
        close: () => {
          isClosed = true;
          for (const approvalId of mine) settle(approvalId, WITHDRAWN);
        },
      };
    },
    answer: ({ approval }) => {
      const found = waiting.get(approval.approvalId);
      found?.settle(answerFor(found.call, approval));
    },
  };
};
