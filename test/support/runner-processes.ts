// Runners in processes of their own, for tests that kill them. What is still there after a test is killed.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { afterEach, expect } from 'vitest';
import type { RunnerProcessArguments } from './runner-process.ts';

const PROGRAM = new URL('./runner-process.ts', import.meta.url).pathname;

export interface RunnerProcesses {
  /** Starts one with what all have in common and `more`; does not wait for it. */
  readonly start: (more?: Partial<RunnerProcessArguments>) => ChildProcess;
  /** Resolves when it takes instructions. Rejects when it ends before. */
  readonly up: (child: ChildProcess) => Promise<ChildProcess>;
  /** Has it end in order, and waits. */
  readonly stop: (child: ChildProcess) => Promise<void>;
}

/** `common` is asked at each start: what it names may be made in `beforeAll`. */
export const useRunnerProcesses = (common: () => RunnerProcessArguments): RunnerProcesses => {
  const running = new Set<ChildProcess>();
  afterEach(async () => {
    for (const child of running) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });
  return {
    start: (more = {}) => {
      const { broker, ...rest } = { ...common(), ...more };
      const { url, user, password } = broker;
      const told: RunnerProcessArguments = { broker: { url, user, password }, ...rest };
      const child = spawn(process.execPath, [PROGRAM, JSON.stringify(told)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      running.add(child);
      child.on('exit', () => running.delete(child));
      return child;
    },
    up: async (child) => {
      if (child.stdout === null) throw new Error('no standard output');
      for await (const line of createInterface({ input: child.stdout })) if (line === 'up') return child;
      throw new Error('the runner ended before it was up');
    },
    stop: async (child) => {
      child.stdin?.end();
      if (child.exitCode === null) await once(child, 'exit');
      expect(child.exitCode).toBe(0);
    },
  };
};
