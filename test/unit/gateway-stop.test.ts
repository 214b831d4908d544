// A gateway that is told to stop before it is up: while the broker has not shown it the summaries yet.
import { expect, test } from 'vitest';
import { createMemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';
import { createCheckBoard } from '#libs/service/checks.ts';
import { startService } from '#libs/service/running-service.ts';
import { createLogger } from '#libs/telemetry/logger.ts';
import { createMetrics } from '#libs/telemetry/metrics.ts';
import { createHooks } from '#libs/telemetry/metrics-hooks.ts';
import { gateway } from '#services/gateway/service.ts';
import { topologyOf } from '#streams/consumers.ts';

/** A bucket of a broker that is away: its watch tells nothing until it is ended. */
const silent = (bucket: KeyValue): KeyValue => ({
  ...bucket,
  // oxlint-disable-next-line require-yield -- nothing is told
  watchTogether: async function* watch({ signal } = {}) {
    await new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }));
  },
});

test('a gateway that has not seen the summaries yet stops when it is told to', async () => {
  const clock = createManualClock();
  const ids = createSeededIds(1, clock);
  const broker = createMemoryBroker({ clock, ids, topology: topologyOf({ replicas: 1, agents: [] }) });
  const metrics = createMetrics({ processMetrics: false });
  const board = createCheckBoard(clock);
  const fatal: unknown[] = [];
  const running = startService(gateway, gateway.config.parse({ port: 0 }), {
    clock,
    ids,
    logger: createLogger({ level: 'silent', format: 'json', clock }),
    metrics,
    hooks: createHooks(metrics),
    ports: {
      clock,
      ids,
      log: (stream) => broker.eventLog(stream),
      bucket: (name) => silent(broker.keyValue(name)),
      queue: (stream, consumer) => broker.workQueue(stream, consumer),
      requests: { client: broker.requests, server: broker.requests },
      blobs: broker.blobs('bodies'),
      publisher: () => broker.publisher(),
    },
    board,
    drainMs: 1000,
    onFatal: (error) => void fatal.push(error),
  });
  expect(running.waitingFor()).not.toEqual([]);
  await running.stop();
  expect(running.waitingFor()).toEqual([]);
  expect(fatal).toEqual([]);
});
