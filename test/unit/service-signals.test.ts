// What a process does about signals and crashes, and with which code it exits.
import { describe, expect, test } from 'vitest';
import { Fault } from '#libs/kernel/fault.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { superviseProcess } from '#libs/service/run-process.ts';
import type { DrainReport } from '#libs/service/drain.ts';
import type { StartedProcess } from '#libs/service/start-process.ts';
import type { CrashKind, ProcessControl, StopSignal } from '#libs/system/process-control.ts';
import { createLogBook, loggerInto } from '#test/support/process-kit.ts';

/** The operating system's side of a process, in the hands of a test. */
const createControl = () => {
  const signals: ((signal: StopSignal) => void)[] = [];
  const crashes: ((kind: CrashKind, error: unknown) => void)[] = [];
  const exits: number[] = [];
  const exited = Promise.withResolvers<number>();
  const control: ProcessControl = {
    onSignal: (listener) => {
      signals.push(listener);
      return () => undefined;
    },
    onCrash: (listener) => {
      crashes.push(listener);
      return () => undefined;
    },
    exit: (code) => {
      exits.push(code);
      exited.resolve(code);
    },
  };
  return {
    control,
    exits,
    exited: exited.promise,
    signal: (signal: StopSignal) => signals.forEach((listener) => listener(signal)),
    crash: (kind: CrashKind, error: unknown) => crashes.forEach((listener) => listener(kind, error)),
  };
};

const run = (given: { readonly starting?: Promise<StartedProcess> } = {}) => {
  const book = createLogBook();
  const logger = loggerInto(book, createManualClock());
  const drained = Promise.withResolvers<DrainReport>();
  const failed = Promise.withResolvers<unknown>();
  const started: StartedProcess = {
    logger,
    healthUrl: '',
    warnings: [],
    booted: Promise.resolve(),
    failed: failed.promise,
    drain: () => drained.promise,
  };
  const system = createControl();
  void superviseProcess(given.starting ?? Promise.resolve(started), system.control, logger);
  return { ...system, book, drained, failed };
};

describe('a process', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('drains on %s and exits with 0', async (signal) => {
    const { signal: send, drained, exited, exits, book } = run();
    send(signal);
    drained.resolve({ late: [], tookMs: 12 });
    expect(await exited).toBe(0);
    expect(exits).toEqual([0]);
    expect(book.lines).toMatchObject([
      { message: 'draining; a second signal ends the process at once', signal },
      { message: 'drained', tookMs: 12 },
    ]);
  });

  test('exits with 75 when something was late, and says what', async () => {
    const { signal, drained, exited, book } = run();
    signal('SIGTERM');
    drained.resolve({ late: ['tasks'], tookMs: 10_000 });
    expect(await exited).toBe(75);
    expect(book.lines[1]).toMatchObject({
      level: 'error',
      message: 'drained, but not everything stopped in time',
      late: ['tasks'],
    });
  });

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('exits at once on a second signal: %s with %d', async (second, code) => {
    const { signal, exited } = run();
    signal('SIGTERM');
    signal(second);
    expect(await exited).toBe(code);
  });

  test.each(['uncaughtException', 'unhandledRejection'] as const)(
    'exits with 70 on %s, and logs it',
    async (kind) => {
      const { crash, exited, book } = run();
      crash(kind, new Error('boom'));
      expect(await exited).toBe(70);
      expect(book.lines).toMatchObject([
        { level: 'fatal', message: 'the process crashed', kind, error: { message: 'boom' } },
      ]);
    },
  );

  test('exits with 70 when it can no longer be trusted', async () => {
    const { failed, exited } = run();
    failed.resolve(new Error('invariant'));
    expect(await exited).toBe(70);
  });

  test('exits with 78 on a wrong configuration, and with 70 when it cannot start otherwise', async () => {
    const wrong = new Fault({
      code: 'CONFIG_INVALID',
      retry: 'never',
      message: 'the configuration has a mistake:\n  x',
    });
    const config = run({ starting: Promise.reject(wrong) });
    expect(await config.exited).toBe(78);
    expect(config.book.lines).toMatchObject([
      { level: 'fatal', message: wrong.message, code: 'CONFIG_INVALID' },
    ]);
    const other = run({ starting: Promise.reject(new Error('no')) });
    expect(await other.exited).toBe(70);
  });

  test('that is asked to stop while it starts drains once it has started', async () => {
    const starting = Promise.withResolvers<StartedProcess>();
    const { signal, exited, book } = run({ starting: starting.promise });
    signal('SIGTERM');
    starting.resolve({
      logger: loggerInto(book, createManualClock()),
      healthUrl: '',
      warnings: [],
      booted: Promise.resolve(),
      failed: new Promise(() => undefined),
      drain: async () => ({ late: [], tookMs: 0 }),
    });
    expect(await exited).toBe(0);
  });
});
