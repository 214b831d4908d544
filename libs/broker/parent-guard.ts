// A small shell process that ends the broker when its owner is gone, however the owner ended (a pipe between them closes).
// It does not restart anything, and a broker that outlives even the guard is ended by the next start on its data directory.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { ProcessIdentity } from '#libs/processes/process-identity.ts';

// A file and not a string, so that a process list shows what it is.
const SCRIPT = join(import.meta.dirname, 'parent-guard.sh');

export interface ParentGuard {
  /** The broker has ended in order: nothing to watch any more. Resolves when the guard itself is gone. */
  dismiss(): Promise<void>;
}

/**
 * Starts watching `broker` on behalf of this process. `graceSeconds` 0 kills at once.
 * `removeDir`, for throw-away brokers only, is deleted with everything in it once the owner is gone.
 */
export const guardAgainstOrphan = (
  broker: ProcessIdentity,
  graceSeconds: number,
  removeDir: string | undefined,
): ParentGuard => {
  const guard = spawn(
    '/bin/sh',
    [SCRIPT, String(broker.pid), broker.started, String(graceSeconds), removeDir ?? ''],
    // A session of its own: Ctrl-C is for the owner, which then stops the broker after everything that uses it.
    { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' },
  );
  const pipe = guard.stdin;
  // Without a guard the next start on the data directory still finds and ends the broker.
  const gone = new Promise<void>((resolve) => {
    guard.once('error', () => resolve());
    guard.once('exit', () => resolve());
  });
  pipe.on('error', () => {});
  guard.unref();
  if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref();
  return {
    dismiss: () => {
      guard.ref();
      pipe.end('done\n');
      return gone;
    },
  };
};
