// A child process of a test whose output lines are facts to wait for. Killed when the test ends, whatever happened.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { readEnvironment } from '#libs/system/env.ts';
import { onTestFinished } from 'vitest';

/** The lines of one stream so far and to come. */
interface Lines {
  readonly all: readonly string[];
  /** The first line, past or future, that matches; rejects when the stream ends without one. */
  readonly until: (pattern: RegExp) => Promise<string>;
}

interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface SpawnedProcess {
  readonly stdout: Lines;
  readonly stderr: Lines;
  readonly say: (line: string) => void;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly exit: Promise<Exit>;
}

/** A started file of this repository; nobody ends it but its caller. */
export interface StartedFile extends SpawnedProcess {
  /** Also the number of its process group. */
  readonly pid: number;
  /** Ends its standard input. */
  readonly endInput: () => void;
}

const linesOf = (stream: Readable): Lines => {
  const all: string[] = [];
  const waiting = new Set<{ readonly pattern: RegExp; readonly waiter: PromiseWithResolvers<string> }>();
  let isOver = false;
  const reader = createInterface({ input: stream });
  reader.on('line', (line) => {
    all.push(line);
    for (const entry of waiting) {
      if (!entry.pattern.test(line)) continue;
      waiting.delete(entry);
      entry.waiter.resolve(line);
    }
  });
  const missing = (pattern: RegExp): Error => new Error(`no line ${String(pattern)} in:\n${all.join('\n')}`);
  reader.on('close', () => {
    isOver = true;
    for (const { pattern, waiter } of waiting) waiter.reject(missing(pattern));
  });
  return {
    all,
    until: (pattern) => {
      const found = all.find((line) => pattern.test(line));
      if (found !== undefined) return Promise.resolve(found);
      if (isOver) return Promise.reject(missing(pattern));
      const waiter = Promise.withResolvers<string>();
      waiting.add({ pattern, waiter });
      return waiter.promise;
    },
  };
};

/** This environment without settings of the product, which are the test's to give. */
const plainEnvironment = (): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(readEnvironment()).filter(([name]) => !name.startsWith('FLEETLOG_')));

/** Starts a file of this repository (path from its root) in a process group of its own. The caller ends it. */
export const startFile = (
  path: string,
  environment: Readonly<Record<string, string>> = {},
  args: readonly string[] = [],
): StartedFile => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const child = spawn(process.execPath, [path, ...args], {
    cwd: root,
    env: { ...plainEnvironment(), ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const exit = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  // What is written to a process that has just ended is of no interest.
  child.stdin.on('error', () => undefined);
  return {
    pid: child.pid ?? 0,
    stdout: linesOf(child.stdout),
    stderr: linesOf(child.stderr),
    say: (line) => void child.stdin.write(`${line}\n`),
    endInput: () => void child.stdin.end(),
    kill: (signal) => void child.kill(signal),
    exit,
  };
};

/** Starts a file as {@link startFile}; it is killed when the test ends. */
export const spawnFile = (
  path: string,
  environment: Readonly<Record<string, string>> = {},
  args: readonly string[] = [],
): SpawnedProcess => {
  const started = startFile(path, environment, args);
  onTestFinished(async () => {
    started.kill('SIGKILL');
    await started.exit;
  });
  return started;
};
