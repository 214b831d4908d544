// Turns the end of a nats-server that should have run into a fault that says why and what to do. Pure.
import { Fault, type RetryClass } from '#libs/kernel/fault.ts';

interface Cause {
  readonly pattern: RegExp;
  readonly code: string;
  readonly retry: RetryClass;
  readonly advice: string;
}

const CAUSES: readonly Cause[] = [
  {
    pattern: /address already in use/i,
    code: 'BROKER_PORT_IN_USE',
    retry: 'later',
    advice: 'another process listens on that port: stop it or choose another port',
  },
  {
    pattern: /no space left on device|disk quota exceeded|insufficient storage/i,
    code: 'BROKER_DISK_FULL',
    retry: 'later',
    advice: 'free some space on the disk of the data directory',
  },
  {
    pattern: /permission denied|read-only file system/i,
    code: 'BROKER_STORE_UNWRITABLE',
    retry: 'never',
    advice: 'make the data directory writable for this user',
  },
  {
    // Before its log begins, a server speaks of its configuration only: "nats-server: path:line:column: what".
    pattern: /^nats-server: .*(?::\d+:\d+: |parse error|config)/i,
    code: 'BROKER_CONFIG_INVALID',
    retry: 'never',
    advice: 'correct the broker settings',
  },
];

/** How a process ended. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const SHOWN_LINES = 12;

/** The line that says why: the last fatal or error line, else the last one that is no information. */
const tellingLine = (lines: readonly string[]): string | undefined =>
  lines.findLast((line) => line.includes('[FTL]') || line.startsWith('nats-server:')) ??
  lines.findLast((line) => line.includes('[ERR]'));

const withoutPrefix = (line: string): string =>
  line.replace(/^\[\d+\] [\d/]+ [\d:.]+ /, '').replace(/^nats-server: /, '');

const describeExit = (exit: ProcessExit | 'timeout' | 'unhealthy'): string => {
  if (exit === 'timeout') return 'it did not become ready in time';
  if (exit === 'unhealthy') return 'it answers, but JetStream is not enabled';
  return exit.signal === null ? `it ended with code ${exit.code}` : `it was ended by ${exit.signal}`;
};

/** The fault for a server that did not come up, with the last lines it said. */
export const startFailure = (
  exit: ProcessExit | 'timeout' | 'unhealthy',
  lines: readonly string[],
  detail: Readonly<Record<string, unknown>>,
): Fault => {
  const telling = tellingLine(lines);
  const reason = telling === undefined ? describeExit(exit) : withoutPrefix(telling);
  const cause = telling === undefined ? undefined : CAUSES.find(({ pattern }) => pattern.test(telling));
  const lastLines = lines.slice(-SHOWN_LINES);
  const advice = cause === undefined ? '' : `\nWhat to do: ${cause.advice}.`;
  const said = lastLines.length === 0 ? '' : `\nIts last lines:\n  ${lastLines.join('\n  ')}`;
  return new Fault({
    code: cause?.code ?? 'BROKER_START_FAILED',
    retry: cause?.retry ?? 'later',
    message: `The broker did not start: ${reason}.${advice}${said}`,
    detail: { ...detail, reason, lastLines },
  });
};

/** The fault for a data directory that cannot be written: full, or not ours. */
export const storeFailure = (dataDir: string, error: unknown): Fault => {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const reason = error instanceof Error ? error.message : String(error);
  // The lock file speaks SQLite, which has words of its own for it.
  const isFull = code === 'ENOSPC' || code === 'EDQUOT' || /disk is full/.test(reason);
  const advice = isFull
    ? 'Free some space on its disk.'
    : 'Make it writable for this user or choose another one.';
  return new Fault({
    code: isFull ? 'BROKER_DISK_FULL' : 'BROKER_STORE_UNWRITABLE',
    retry: isFull ? 'later' : 'never',
    message: `The data directory ${dataDir} cannot be used: ${reason}. ${advice}`,
    detail: { dataDir },
    cause: error,
  });
};
