// Starts the program of a turn as the leader of a process group of its own, with pipes for its input and outputs. Knows how a start can fail,
// and nothing of what comes after it.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
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
  EACCES: ' (this user may not execute it, or it is a folder; for a script: chmod +x)',
  ENOEXEC:
    ' (it is no program of this machine; a script names its interpreter in its first line, such as #!/bin/sh)',
  E2BIG: ' (its arguments and its environment are longer than the system allows)',
};

/** The system says the same of three things that can be missing. */
const missingHint = ({ program, workspace }: TurnOrder): string => {
  const [command = ''] = program;
  if (!existsSync(workspace)) return ' (the workspace is gone)';
  if (!command.includes('/')) return ' (no such program on the PATH of the runner)';
  // It is looked for from the workspace.
  if (!existsSync(resolve(workspace, command))) return ' (there is no such file)';
  return ' (the file is there; the interpreter that its first line names is not)';
};

/** Why it could not be started, for a person. */
export const startProblemOf = (order: TurnOrder, error: unknown): string => {
  const { program, workspace } = order;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  const hint = code === 'ENOENT' ? missingHint(order) : (HINTS[code] ?? '');
  return `cannot start ${program[0] ?? 'no program'} in ${workspace}: ${code}${hint}`;
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
