// Asks an executable for its version: the proof that it runs on this machine and is new enough.
import { runCommand } from './run-command.ts';
import { isNewEnough, MINIMUM_VERSION, parseVersion } from './version.ts';

export type Probe =
  | { readonly usable: true; readonly version: string }
  | { readonly usable: false; readonly reason: string };

const PROBE_WITHIN_MS = 10_000;

/** Runs `<path> --version`. Never rejects. */
export const probeExecutable = async (path: string): Promise<Probe> => {
  const answer = await runCommand(path, ['--version'], { timeoutMs: PROBE_WITHIN_MS });
  if (answer.failure !== undefined)
    return { usable: false, reason: `${path} does not run (${answer.failure})` };
  const version = parseVersion(answer.stdout);
  if (version === undefined || !answer.stdout.includes('nats-server')) {
    return {
      usable: false,
      reason: `${path} is not a nats-server (it answers "${answer.stdout.trim().slice(0, 80)}")`,
    };
  }
  if (!isNewEnough(version)) {
    return { usable: false, reason: `${path} is version ${version}, and ${MINIMUM_VERSION} is needed` };
  }
  return { usable: true, version };
};
