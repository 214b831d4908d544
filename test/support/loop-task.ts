// What a process of loop-process.ts is told to do, and how a test starts and kills it.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

export type LoopTask = { readonly url: string; readonly user: string; readonly password: string } & (
  | { readonly kind: 'projection'; readonly stream: string; readonly bucket: string }
  /** Copies every entry of `stream` to `out`, once. */
  | {
      readonly kind: 'reactor';
      readonly stream: string;
      readonly consumer: string;
      readonly out: string;
      readonly ackWaitMs: number;
    }
);

/** A process that runs a loop. */
export interface LoopProcess {
  /** Ends it at once, as a crash would. */
  kill(): Promise<void>;
}

/** Starts a process and resolves when its loop runs. It does not outlive its test. */
export const startLoop = async (task: LoopTask): Promise<LoopProcess> => {
  const file = new URL('./loop-process.ts', import.meta.url).pathname;
  const child: ChildProcess = spawn(process.execPath, [file, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const said = child.stdout === null ? Promise.resolve() : once(child.stdout, 'data');
  await Promise.race([said, exited.then(() => Promise.reject(new Error('the process ended at its start')))]);
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  onTestFinished(kill);
  return { kill };
};
