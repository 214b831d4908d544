// Runs a short-lived program with a time limit and collects what it says. Never a shell, never interactive.
import { execFile } from 'node:child_process';

export interface CommandResult {
  /** 0 for success; undefined when it could not be started or was ended by a signal. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Why it did not do its job, in one line; undefined for success. */
  readonly failure: string | undefined;
}

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

const lastLine = (text: string): string => text.trim().split('\n').at(-1)?.trim() ?? '';

/** What to tell of a failure: the system's word for a start that failed, the limit, or the program's own last line. */
const describe = (error: Error, stderr: string, limitMs: number): string => {
  if ('code' in error && typeof error.code === 'string')
    return `${error.code}: ${error.message.split('\n')[0]}`;
  if ('killed' in error && error.killed === true)
    return `not finished within ${Math.round(limitMs / 1000)} s`;
  return lastLine(stderr) || error.message;
};

/** Resolves in every case; look at `failure`. */
export const runCommand = (
  file: string,
  args: readonly string[],
  options: { readonly timeoutMs: number; readonly cwd?: string },
): Promise<CommandResult> =>
  new Promise((resolve) => {
    const child = execFile(
      file,
      args,
      { timeout: options.timeoutMs, maxBuffer: MAX_OUTPUT_BYTES, encoding: 'utf8', cwd: options.cwd },
      (error, stdout, stderr) => {
        const failure = error === null ? undefined : describe(error, stderr, options.timeoutMs);
        resolve({ code: error === null ? 0 : (child.exitCode ?? undefined), stdout, stderr, failure });
      },
    );
    child.stdin?.end();
  });
