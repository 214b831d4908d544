// A small shell process that ends the broker when its owner is gone, however the owner ended (a pipe between them closes).
// It does not restart anything, and a broker that outlives even the guard is ended by the next start on its data directory.
import { spawn } from 'node:child_process';
import type { ProcessIdentity } from './process-identity.ts';

// $1 pid, $2 its start time, $3 seconds of grace before SIGKILL, $4 directory to remove afterwards (or empty).
// Reading the start time is written twice, here and in process-identity.ts, because this runs when Node is gone.
const SCRIPT = `
started() {
  if [ -r "/proc/$1/stat" ]; then
    IFS= read -r line < "/proc/$1/stat" || return 0
    set -f; set -- \${line##*) }; set +f
    case $1 in Z|X) return 0 ;; esac
    echo "\${20}"
  elif [ ! -d /proc/self ]; then
    ps -o lstart= -p "$1" 2>/dev/null | sed 's/^ *//;s/ *$//'
  fi
}
alive() { [ "$(started "$1")" = "$2" ]; }
IFS= read -r word && [ "$word" = done ] && exit 0
if alive "$1" "$2"; then
  kill -CONT "$1" 2>/dev/null
  if [ "$3" -gt 0 ]; then
    kill -TERM "$1" 2>/dev/null
    left=$(($3 * 10))
    while [ "$left" -gt 0 ] && alive "$1" "$2"; do sleep 0.1 || sleep 1; left=$((left - 1)); done
  fi
  alive "$1" "$2" && kill -KILL "$1" 2>/dev/null
fi
if [ -n "$4" ]; then
  left=50
  while [ "$left" -gt 0 ] && alive "$1" "$2"; do sleep 0.1 || sleep 1; left=$((left - 1)); done
  rm -rf -- "$4"
fi
`;

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
    [
      '-c',
      SCRIPT,
      'fleetlog-broker-guard',
      String(broker.pid),
      broker.started,
      String(graceSeconds),
      removeDir ?? '',
    ],
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
