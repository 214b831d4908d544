// Whole lives of runs on the real services: created by a request, instructed, claimed, started, five events, finished, and shown by the
// bucket `runs`. The control plane is in this process; whoever asks, a runner that does nothing but speak and whoever waits for the
// end are in one of their own (runner-process/run.ts).
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Service } from '#libs/service/define-service.ts';
import type { TestBroker } from '#test/support/broker.ts';
import { startControlPlane, type ControlPlane } from '#test/support/control-plane.ts';

/** Events between the start and the end of a turn. */
export const EVENTS_A_RUN = 5;
/** The agent whose runner speaks. */
export const AGENT = 'builder-1';

/** What the process with the runner is told to do: to live so many runs, or to tell of each claim from now on. */
export type LifeOrder = { readonly count: number; readonly width: number } | { readonly tellsClaims: true };

/** What it tells of a claim, when it has the answer: the time is that of {@link sharedMs}. */
export interface ClaimTold {
  readonly runId: string;
  readonly atMs: number;
}

/** A time that all processes of the machine share, ms. */
export const sharedMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export interface RunLives extends AsyncDisposable {
  /** Resolves when this many runs, so many of them at once, have lived and are shown as ended. */
  live(count: number, width: number): Promise<void>;
  /** Calls back for each claim that the runner is granted from now on. The last thing that is asked of it: its word is that of claims then. */
  tellClaims(onClaim: (claim: ClaimTold) => void): Promise<void>;
  readonly plane: ControlPlane;
  /** The process with the runner. */
  readonly runnerPid: number | undefined;
}

/** Starts everything; the broker is provisioned for agent `builder-1`. */
export const openRunLives = async (broker: TestBroker, services: readonly Service[]): Promise<RunLives> => {
  const plane = await startControlPlane({ broker, services });
  const script = join(import.meta.dirname, 'runner-process/start.mjs');
  const runner = fork(script, [broker.url, broker.user, broker.password]);
  const ended = once(runner, 'exit').then(() => {
    throw new Error('the process with the runner has ended');
  });
  ended.catch(() => undefined);
  const word = (): Promise<unknown> => Promise.race([once(runner, 'message'), ended]);
  await word();
  return {
    plane,
    runnerPid: runner.pid,
    live: async (count, width) => {
      runner.send({ count, width } satisfies LifeOrder);
      await word();
    },
    tellClaims: async (onClaim) => {
      runner.send({ tellsClaims: true } satisfies LifeOrder);
      await word();
      runner.on('message', (told) => onClaim(told as ClaimTold));
    },
    [Symbol.asyncDispose]: async () => {
      if (runner.connected) {
        runner.disconnect();
        await once(runner, 'exit');
      }
      await plane.stop();
    },
  };
};
