// Telemetry that goes nowhere and costs nothing: for fleets of which thousands live in a minute. That lines, counters and their labels are right is
// shown elsewhere.
import type { Hooks } from '#libs/telemetry/hooks.ts';
import type { Logger } from '#libs/telemetry/logger.ts';
import type { Metrics } from '#libs/telemetry/metrics.ts';

const nothing = (): void => undefined;

export const silentHooks: Hooks = {
  consumer: { entry: nothing, backlog: nothing },
  projection: { batch: nothing, lag: nothing, position: nothing },
  log: { append: nothing, groupCommit: nothing },
  http: { request: nothing },
  buffer: { depth: nothing },
};

export const silentMetrics: Metrics = {
  counter: () => ({ add: nothing }),
  gauge: () => ({ set: nothing, remove: nothing }),
  histogram: () => ({ observe: nothing }),
  exposition: () => Promise.resolve({ contentType: 'text/plain', body: '' }),
};

/** A log of which warnings and worse go to `tell`, in one line each. */
export const tellingLogger = (tell: (line: string) => void): Logger => {
  const line =
    (level: string) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
      tell(`${level}: ${message} ${Object.entries(fields).map(wordOf).join(' ')}`);
  return {
    debug: nothing,
    info: nothing,
    warn: line('warn'),
    error: line('error'),
    fatal: line('fatal'),
    child: () => tellingLogger(tell),
    isEnabled: () => true,
  };
};

const wordOf = ([name, value]: readonly [string, unknown]): string =>
  `${name}=${value instanceof Error ? value.message : typeof value === 'string' ? value : (JSON.stringify(value) ?? '')}`;

export const silentLogger: Logger = {
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
  child: () => silentLogger,
  isEnabled: () => false,
};
