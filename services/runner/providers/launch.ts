// Starts the program of a turn as the leader of a process group of its own, with pipes for its input and outputs. Knows how a start can fail,
// and nothing of what comes after it.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import type { TurnOrder } from './provider.ts';

export type Child = ChildProcessWithoutNullStreams;

/** How a process ended. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** `hasWords`: a further pipe, its file descriptor 3. Some failures of the system (arguments too long) are thrown instead of told. */
export const launch = ({ program, workspace, environment }: TurnOrder, hasWords: boolean): Child => {
  const [command = '', ...parameters] = program;
  return spawn(command, parameters, {
    cwd: workspace,
    env: environment,
    detached: true,
    stdio: hasWords ? ['pipe', 'pipe', 'pipe', 'pipe'] : ['pipe', 'pipe', 'pipe'],
  });
};

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: ' (not found, or the workspace is gone)',
};

/** Why it could not be started, for a person. */
export const startProblemOf = ({ program, workspace }: TurnOrder, error: unknown): string => {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  return `cannot start ${program[0] ?? 'no program'} in ${workspace}: ${code}${HINTS[code] ?? ''}`;
};

/** Resolves with why it did not start, or null. */
export const spawnProblem = (child: Child, order: TurnOrder): Promise<string | null> =>
  new Promise((resolve) => {
    child.once('spawn', () => resolve(null));
    // Stays for good: later errors (a signal that could not be sent) are not ours to act on.
    child.on('error', (error) => resolve(startProblemOf(order, error)));
  });

/** To be asked before the event loop goes on. Never resolves for a process that did not start. */
export const exitOf = (child: Child): Promise<ProcessExit> =>
  new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
