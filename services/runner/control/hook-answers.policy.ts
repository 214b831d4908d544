// What a hook of a program is answered, in the words that Claude Code and Codex share (measured: 2.1.329, 0.169.0). Pure.
// An empty object says nothing: the program goes on by its own rules.

/** What has been decided about a tool call. */
export type ToolVerdict =
  | { readonly decision: 'allow'; readonly input?: unknown; readonly message: string }
  | { readonly decision: 'deny'; readonly message: string }
  /** To be decided later. */
  | { readonly decision: 'defer' }
  /** No rule is about it. */
  | { readonly decision: 'none' };

export type HookAnswer = Readonly<Record<string, unknown>>;

/** Says nothing. */
export const NO_ANSWER: HookAnswer = {};

/** Sends the agent on with this reason; null: it may stop. */
export const stopAnswer = (reason: string | null): HookAnswer =>
  reason === null ? NO_ANSWER : { decision: 'block', reason };

const LATER = 'somebody has to allow this first';

/** Before a tool call. `defer` ends the program, which asks again for the same call when it is resumed. */
export const preToolUseAnswer = (verdict: ToolVerdict): HookAnswer => {
  if (verdict.decision === 'none') return NO_ANSWER;
  const reason = verdict.decision === 'defer' ? LATER : verdict.message;
  return {
    hookSpecificOutput: {
      hookEventName: 'PreToolUse',
      permissionDecision: verdict.decision,
      ...(reason !== '' && { permissionDecisionReason: reason }),
      ...(verdict.decision === 'allow' && verdict.input !== undefined && { updatedInput: verdict.input }),
    },
  };
};

/** When the program would ask a person. It cannot be put off here, so what would be is refused with the reason. */
export const permissionRequestAnswer = (verdict: ToolVerdict): HookAnswer => {
  if (verdict.decision === 'none') return NO_ANSWER;
  const decision =
    verdict.decision === 'allow'
      ? { behavior: 'allow', ...(verdict.input !== undefined && { updatedInput: verdict.input }) }
      : { behavior: 'deny', message: verdict.decision === 'defer' ? LATER : verdict.message };
  return { hookSpecificOutput: { hookEventName: 'PermissionRequest', decision } };
};
