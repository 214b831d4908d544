// The contract suites on the ports on JetStream, on one real broker.
import { createEventLog } from '#libs/nats/event-log.ts';
import { natsTopology } from '#libs/nats/topology.ts';
import { testConnection } from '#test/support/nats-connection.ts';
import { eventLogContract } from './event-log.ts';

let made = 0;
const freshName = (): string => `CONTRACT-${(made += 1)}`;

const NS_PER_MS = 1_000_000;
/** Long enough that no test sees it pass by accident. */
const WINDOW_NS = 600_000 * NS_PER_MS;
const SHORTEST_WINDOW_NS = 100 * NS_PER_MS;

eventLogContract(
  'nats',
  async () => {
    const connection = await testConnection();
    const topology = natsTopology(connection);
    const stream = freshName();
    const config = {
      name: stream,
      subjects: [`${stream}.>`],
      storage: 'file',
      allow_atomic: true,
      allow_direct: true,
      duplicate_window: WINDOW_NS,
    };
    await topology.createStream(config);
    return {
      log: createEventLog(connection, { stream }),
      subject: (name) => `${stream}.${name}`,
      // Shrinking the window forgets what is older than the new one at once, and the rest within it.
      forgetIds: async () => {
        await topology.updateStream({ ...config, duplicate_window: SHORTEST_WINDOW_NS });
        await connection.clock.sleep(200);
        await topology.updateStream(config);
      },
      moment: () => connection.clock.sleep(6),
      dispose: () => connection.close(),
    };
  },
  { propertyRuns: 15 },
);
