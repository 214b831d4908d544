// What is answered when an agent asks for permission: somebody's word carried over to one of the options that it offers, by the option's kind.
// Every decision is told; none is made up.
import type { AskApproval } from '#services/runner/approvals/approval-desk.ts';
import type { ProviderEvent } from '#services/runner/providers/provider.ts';
import { optionFor, type Wish } from './acp-closing.policy.ts';
import type { PermissionOption } from './acp-message.ts';

/** `ask`: a person is asked; the others: the settings have decided beforehand. */
export const PERMISSION_SETTINGS = ['ask', 'allow', 'reject'] as const;
export type PermissionSetting = (typeof PERMISSION_SETTINGS)[number];

/** The call that the agent wants allowed. */
export interface WantedCall {
  readonly callId: string;
  readonly tool: string;
  /** What it is about, in the agent's words. */
  readonly title: string;
  readonly input: unknown;
}

/** Who decides, and until when. */
export interface Decider {
  readonly setting: PermissionSetting;
  /** Undefined: nobody can be asked. */
  readonly ask: AskApproval | undefined;
  /** Aborts when the turn is being ended. */
  readonly withdrawn: AbortSignal;
}

export interface Permission {
  /** What the agent is answered. */
  readonly result: object;
  /** The report of the decision. */
  readonly event: ProviderEvent;
  readonly isRejected: boolean;
}

/** What was decided, by whom; `withdrawn`: the question is asked no more. */
interface Verdict {
  readonly wish: Wish | 'withdrawn';
  readonly by: string;
  readonly why: string;
}

const CANCELLED = { outcome: { outcome: 'cancelled' } };
const TITLE_CHARACTERS = 500;

const bySetting = (wish: Wish): Verdict => ({ wish, by: 'by the setting acpPermissions', why: '' });

const byAnswer = (call: WantedCall, answer: Awaited<ReturnType<AskApproval>>): Verdict => {
  const { message } = answer;
  if (!answer.isAllowed) {
    if (answer.why === 'withdrawn') return { wish: 'withdrawn', by: '', why: message };
    return {
      wish: 'reject',
      by: answer.why === 'expired' ? 'because nobody answered' : 'by approval',
      why: message,
    };
  }
  if (answer.input === call.input) return { wish: 'allow', by: 'by approval', why: message };
  return { wish: 'reject', by: 'because this agent takes no other input than its own', why: message };
};

const verdictOn = async (call: WantedCall, { setting, ask, withdrawn }: Decider): Promise<Verdict> => {
  if (setting !== 'ask') return bySetting(setting);
  if (ask === undefined) return { wish: 'reject', by: 'because nobody can be asked', why: '' };
  const { callId, tool, title, input } = call;
  const question = title === '' ? undefined : `Allow ${tool}: ${title}?`;
  return byAnswer(call, await ask({ callId, tool, input, question }, withdrawn));
};

const told = ({ tool, title }: WantedCall, words: string): ProviderEvent => ({
  kind: 'output',
  stream: 'stderr',
  text: `permission for ${tool}${title === '' ? '' : ` (${title.slice(0, TITLE_CHARACTERS)})`}: ${words}\n`,
});

/** Asks and answers. Rejects only when a person cannot be asked for a fault of the buffer. */
export const decidePermission = async (
  call: WantedCall,
  options: readonly PermissionOption[],
  decider: Decider,
): Promise<Permission> => {
  const { wish, by, why } = await verdictOn(call, decider);
  const reason = why === '' ? '' : `: ${why}`;
  if (wish === 'withdrawn' || decider.withdrawn.aborted)
    return { result: CANCELLED, event: told(call, 'no longer asked'), isRejected: false };
  const option = optionFor(options, wish);
  if (option === undefined) {
    const event = told(call, `the agent offers nothing to ${wish} it with, so it is cancelled${reason}`);
    return { result: CANCELLED, event, isRejected: true };
  }
  return {
    result: { outcome: { outcome: 'selected', optionId: option.optionId } },
    event: told(call, `${wish === 'allow' ? 'allowed' : 'rejected'} ${by}${reason}`),
    isRejected: wish === 'reject',
  };
};
