// Git as the runner uses it: a clean environment, no hooks of the repository, no questions, bounded time. Knows no workspace.
import { execFile } from 'node:child_process';
import { Fault } from '#libs/kernel/fault.ts';

/** What git gets of the environment of its caller. */
const PASSED = ['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'XDG_CONFIG_HOME'];
/** A worktree of a large repository takes its time. */
const TIMEOUT_MS = 600_000;
const OUTPUT_BYTES = 64 * 1024 * 1024;
/** Hooks of a repository are programs of somebody else. */
const SETTINGS = ['-c', 'core.hooksPath=/dev/null', '-c', 'gc.auto=0', '-c', 'core.fsmonitor=false'];

interface GitAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Git {
  /** What it printed, without the last line end. Fault: `GIT_FAILED` (never), with the end of what it complained of. */
  run(folder: string, ...parameters: readonly string[]): Promise<string>;
  /** The same, whatever the exit code. Fault: `GIT_FAILED`, when it cannot be run. */
  ask(folder: string, ...parameters: readonly string[]): Promise<GitAnswer>;
}

const failed = (message: string, cause?: unknown): Fault =>
  new Fault({ code: 'GIT_FAILED', retry: 'never', message, cause });

/** `environment`: of the caller; only what git needs is passed on. */
export const createGit = (environment: Readonly<Record<string, string | undefined>>): Git => {
  const passed = Object.fromEntries(
    PASSED.flatMap((name) => {
      const value = environment[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const env = { ...passed, LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0', GIT_OPTIONAL_LOCKS: '0' };
  const ask: Git['ask'] = (folder, ...parameters) =>
    new Promise((resolve, reject) => {
      const options = { env, timeout: TIMEOUT_MS, maxBuffer: OUTPUT_BYTES, killSignal: 'SIGKILL' } as const;
      execFile('git', ['-C', folder, ...SETTINGS, ...parameters], options, (error, stdout, stderr) => {
        if (error === null) return resolve({ code: 0, stdout, stderr });
        if (typeof error.code === 'number') return resolve({ code: error.code, stdout, stderr });
        const why =
          error.code === 'ENOENT' ? 'git is not on the PATH, or the folder is not there' : error.message;
        reject(failed(`git ${parameters[0] ?? ''} in ${folder}: ${why}`, error));
      });
    });
  return {
    ask,
    run: async (folder, ...parameters) => {
      const { code, stdout, stderr } = await ask(folder, ...parameters);
      if (code === 0) return stdout.replace(/\n$/, '');
      throw failed(
        `git ${parameters.join(' ')} in ${folder} ended with ${code}: ${stderr.trim().slice(-1000)}`,
      );
    },
  };
};
