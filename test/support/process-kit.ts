// A process of services inside a test: manual clock, memory ports, log lines as values. Used by the tests of libs/service.
import { onTestFinished } from 'vitest';
import { emptyConfig } from '#libs/config/schema.ts';
import type { ConfigSources } from '#libs/config/sources.ts';
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { OpenPorts } from '#libs/service/context.ts';
import type { Service } from '#libs/service/define-service.ts';
import type { ProcessPlan, Wire } from '#libs/service/process-plan.ts';
import { startProcess, type StartedProcess } from '#libs/service/start-process.ts';
import { createLogger, type Logger } from '#libs/telemetry/logger.ts';

interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A log that a test reads. */
export interface LogBook {
  readonly lines: readonly LogLine[];
  readonly messages: () => readonly string[];
  readonly sink: { readonly write: (line: string) => void };
}

export const createLogBook = (): LogBook => {
  const lines: LogLine[] = [];
  return {
    lines,
    messages: () => lines.map(({ message }) => message),
    sink: { write: (line) => void lines.push(JSON.parse(line) as LogLine) },
  };
};

/** A logger that writes into a book. */
export const loggerInto = (book: LogBook, clock: ManualClock): Logger =>
  createLogger({ level: 'debug', format: 'json', clock, sink: book.sink });

export interface ProcessKit {
  readonly clock: ManualClock;
  readonly book: LogBook;
  /** What the ports reach; declares nothing by itself. */
  readonly broker: MemoryBroker;
  /** What has happened to the ports, in order. */
  readonly wireEvents: readonly string[];
  readonly plan: (services: readonly Service[], given?: Partial<ProcessPlan>) => ProcessPlan;
}

/** Ports in memory; `events` is told of opening and closing. */
const memoryWire = (broker: MemoryBroker, events: string[]): Wire => ({
  name: 'memory',
  config: emptyConfig,
  open: async (): Promise<OpenPorts> => {
    events.push('opened');
    return {
      ports: {
        clock: broker.clock,
        ids: broker.ids,
        log: (stream) => broker.eventLog(stream),
        bucket: (name) => broker.keyValue(name),
        queue: (stream, consumer) => broker.workQueue(stream, consumer),
        requests: { client: broker.requests, server: broker.requests },
        blobs: broker.blobs('blobs'),
        publisher: () => broker.publisher(),
      },
      check: () => ({ ok: true, detail: 'in memory' }),
      close: async () => void events.push('closed'),
    };
  },
});

/** Sources with nothing but an environment. */
export const environmentOf = (environment: Readonly<Record<string, string>>): ConfigSources => ({
  options: {},
  environment,
  readFile: (path) => {
    throw new Error(`no file ${path}`);
  },
});

export const createProcessKit = (): ProcessKit => {
  const clock = createManualClock();
  const book = createLogBook();
  const wireEvents: string[] = [];
  const broker = createMemoryBroker({ clock, ids: createSeededIds(1, clock) });
  return {
    clock,
    broker,
    book,
    wireEvents,
    plan: (services, given = {}) => ({
      services,
      wire: memoryWire(broker, wireEvents),
      sources: environmentOf({}),
      build: { version: '1.2.3', commit: 'abc', node: 'v24.0.0' },
      clock,
      ids: createSeededIds(2, clock),
      lagMs: () => 0,
      logSink: book.sink,
      ...given,
    }),
  };
};

/** A started process; drained when the test ends. */
export interface StartedInTest extends ProcessKit {
  readonly started: StartedProcess;
  /** What /readyz says. */
  readonly ready: () => Promise<{ readonly status: number; readonly body: unknown }>;
}

export const startInTest = async (
  services: readonly Service[],
  given: Partial<ProcessPlan> = {},
): Promise<StartedInTest> => {
  const kit = createProcessKit();
  const started = await startProcess(kit.plan(services, given));
  onTestFinished(async () => {
    const drained = started.drain();
    await kit.clock.advance(600_000);
    await drained;
  });
  const ready: StartedInTest['ready'] = async () => {
    const response = await fetch(`${started.healthUrl}/readyz`);
    return { status: response.status, body: await response.json() };
  };
  return { ...kit, started, ready };
};
