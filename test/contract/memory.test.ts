// The contract suites on the ports in memory.
import { createMemoryBroker, type MemoryBroker } from '#libs/memory/broker.ts';
import { createManualClock, type ManualClock } from '#libs/memory/clock.ts';
import { createSeededIds } from '#libs/memory/ids.ts';
import { blobsContract } from './blobs.ts';
import { eventLogContract } from './event-log.ts';
import { keyValueContract } from './key-value.ts';
import { publisherContract } from './publisher.ts';
import { requestsContract } from './requests.ts';
import { schedulesContract } from './schedules.ts';
import { workQueueContract } from './work-queue.ts';

const start = (): { broker: MemoryBroker; clock: ManualClock } => {
  const clock = createManualClock();
  return { clock, broker: createMemoryBroker({ clock, ids: createSeededIds(1, clock) }) };
};

eventLogContract('memory', async () => {
  const { broker, clock } = start();
  broker.declareStream({ name: 'LOG', subjects: ['log.>'] });
  return {
    log: broker.eventLog('LOG'),
    subject: (name) => `log.${name}`,
    forgetIds: async () => broker.forgetIds('LOG'),
    moment: () => clock.advance(5),
    dispose: async () => {},
  };
});

keyValueContract('memory', async () => {
  const { broker, clock } = start();
  broker.declareBucket({ name: 'bucket', markerTtlMs: 60_000 });
  return { kv: broker.keyValue('bucket'), advance: (ms) => clock.advance(ms), dispose: async () => {} };
});

workQueueContract('memory', async () => {
  const { broker, clock } = start();
  broker.declareStream({ name: 'WORK', subjects: ['work.>'] });
  const subject = (name: string): string => `work.${name}`;
  let queues = 0;
  return {
    log: broker.eventLog('WORK'),
    subject,
    createQueue: async ({ prioritized, filters, ...shape }) => {
      const name = `queue-${(queues += 1)}`;
      broker.declareConsumer({
        ...shape,
        name,
        stream: 'WORK',
        filterSubjects: filters.map(subject),
        ...(prioritized && { priorityGroup: 'one' }),
      });
      return broker.workQueue('WORK', name);
    },
    advance: (ms) => clock.advance(ms),
    dispose: async () => {},
  };
});

requestsContract('memory', async () => {
  const { broker, clock } = start();
  return {
    client: broker.requests,
    server: broker.requests,
    subject: (name) => `req.${name}`,
    advance: (ms) => clock.advance(ms),
    served: async () => {},
    dispose: async () => {},
  };
});

blobsContract('memory', async () => {
  const { broker } = start();
  broker.declareObjectStore('bodies');
  return { blobs: broker.blobs('bodies'), dispose: async () => {} };
});

publisherContract('memory', async () => {
  const { broker } = start();
  broker.declareStream({ name: 'LOG', subjects: ['log.>'] });
  return {
    log: broker.eventLog('LOG'),
    subject: (name) => `log.${name}`,
    createPublisher: (window) => broker.publisher({ window }),
    dispose: async () => {},
  };
});

schedulesContract('memory', async () => {
  const { broker, clock } = start();
  broker.declareStream({
    name: 'TIMERS',
    subjects: ['timer.>'],
    allowSchedules: true,
    allowMessageTtl: true,
  });
  return {
    log: broker.eventLog('TIMERS'),
    subject: (name) => `timer.${name}`,
    now: () => clock.now(),
    advance: (ms) => clock.advance(ms),
    dispose: async () => {},
  };
});
