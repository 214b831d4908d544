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

const wordOf = ([name, value]: readonly [string, unknown]): string =>
  `${name}=${value instanceof Error ? value.message : typeof value === 'string' ? value : (JSON.stringify(value) ?? '')}`;

/** A log of which warnings go to `tell`, and what is worse also to `onError`: in one line each. */
export const tellingLogger = (
  tell: ((line: string) => void) | undefined,
  onError: (line: string) => void,
): Logger => {
  const lineOf = (level: string, message: string, fields: Readonly<Record<string, unknown>> = {}): string =>
    `${level}: ${message} ${Object.entries(fields).map(wordOf).join(' ')}`;
  const error = (message: string, fields?: Readonly<Record<string, unknown>>): void => {
    const line = lineOf('error', message, fields);
    tell?.(line);
    onError(line);
  };
  const logger: Logger = {
    debug: nothing,
    info: nothing,
    warn: (message, fields) => tell?.(lineOf('warn', message, fields)),
    error,
    fatal: error,
    child: () => logger,
    isEnabled: () => tell !== undefined,
  };
  return logger;
};
