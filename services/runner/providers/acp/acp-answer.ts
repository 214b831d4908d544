// The answer to a prompt, read from the message it came in. Pure: what the answer means is acp-closing.policy.ts's.
import { failureIn, promptResult, quotaMeta, type PromptUsage, type RpcError } from './acp-message.ts';
import type { PromptAnswer, PromptTokens } from './acp-closing.policy.ts';
import type { AcpQuirks } from './acp-quirks.policy.ts';
import type { Answer } from './acp-peer.ts';

const NO_RESULT: RpcError = { code: 0, message: 'the answer to the prompt cannot be read' };

const isNumber = (value: number | null | undefined): number | null => value ?? null;

const ofUsage = (usage: PromptUsage): PromptTokens => ({
  input: isNumber(usage.inputTokens),
  output: isNumber(usage.outputTokens),
  cachedRead: isNumber(usage.cachedReadTokens),
  cachedWrite: isNumber(usage.cachedWriteTokens),
});

const ofQuota = (meta: unknown): PromptTokens | null => {
  const { data } = quotaMeta.safeParse(meta);
  if (data === undefined) return null;
  const { input_tokens: input, output_tokens: output } = data.quota.token_count;
  return { input: isNumber(input), output: isNumber(output), cachedRead: null, cachedWrite: null };
};

/** The words of an error's data, wherever an agent puts them. */
const detailOf = ({ data }: RpcError): string => {
  if (typeof data === 'string') return data;
  if (typeof data !== 'object' || data === null) return '';
  const fields: Readonly<Record<string, unknown>> = { ...data };
  const { details, message, errorName, errorKind } = fields;
  return [errorName, errorKind, details ?? message].filter((part) => typeof part === 'string').join(' ');
};

/** An error answer in the words of acp-closing.policy.ts. */
export const errorAnswer = (error: RpcError): Extract<PromptAnswer, { readonly kind: 'error' }> => ({
  kind: 'error',
  code: error.code,
  message: error.message,
  detail: detailOf(error),
});

/** What was answered; the agent was not gone. */
export const promptAnswer = (
  answer: Exclude<Answer, { readonly kind: 'gone' }>,
  quirks: AcpQuirks,
): PromptAnswer => {
  if (answer.kind === 'error') return errorAnswer(answer.error);
  const { data } = promptResult.safeParse(answer.result);
  if (data === undefined) return errorAnswer(NO_RESULT);
  const { stopReason, usage, _meta: meta } = data;
  const tokens = quirks.usage === 'quota' ? ofQuota(meta) : null;
  return {
    kind: 'result',
    stopReason,
    usage: tokens ?? (usage === null || usage === undefined ? null : ofUsage(usage)),
    failure: failureIn(meta) ?? null,
  };
};
