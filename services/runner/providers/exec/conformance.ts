// Puts a program through the trials of the conformance test, as the runner would start it: a workspace of its own, a clean environment, the
// same end. Judges nothing (conformance.policy.ts).
import { isUtf8 } from 'node:buffer';
import type { Clock } from '#libs/ports/clock.ts';
import {
  childEnvironment,
  TURN_MARK,
  type Environment,
} from '#services/runner/providers/child-environment.ts';
import { createLineProvider } from '#services/runner/providers/line-turn.ts';
import type { ProviderTurn, TurnOrder } from '#services/runner/providers/provider.ts';
import type { SeenLine, Trial, Trials } from './conformance.policy.ts';
import { EXEC_PROTOCOL, LINES_VARIABLE, LINES_VERSION } from './exec-provider.ts';

export interface TrialOptions {
  readonly program: readonly string[];
  readonly prompt: string;
  /** Absolute path of an empty folder for the trials. */
  readonly workspace: string;
  /** Of one trial. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** The environment of the caller; passed on as a runner does. */
  readonly environment: Environment;
  /** Names the processes of these trials. */
  readonly id: string;
}

/** Lines looked at of one trial; a flood needs no more. */
const MOST_LINES = 20_000;
const PROMPT_CHARACTERS = 200_000;
const KILL_AFTER_MS = 5000;
const LINGER_MS = 10_000;
/** How long a program may work before it is told to go, if it says nothing. */
const STOP_AFTER_MS = 1000;

const orderOf = (
  { program, prompt, workspace, timeoutMs, environment, id }: TrialOptions,
  trial: string,
): TurnOrder => {
  const facts = {
    tenant: 'local',
    project: 'main',
    agent: 'conformance',
    runnerId: id,
    runId: `${id}-${trial}`,
    turnId: `${id}-${trial}`,
    sessionId: id,
    workspace,
  };
  return {
    workspace,
    prompt,
    program,
    environment: { ...childEnvironment(environment, facts), [LINES_VARIABLE]: String(LINES_VERSION) },
    mark: TURN_MARK,
    limits: { turnTimeoutMs: timeoutMs, silenceMs: 0, killAfterMs: KILL_AFTER_MS, lingerMs: LINGER_MS },
  };
};

const attempt = async (
  options: TrialOptions,
  trial: string,
  meanwhile?: (turn: ProviderTurn, spoke: Promise<void>) => void,
): Promise<Trial> => {
  const lines: SeenLine[] = [];
  const speaking = Promise.withResolvers<void>();
  const provider = createLineProvider(
    {
      ...EXEC_PROTOCOL,
      createReader: (about) => {
        const reader = EXEC_PROTOCOL.createReader(about);
        return {
          read: (line) => {
            const meanings = reader.read(line);
            speaking.resolve();
            if (lines.length < MOST_LINES)
              lines.push({
                meanings,
                isUtf8: isUtf8(line.bytes) || line.cutBytes > 0,
                cutBytes: line.cutBytes,
              });
            return meanings;
          },
          session: (errorTail) => reader.session(errorTail),
        };
      },
    },
    options.clock,
  );
  const turn = provider.start(orderOf(options, trial), async () => undefined);
  meanwhile?.(turn, speaking.promise);
  return { lines, facts: await turn.ended, workspace: options.workspace };
};

/** Largest prompt there is, with characters of one to four bytes. */
const largePrompt = (prompt: string): string =>
  `${prompt}\n\n${'What follows is only there to be read: äöü € 🙂 '.repeat(PROMPT_CHARACTERS / 40)}`.slice(
    0,
    PROMPT_CHARACTERS - 1,
  );

/** One trial after another. Never rejects for what the program does. */
export const runTrials = async (options: TrialOptions): Promise<Trials> => {
  const ordinary = await attempt(options, 'ordinary');
  const large = await attempt({ ...options, prompt: largePrompt(options.prompt) }, 'large');
  const stopSoon = async (turn: ProviderTurn, spoke: Promise<void>): Promise<void> => {
    const giveUp = new AbortController();
    await Promise.race([spoke, options.clock.sleep(STOP_AFTER_MS, giveUp.signal), turn.ended]);
    giveUp.abort();
    turn.stop('cancel');
  };
  const stopped = await attempt(options, 'stopped', (turn, spoke) => void stopSoon(turn, spoke));
  return { ordinary, large, stopped };
};
