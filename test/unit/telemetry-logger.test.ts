// The log: JSON lines, readable lines, redaction, errors.
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createRedactor } from '#libs/redaction/redactor.ts';
import { describeError } from '#libs/telemetry/describe-error.ts';
import { isoTime } from '#libs/telemetry/iso-time.ts';
import { createLogger, type Logger, type LoggerOptions } from '#libs/telemetry/logger.ts';
import { textLine } from '#libs/telemetry/text-line.ts';

/** 2026-01-31T23:59:59.123Z */
const startMs = 1769903999123;

const capture = (
  options: Partial<LoggerOptions> = {},
): { readonly logger: Logger; readonly lines: string[] } => {
  const lines: string[] = [];
  const logger = createLogger({
    level: 'info',
    format: 'json',
    clock: createManualClock(startMs),
    sink: { write: (line) => void lines.push(line) },
    ...options,
  });
  return { logger, lines };
};

const parsed = (line: string | undefined): unknown => JSON.parse(line ?? 'null');

describe('JSON lines', () => {
  test('a line has level, time, bindings, fields and message', () => {
    const { logger, lines } = capture({ bindings: { process: 'p1' } });
    logger.child({ service: 'tasks' }).warn('consumer is behind', { backlog: 12 });
    expect(lines).toEqual([
      '{"level":"warn","time":"2026-01-31T23:59:59.123Z","process":"p1","service":"tasks","backlog":12,"message":"consumer is behind"}\n',
    ]);
  });

  test('lines below the level are not written', () => {
    const { logger, lines } = capture({ level: 'warn' });
    logger.debug('a');
    logger.info('b', { c: 1 });
    logger.error('d');
    logger.fatal('e');
    expect(lines.map((line) => parsed(line))).toMatchObject([
      { level: 'error', message: 'd' },
      { level: 'fatal', message: 'e' },
    ]);
    expect([logger.isEnabled('info'), logger.isEnabled('warn')]).toEqual([false, true]);
  });

  test('nothing is written when silent', () => {
    const { logger, lines } = capture({ level: 'silent' });
    logger.fatal('a');
    expect(lines).toEqual([]);
  });

  test('secrets are redacted in message, fields and bindings', () => {
    const { logger, lines } = capture({ redactor: createRedactor({ literals: ['kn0wn-value'] }) });
    logger.child({ password: 'x' }).info('connect nats://u:p@host with kn0wn-value', {
      headers: { authorization: 'Basic eA==' },
      tokens: 5,
    });
    expect(parsed(lines[0])).toMatchObject({
      message: 'connect nats://[redacted:userinfo]@host with [redacted:known]',
      password: '[redacted:named]',
      headers: { authorization: '[redacted:named]' },
      tokens: 5,
    });
  });

  test('an error is told with code, retry class, detail, stack and causes', () => {
    const { logger, lines } = capture();
    const cause = new TypeError('socket closed');
    const error = new Fault({
      code: 'LOG_UNAVAILABLE',
      retry: 'later',
      message: 'away',
      detail: { stream: 'EVENTS' },
      cause,
    });
    logger.error('append failed', { error });
    expect(parsed(lines[0])).toMatchObject({
      error: {
        name: 'Fault',
        message: 'away',
        code: 'LOG_UNAVAILABLE',
        retry: 'later',
        detail: { stream: 'EVENTS' },
        stack: expect.stringContaining('Fault: away') as unknown,
        cause: { name: 'TypeError', message: 'socket closed' },
      },
    });
  });

  test('what JSON does not know is told as well as it can be, and never throws', () => {
    const { logger, lines } = capture();
    const cyclic: Record<string, unknown> = {};
    cyclic['self'] = cyclic;
    logger.info('a', { big: 12n, bytes: new Uint8Array(3), map: new Map([['k', 1]]), nothing: undefined });
    logger.info('b', cyclic);
    logger.info('c', {
      get bad() {
        throw new Error('getter');
      },
    });
    expect(parsed(lines[0])).toMatchObject({ big: '12', bytes: '<3 bytes>', map: [['k', 1]] });
    expect(parsed(lines[1])).toMatchObject({
      message: 'b',
      unloggable: expect.stringContaining('circular') as unknown,
    });
    expect(parsed(lines[2])).toMatchObject({ message: 'c', unloggable: 'getter' });
  });
});

describe('readable lines', () => {
  test('one line an entry, with time, level, service, message and fields', () => {
    const { logger, lines } = capture({ format: 'text' });
    logger.child({ service: 'tasks' }).info('started', { port: 80, path: '/a b', list: [1], note: 'x' });
    logger.warn('plain');
    expect(lines).toEqual([
      '23:59:59.123 INFO  tasks: started  port=80 path="/a b" list=[1] note=x\n',
      '23:59:59.123 WARN  plain\n',
    ]);
  });

  test('an error follows with its stack and causes, indented', () => {
    const error = describeError(
      new Fault({ code: 'A_B', retry: 'now', message: 'm', cause: new Error('inner') }),
    );
    const line = textLine(
      JSON.stringify({ level: 'error', time: isoTime(startMs), message: 'failed', error }),
    );
    expect(line).toMatch(
      /^23:59:59\.123 ERROR failed\n {4}Fault: m \[A_B\]\n {4} {4}at [^]*\n {4}caused by Error: inner\n[^]*\n$/,
    );
  });

  test('an error that is text is a field, and a line that is no JSON passes', () => {
    expect(textLine('{"level":"info","message":"m","error":"e"}')).toBe(' INFO  m  error=e\n');
    expect(textLine('not json')).toBe('not json\n');
    expect(textLine('5\n')).toBe('5\n');
  });
});

describe('errors as fields', () => {
  test('what is thrown and is no error is told too', () => {
    expect(describeError('boom')).toEqual({ name: 'string', message: 'boom' });
    expect(describeError(undefined)).toEqual({ name: 'undefined', message: 'undefined' });
  });

  test('a chain of causes ends after five', () => {
    const error: Error = new Error('loop');
    error.cause = error;
    let depth = 0;
    for (let at = describeError(error).cause; at !== undefined; at = at.cause) depth += 1;
    expect(depth).toBe(5);
  });
});

describe('time', () => {
  test.each([
    [0, '1970-01-01T00:00:00.000Z'],
    [1, '1970-01-01T00:00:00.001Z'],
    [-1, '1969-12-31T23:59:59.999Z'],
    [951782400000, '2000-02-29T00:00:00.000Z'],
    [1709164800000, '2024-02-29T00:00:00.000Z'],
    [1767225599999, '2025-12-31T23:59:59.999Z'],
    [4102444800000, '2100-01-01T00:00:00.000Z'],
    [-86400001, '1969-12-30T23:59:59.999Z'],
  ])('%d is %s', (epochMs, expected) => {
    expect(isoTime(epochMs)).toBe(expected);
  });
});
