// The log: JSON lines (or one readable line each on a terminal) on standard error, every line redacted.
// The only file that knows pino. Lines are written before the call returns, so a crash loses none.
import type { Clock } from '#libs/ports/clock.ts';
import { createRedactor, type Redactor } from '#libs/redaction/redactor.ts';
import { destination, pino } from 'pino';
import { describeError } from './describe-error.ts';
import { isoTime } from './iso-time.ts';
import { textLine } from './text-line.ts';

export const logLevels = ['debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
type LogLevel = (typeof logLevels)[number];
export const logFormats = ['auto', 'json', 'text'] as const;
type LogFormat = (typeof logFormats)[number];

/** Fields of a line. A value that is an Error becomes its name, code, message, stack and causes. */
type LogFields = Readonly<Record<string, unknown>>;

/** Writes lines. The message is a constant sentence; what varies goes into the fields. Never throws. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  fatal(message: string, fields?: LogFields): void;
  /** A logger whose every line carries these fields too. */
  child(bindings: LogFields): Logger;
  /** For fields that cost something to make. */
  isEnabled(level: Exclude<LogLevel, 'silent'>): boolean;
}

/** Where lines go. */
export interface LogSink {
  write(line: string): void;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** `auto`: text when standard error is a terminal, JSON otherwise. */
  readonly format: LogFormat;
  readonly clock: Clock;
  /** Default: one without known literals. */
  readonly redactor?: Redactor;
  /** Default: standard error. */
  readonly sink?: LogSink;
  readonly bindings?: LogFields;
}

/** Fields as JSON will have them, so that redaction sees what will be written. */
const jsonOf = (value: unknown): unknown => {
  if (value instanceof Error) return describeError(value);
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return `<${value.length} bytes>`;
  return value instanceof Map || value instanceof Set ? [...value] : value;
};

const safeFields = (fields: LogFields, redactor: Redactor): LogFields => {
  try {
    const plain: unknown = JSON.parse(JSON.stringify(fields, (_, value: unknown) => jsonOf(value)));
    return redactor.value(plain).value as LogFields;
  } catch (error) {
    return { unloggable: error instanceof Error ? error.message : String(error) };
  }
};

const wrap = (inner: pino.Logger, redactor: Redactor): Logger => {
  const at =
    (level: Exclude<LogLevel, 'silent'>) =>
    (message: string, fields?: LogFields): void => {
      if (!inner.isLevelEnabled(level)) return;
      const line = redactor.text(message).value;
      if (fields === undefined) inner[level](line);
      else inner[level](safeFields(fields, redactor), line);
    };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    fatal: at('fatal'),
    child: (bindings) => wrap(inner.child(safeFields(bindings, redactor)), redactor),
    isEnabled: (level) => inner.isLevelEnabled(level),
  };
};

/** A logger of this process. */
export const createLogger = (options: LoggerOptions): Logger => {
  const redactor = options.redactor ?? createRedactor();
  const sink = options.sink ?? destination({ fd: 2, sync: true });
  const isText = options.format === 'text' || (options.format === 'auto' && process.stderr.isTTY);
  const stream = isText ? { write: (line: string) => sink.write(textLine(line)) } : sink;
  const inner = pino(
    {
      level: options.level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${isoTime(options.clock.now())}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  const logger = wrap(inner, redactor);
  return options.bindings === undefined ? logger : logger.child(options.bindings);
};
