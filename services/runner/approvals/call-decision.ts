// What a program is told before it makes a call: nothing, what a person has answered about exactly this call, or to end and ask again
// when there is an answer. Answers count for the call with their id and their digest; anything else is asked about anew.
import type { SettledApproval } from '#streams/approvals.ts';
import { callDigest } from './asked-call.ts';
import { asksBefore } from './call-rules.policy.ts';

/** `none`: no rule is about it. `allow`: with this input, where there is one. `defer`: the program ends, and asks again when it is resumed. */
export type CallDecision =
  | { readonly decision: 'none' }
  | { readonly decision: 'allow'; readonly input?: unknown; readonly message: string }
  | { readonly decision: 'deny'; readonly message: string }
  | { readonly decision: 'defer' };

export interface PlannedCall {
  /** The program's own id of the call, the same when it is resumed; null: it has none. */
  readonly callId: string | null;
  readonly tool: string;
  readonly input: unknown;
}

/** What is known in a turn. */
export interface CallKnowledge {
  readonly rules: readonly string[];
  /** What the turn was resumed with. */
  readonly answers: readonly SettledApproval[];
  /** The call that this turn has put off; null: none so far. */
  readonly deferredCallId: string | null;
}

const REFUSED = {
  reject: 'A person has refused this call.',
  expired: 'Nobody has allowed this call in time, so it must not be made.',
  withdrawn: 'This call is not asked about any more, so it must not be made.',
} as const;

/** What an answer means for the program that asks again. */
const told = ({ decision, input, message = '' }: SettledApproval): CallDecision => {
  if (decision === 'approve') return { decision: 'allow', message };
  if (decision === 'edit') return { decision: 'allow', input, message };
  return { decision: 'deny', message: [REFUSED[decision], message].join(' ').trim() };
};

export const decideCall = (call: PlannedCall, known: CallKnowledge): CallDecision => {
  const { callId, tool, input } = call;
  const answer = known.answers.find((one) => one.callId === callId);
  // The id of the call with another input: that one was not shown to anybody.
  if (answer !== undefined && answer.digest === callDigest(tool, input)) return told(answer);
  if (!asksBefore(known.rules, call)) return { decision: 'none' };
  if (callId === null)
    return {
      decision: 'deny',
      message: `${tool} needs a person's approval, and this call cannot be asked about.`,
    };
  // Of several calls in one message the program keeps one; the others would be lost without a word (measured: Claude Code 2.1.329).
  if (known.deferredCallId !== null && known.deferredCallId !== callId)
    return {
      decision: 'deny',
      message: `Another call of this message waits for a person's approval, and ${tool} needs one too: make this call again by itself afterwards.`,
    };
  return { decision: 'defer' };
};
