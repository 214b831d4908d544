// A process that runs one loop until it is killed: `node loop-process.ts '<json>'`. Prints a line when it has started.
import { createReactorHandler } from '#libs/commands/reactor.ts';
import { createDeadLetters } from '#libs/consumers/dead-letters.ts';
import { runConsumer } from '#libs/consumers/run-consumer.ts';
import { createEventLog } from '#libs/nats/event-log.ts';
import { openKeyValue } from '#libs/nats/key-value.ts';
import { openWorkQueue } from '#libs/nats/work-queue.ts';
import { runProjection } from '#libs/projections/run-projection.ts';
import { systemClock as clock } from '#libs/system/clock.ts';
import { systemIds as ids } from '#libs/system/ids.ts';
import { copyReactor } from './copy-reactor.ts';
import type { LoopTask } from './loop-task.ts';
import { connectTo } from './nats-connection.ts';
import { tallyProjection, textOf } from './tally.ts';

const task = JSON.parse(process.argv[2] ?? '') as LoopTask;
const connection = await connectTo({ urls: [task.url], user: task.user, password: task.password });
const onFatal = (error: unknown): void => {
  process.stderr.write(`${String(error)}\n`);
  process.exit(1);
};

if (task.kind === 'projection') {
  runProjection({
    projection: tallyProjection({ stream: task.stream, bucket: task.bucket }),
    log: createEventLog(connection, { stream: task.stream }),
    kv: openKeyValue(connection, { bucket: task.bucket }),
    clock,
    ids,
    onPoison: () => Promise.resolve(),
    // Small batches: more places to be killed at.
    limits: { maxBatch: 8, hotKeys: 32 },
    onFatal,
  });
} else {
  const out = createEventLog(connection, { stream: task.out });
  runConsumer<string>({
    name: task.consumer,
    queue: openWorkQueue(connection, task),
    decode: (entry) => textOf(entry.body),
    lane: (text) => text,
    handle: createReactorHandler(task.stream, { reactor: copyReactor(task.out), logs: { out }, clock }),
    deadLetters: createDeadLetters({ log: out, build: () => ({ subject: `${task.out}.dead`, headers: {} }) }),
    clock,
    ids,
    limits: { ackWaitMs: task.ackWaitMs },
    onFatal,
  });
}
process.stdout.write('started\n');
