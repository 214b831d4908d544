// The first words with an agent: whether it speaks our version of the protocol, what it is, and what it can.
import type { Clock } from '#libs/ports/clock.ts';
import { errorAnswer } from './acp-answer.ts';
import { initializeResult, PROTOCOL_VERSION } from './acp-message.ts';
import type { AcpPeer, Answer } from './acp-peer.ts';

export type Greeting =
  | {
      readonly kind: 'ready';
      /** As it calls itself; undefined: it does not say. */
      readonly name: string | undefined;
      readonly version: string | undefined;
      readonly canResume: boolean;
      readonly canLoad: boolean;
    }
  | { readonly kind: 'failed'; readonly message: string }
  /** It ended, or was never started: how is told by its end. */
  | { readonly kind: 'gone' };

/** An agent that does not answer within this time is none, ms. */
const ANSWER_MS = 60_000;
const VERSION_CHARACTERS = 100;

const HELLO = {
  protocolVersion: PROTOCOL_VERSION,
  clientInfo: { name: 'fleetlog', version: '0.1.0' },
  clientCapabilities: {
    // Agents work with files and commands of their own: nothing is done for them here.
    fs: { readTextFile: false, writeTextFile: false },
    terminal: false,
    _meta: {
      // What a command prints, from agents that otherwise only name its terminal.
      terminal_output: true,
      // Otherwise some prompts that failed end like any other.
      jetbrains: { air: { version: 1, capabilities: ['sessionFailure'] } },
    },
  },
};

const meaningOf = (answer: Answer): Greeting => {
  if (answer.kind === 'gone') return answer;
  if (answer.kind === 'error') {
    const { message } = errorAnswer(answer.error);
    return { kind: 'failed', message: `the agent refused to be greeted: ${message}` };
  }
  const { data } = initializeResult.safeParse(answer.result);
  if (data === undefined)
    return { kind: 'failed', message: 'the agent does not speak the Agent Client Protocol' };
  if (data.protocolVersion !== PROTOCOL_VERSION)
    return {
      kind: 'failed',
      message: `the agent speaks version ${data.protocolVersion} of the protocol, and not ${PROTOCOL_VERSION}`,
    };
  const { agentInfo, agentCapabilities } = data;
  return {
    kind: 'ready',
    name: agentInfo?.name,
    version: agentInfo?.version?.slice(0, VERSION_CHARACTERS),
    canResume: agentCapabilities?.sessionCapabilities?.resume ?? false,
    canLoad: agentCapabilities?.loadSession ?? false,
  };
};

/** Greets the agent once its process runs. Never rejects. */
export const greet = async (peer: AcpPeer, clock: Clock, pid: Promise<number | null>): Promise<Greeting> => {
  if ((await pid) === null) return { kind: 'gone' };
  const late = Promise.withResolvers<Greeting>();
  const message = `the agent did not answer initialize within ${ANSWER_MS / 1000} s`;
  const cancel = clock.timer(ANSWER_MS, () => late.resolve({ kind: 'failed', message }), { keepAlive: true });
  const answer = peer.request('initialize', HELLO).then(meaningOf);
  const greeting = await Promise.race([answer, late.promise]);
  cancel();
  return greeting;
};
