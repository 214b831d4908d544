// What the answer to a prompt says about the end of the turn, and what the turn used. Pure and total: every answer has a meaning, and none
// but an `end_turn` that is no failure in disguise means done.
import type { AcpQuirks } from './acp-quirks.policy.ts';

/** An answer to `session/prompt`: a result or an error. */
export type PromptAnswer =
  | {
      readonly kind: 'result';
      readonly stopReason: string;
      /** Null: it says nothing of its usage. */
      readonly usage: PromptTokens | null;
      /** Told beside the result: the prompt has failed, whatever the stop reason says. */
      readonly failure: {
        readonly severity: string;
        readonly title: string;
        readonly category: string;
      } | null;
    }
  | { readonly kind: 'error'; readonly code: number; readonly message: string; readonly detail: string };

/** As the agents count: the cached ones are not among `input`. */
export interface PromptTokens {
  readonly input: number | null;
  readonly output: number | null;
  readonly cachedRead: number | null;
  readonly cachedWrite: number | null;
}

/** What had happened during the prompt. */
export interface PromptFacts {
  /** Tool calls that were turned down. */
  readonly rejections: number;
  /** The agent has said or done something since the last of them. */
  readonly isGoneOn: boolean;
  /** Its words since the last tool call. */
  readonly lastText: string;
}

export interface PromptClosing {
  readonly outcome: 'done' | 'failed';
  readonly summary: string;
  readonly message: string;
}

const AUTH_NEEDED = -32_000;

const done = (summary: string): PromptClosing => ({ outcome: 'done', summary, message: '' });
const failed = (message: string): PromptClosing => ({ outcome: 'failed', summary: '', message });

const REASONS: ReadonlyMap<string, string> = new Map([
  ['max_tokens', 'the answer was cut at the limit of its tokens'],
  ['max_turn_requests', 'the agent used up the requests that it may make in a turn'],
  ['refusal', 'the model refused to answer'],
]);

const GAVE_UP = 'the agent gave up because a tool call was turned down';

const endTurn = (quirks: AcpQuirks, hasUsage: boolean, facts: PromptFacts): PromptClosing => {
  const { rejections, isGoneOn, lastText } = facts;
  if (quirks.isFailedWithoutUsage && !hasUsage)
    return failed(lastText.trim() === '' ? 'the agent ended without asking its model' : lastText.trim());
  if (quirks.afterReject === 'falls-silent' && rejections > 0 && !isGoneOn) return failed(GAVE_UP);
  return done(lastText);
};

const errorClosing = ({ code, message, detail }: Extract<PromptAnswer, { kind: 'error' }>): PromptClosing => {
  const words = detail === '' || message.includes(detail) ? message : `${message}: ${detail}`;
  return failed(code === AUTH_NEEDED ? `the agent is not logged in: ${words}` : `${words} (code ${code})`);
};

/** The word about its end that an answer stands for. */
export const closingOf = (answer: PromptAnswer, quirks: AcpQuirks, facts: PromptFacts): PromptClosing => {
  if (answer.kind === 'error') return errorClosing(answer);
  const { stopReason, failure, usage } = answer;
  if (failure !== null && failure.severity === 'error')
    return failed(failure.title === '' ? `the agent failed (${failure.category})` : failure.title);
  if (stopReason === 'end_turn') return endTurn(quirks, usage !== null, facts);
  // Nobody had asked for it: a cancel that was asked for is judged by the request, not by this word.
  if (stopReason === 'cancelled')
    return failed(facts.rejections > 0 ? GAVE_UP : 'the agent cancelled the turn by itself');
  return failed(REASONS.get(stopReason) ?? `the agent ended for a reason not known here: ${stopReason}`);
};

/** Tokens of the turn as reports have them; undefined: what the agent says is not of the turn. */
export const tokensOf = (
  usage: PromptTokens | null,
  quirks: AcpQuirks,
): { inputTokens?: number; cachedInputTokens?: number; outputTokens?: number } | undefined => {
  if (usage === null || quirks.usage === 'last-request') return undefined;
  const { input, output, cachedRead, cachedWrite } = usage;
  return {
    ...(input !== null && { inputTokens: input + (cachedRead ?? 0) + (cachedWrite ?? 0) }),
    ...(cachedRead !== null && { cachedInputTokens: cachedRead }),
    ...(output !== null && { outputTokens: output }),
  };
};

/** What is done with an approval: which option to choose, by its kind. */
export type Wish = 'allow' | 'reject';

const ORDER: Readonly<Record<Wish, readonly string[]>> = {
  // Once before always: a person who allows one call has not allowed the next.
  allow: ['allow_once', 'allow_always'],
  reject: ['reject_once', 'reject_always'],
};

/** The option that a wish stands for, by its kind: ids and names differ from agent to agent. Undefined: there is none. */
export const optionFor = <Option extends { readonly kind: string }>(
  options: readonly Option[],
  wish: Wish,
): Option | undefined =>
  ORDER[wish]
    .map((kind) => options.find((option) => option.kind === kind))
    .find((option) => option !== undefined);
