// A small real service process for test/e2e/service-shell.test.ts: memory ports, one loop that holds one piece of work, and a
// tongue on standard input (`finish`, `throw`, `reject`, `invariant`, `fault`). It says on standard output what has happened.
import { createInterface } from 'node:readline';
import { integer, secret } from '#libs/config/fields.ts';
import { configSchema } from '#libs/config/schema.ts';
import { Fault } from '#libs/kernel/fault.ts';
import { invariant } from '#libs/kernel/invariant.ts';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import type { OpenPorts, ServiceContext } from '#libs/service/context.ts';
import { defineService } from '#libs/service/define-service.ts';
import { runProcess } from '#libs/service/run-process.ts';

const say = (fact: string): void => void process.stdout.write(`${fact}\n`);

const open = (tools: Pick<ServiceContext, 'clock' | 'ids'>): OpenPorts => {
  const broker = createMemoryBroker({ clock: tools.clock, ids: tools.ids });
  return {
    ports: {
      clock: tools.clock,
      ids: tools.ids,
      log: (stream) => broker.eventLog(stream),
      bucket: (name) => broker.keyValue(name),
      queue: (stream, consumer) => broker.workQueue(stream, consumer),
      requests: { client: broker.requests, server: broker.requests },
      blobs: broker.blobs('blobs'),
      publisher: () => broker.publisher(),
    },
    check: () => ({ ok: true, detail: 'in memory' }),
    close: async () => say('ports closed'),
  };
};

const TinyConfig = configSchema({
  answer: integer({ min: 1 }).default(42).describe('Any number.'),
  apiToken: secret().optional(),
});

/** What the loop does next; replaced by each order. */
let order = Promise.withResolvers<string>();
let runs = 0;

const orders: Readonly<Record<string, () => void>> = {
  throw: () => {
    throw new Error('thrown by a callback');
  },
  reject: () => void Promise.reject(new Error('nobody catches this')),
  fault: () => order.resolve('fault'),
  invariant: () => order.resolve('invariant'),
  finish: () => order.resolve('finish'),
};

const tiny = defineService({
  name: 'tiny',
  config: TinyConfig,
  start: (context) => {
    context.logger.info('tiny starts', { apiToken: context.config.apiToken?.reveal() ?? 'none' });
    context.signal.addEventListener('abort', () => say('intake ended'));
    const lines = createInterface({ input: process.stdin });
    lines.on('line', (line) => orders[line]?.());
    return {
      stop: async () => {
        lines.close();
        process.stdin.destroy();
        say('tiny stopped');
      },
    };
  },
  loops: () => [
    {
      name: 'work',
      run: async () => {
        runs += 1;
        say(runs === 1 ? 'work in hand' : 'work in hand again');
        const asked = await order.promise;
        order = Promise.withResolvers();
        invariant(asked !== 'invariant', 'the sky is down');
        if (asked === 'fault') {
          throw new Fault({ code: 'LOG_UNAVAILABLE', retry: 'later', message: 'the broker is away' });
        }
        say('work finished');
      },
    },
  ],
});

const emptyWire = configSchema({});

await runProcess({
  services: [tiny],
  elsewhere: [defineService({ name: 'other', config: configSchema({ size: integer() }) })],
  wire: { name: 'memory', config: emptyWire, open: async (_, tools) => open(tools) },
});
