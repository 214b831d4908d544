// Opens the conversation that a turn is to be in: the one the process has open, the one it is asked for (resumed, else loaded), else a new one.
// Says which it is, and never prompts.
import { RUNNER_MARK, TOOLS_MARK } from '#services/runner/providers/child-environment.ts';
import type { TurnOrder } from '#services/runner/providers/provider.ts';
import type { AcpAgent } from './acp-agent.ts';
import { errorAnswer } from './acp-answer.ts';
import { closingOf, type PromptClosing } from './acp-closing.policy.ts';
import type { Greeting } from './acp-greeting.ts';
import { newSessionResult, reopenedResult } from './acp-message.ts';
import type { Answer } from './acp-peer.ts';

export type Opened =
  | {
      readonly kind: 'open';
      readonly sessionId: string;
      /** Why it is another one than was asked for; undefined: it is not. */
      readonly problem?: string;
    }
  | { readonly kind: 'failed'; readonly closing: PromptClosing }
  | { readonly kind: 'gone' };

export interface OpeningParts {
  readonly agent: AcpAgent;
  readonly greeting: Extract<Greeting, { readonly kind: 'ready' }>;
  readonly order: TurnOrder;
  /** The agent's own name of the mode that the conversation is to be in; undefined: whatever it begins with. */
  readonly mode: string | undefined;
  /** How long to wait before the conversation may be loaded. */
  readonly msBeforeLoad: (sessionId: string) => number;
  readonly wait: (ms: number) => Promise<void>;
}

const NO_FACTS = { rejections: 0, isGoneOn: false, lastText: '' };

/** Agents start the servers, and some pass nothing of their own environment on: the marks by which they are found go with them. */
const serversOf = ({ toolServers = [], environment, mark }: TurnOrder): readonly object[] => {
  const program = environment[mark] ?? '';
  const marks = { [mark]: program, [TOOLS_MARK]: program, [RUNNER_MARK]: environment[RUNNER_MARK] ?? '' };
  return toolServers.map(({ name, command, args, env }) => ({
    name,
    command,
    args,
    env: Object.entries({ ...env, ...marks }).map(([key, value]) => ({ name: key, value })),
  }));
};

const failure = ({ agent }: OpeningParts, answer: Extract<Answer, { readonly kind: 'error' }>): Opened => ({
  kind: 'failed',
  closing: closingOf(errorAnswer(answer.error), agent.quirks, NO_FACTS),
});

const unreadable = (method: string): Opened => ({
  kind: 'failed',
  closing: { outcome: 'failed', summary: '', message: `the answer to ${method} cannot be read` },
});

const placeOf = ({ order }: OpeningParts): object => ({
  cwd: order.workspace,
  mcpServers: serversOf(order),
});

/** A conversation that the agent answered for; its mode where it says one. */
interface Reached {
  readonly sessionId: string;
  readonly mode: string | undefined;
}

/** Why a conversation could not be reached; null: the agent has gone. */
type Missed = { readonly problem: string } | null;

const reopen = async (
  parts: OpeningParts,
  way: 'resume' | 'load',
  sessionId: string,
): Promise<Reached | Missed> => {
  const { agent, msBeforeLoad, wait } = parts;
  const { quirks } = agent;
  if (way === 'load') await wait(msBeforeLoad(sessionId));
  agent.follow(sessionId, true);
  const answer = await agent.peer.request(`session/${way}`, { sessionId, ...placeOf(parts) });
  if (answer.kind === 'gone') return null;
  if (answer.kind === 'error') {
    const { message, detail } = errorAnswer(answer.error);
    return { problem: detail === '' ? message : `${message}: ${detail}` };
  }
  const { data, success } = reopenedResult.safeParse(answer.result);
  if (!success) return { problem: `the answer to session/${way} cannot be read` };
  if (way === 'load') await agent.untilQuiet(quirks.replayQuietMs);
  agent.follow(sessionId);
  return { sessionId, mode: data?.modes?.currentModeId };
};

const begin = async (parts: OpeningParts): Promise<Reached | Opened> => {
  const answer = await parts.agent.peer.request('session/new', placeOf(parts));
  if (answer.kind === 'gone') return answer;
  if (answer.kind === 'error') return failure(parts, answer);
  const { data } = newSessionResult.safeParse(answer.result);
  if (data === undefined) return unreadable('session/new');
  parts.agent.follow(data.sessionId);
  return { sessionId: data.sessionId, mode: data.modes?.currentModeId };
};

/** A mode that was asked for and cannot be had fails the turn: it says what the agent may do. */
const setMode = async (
  parts: OpeningParts,
  { sessionId, mode: now }: Reached,
): Promise<Opened | undefined> => {
  const { agent, mode } = parts;
  if (mode === undefined || mode === now) return undefined;
  const answer = await agent.peer.request('session/set_mode', { sessionId, modeId: mode });
  if (answer.kind === 'gone') return answer;
  if (answer.kind === 'result') return undefined;
  const { message } = errorAnswer(answer.error);
  const words = `the agent cannot be put into its mode ${mode}: ${message}`;
  return { kind: 'failed', closing: { outcome: 'failed', summary: '', message: words } };
};

const enter = async (parts: OpeningParts, reached: Reached, problem?: string): Promise<Opened> =>
  (await setMode(parts, reached)) ?? {
    kind: 'open',
    sessionId: reached.sessionId,
    ...(problem !== undefined && { problem }),
  };

/** Never rejects. */
export const openConversation = async (parts: OpeningParts): Promise<Opened> => {
  const { agent, greeting, order } = parts;
  const wanted = order.resume?.providerSessionId;
  if (wanted !== undefined && agent.sessionId === wanted) return { kind: 'open', sessionId: wanted };
  let problem: string | undefined;
  if (wanted !== undefined) {
    problem = 'the agent cannot go on with a conversation of another process';
    const ways = [...(greeting.canResume ? ['resume'] : []), ...(greeting.canLoad ? ['load'] : [])] as const;
    for (const way of ways) {
      const reached = await reopen(parts, way === 'resume' ? 'resume' : 'load', wanted);
      if (reached === null) return { kind: 'gone' };
      if ('sessionId' in reached) return enter(parts, reached);
      ({ problem } = reached);
    }
  }
  const begun = await begin(parts);
  return 'kind' in begun ? begun : enter(parts, begun, problem);
};
