// The hooks of Claude Code and Codex, which say and expect the same JSON: `POST /v1/hooks/<name>` takes what the program gives its hook
// and answers what the hook has to print. The program can be told to post it itself, or `fleetlog hook <name>` carries it.
import { Fault } from '#libs/kernel/fault.ts';
import { parseBody, type HttpRoute } from './control-http.ts';
import { hookInputSchema, type HookInput } from './control-input.ts';
import type { ApprovalCall } from './control-parts.ts';
import type { LiveTurn } from './control-turns.ts';
import { decide, echoPrompt, LARGE_BYTES, turnOf, type RouteParts } from './control-routes.ts';
import {
  NO_ANSWER,
  permissionRequestAnswer,
  preToolUseAnswer,
  stopAnswer,
  type HookAnswer,
} from './hook-answers.policy.ts';

type Hook = (routes: RouteParts, live: LiveTurn, input: HookInput) => HookAnswer | Promise<HookAnswer>;

const callOf = (input: HookInput): ApprovalCall => {
  const { tool_name: tool, tool_input, tool_use_id } = input;
  if (tool === undefined)
    throw new Fault({ code: 'INPUT_INVALID', retry: 'never', message: 'the hook named no tool' });
  return { callId: tool_use_id ?? null, tool, input: tool_input ?? null };
};

const HOOKS: ReadonlyMap<string, Hook> = new Map(
  Object.entries<Hook>({
    stop: ({ gate }, live) => stopAnswer(gate.ask(live)),
    'user-prompt-submit': async (routes, live, { prompt }) => {
      if (prompt !== undefined) await echoPrompt(routes, live, prompt);
      return NO_ANSWER;
    },
    'session-end': async ({ mirror }, { turn }, { reason = 'other', session_id }) => {
      const payload = { reason: reason.slice(0, 200), providerSessionId: session_id ?? null };
      await mirror.report(turn, 'session-ended', payload);
      return NO_ANSWER;
    },
    'pre-tool-use': async (routes, { turn }, input) =>
      preToolUseAnswer(await decide(routes, turn, callOf(input))),
    'permission-request': async (routes, { turn }, input) =>
      permissionRequestAnswer(await decide(routes, turn, callOf(input))),
  }),
);

/** The route of all hooks. */
export const hookRoute = (routes: RouteParts): HttpRoute => ({
  method: 'POST',
  path: '/v1/hooks/*',
  limitBytes: LARGE_BYTES,
  admit: (token) => void turnOf(routes, token),
  handle: ({ rest, body, token }) => {
    const hook = HOOKS.get(rest);
    if (hook === undefined)
      throw new Fault({
        code: 'ROUTE_UNKNOWN',
        retry: 'never',
        message: `there is no hook ${rest}; there are ${[...HOOKS.keys()].join(', ')}`,
      });
    const input = parseBody(hookInputSchema, body);
    return hook(routes, turnOf(routes, token), input);
  },
});
