// The contract of schedules on a real broker: what the memory broker imitates is what this one does.
import { createEventLog } from '#libs/nats/event-log.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import { freshName } from '#test/support/fresh-name.ts';
import { testConnection } from '#test/support/nats-connection.ts';
import { schedulesContract } from './schedules.ts';

schedulesContract('nats', async () => {
  const connection = await testConnection();
  const stream = freshName('timers');
  await natsTopology(connection).createStream({
    name: stream,
    subjects: [`${stream}.>`],
    storage: 'file',
    allow_atomic: true,
    allow_direct: true,
    allow_msg_schedules: true,
    allow_msg_ttl: true,
    allow_rollup_hdrs: true,
  });
  return {
    log: createEventLog(connection, { stream }),
    subject: (name) => `${stream}.${name}`,
    now: () => connection.clock.now(),
    advance: async () => {},
    dispose: () => connection.close(),
  };
});
