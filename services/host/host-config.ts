// The settings of a host.
import { duration, integer, list, oneOf, size, text } from '#libs/config/fields.ts';
import { configSchema, type ConfigOf } from '#libs/config/schema.ts';

const NAME = {
  pattern: /^[a-z0-9][a-z0-9_-]{0,63}$/,
  expects: '1 to 64 of a-z 0-9 _ - and a letter or digit first',
};
const name = () => text(NAME);
const MIB = 1024 * 1024;

export const HostConfig = configSchema({
  name: name().describe('What this machine is called in the fleet; one host has it at a time.'),
  tenant: name().default('local').describe('Boundary of its agents.'),
  project: name().default('main').describe('Boundary of its agents.'),
  dataDir: text().describe(
    'Folder of its journal and of what its runners keep; it must outlive the process and be on a local disk.',
  ),
  workspaceRoot: text().describe('Folder below which programs work, one folder an agent.'),
  credentialsDir: text().describe(
    'Folder with a file runner-<agent>-password for each agent that may run here, as fleetlog agent add makes it.',
  ),
  brokerUrl: list().default(['nats://127.0.0.1:4222']).describe('Where its runners find the broker.'),
  labels: list(NAME)
    .default([])
    .describe('What this machine has been given (gpu, eu, …): policies may ask for it.'),
  capacity: integer({ min: 0, max: 1000 }).default(10).describe('Runners at once.'),
  reservedAgents: list(NAME)
    .default([])
    .describe(
      'Agents whose runner is started by something else on this machine; the host does not start them.',
    ),
  runnerMemoryBytes: size({ min: 0 })
    .default(0)
    .describe(
      'Ceiling of memory of each runner with all that it starts, where the system has control groups; 0: none.',
    ),
  cgroupRoot: text()
    .optional()
    .describe(
      'A control group (version 2) that this host may make groups in, such as that of its unit with Delegate=yes; default: its own.',
    ),
  memoryFloorBytes: size({ min: 0 })
    .default(256 * MIB)
    .describe('No further runner is started when less memory is free.'),
  diskFloorBytes: size({ min: 0 })
    .default(256 * MIB)
    .describe('No further runner is started when less is free where the journal is.'),
  onStop: oneOf(['keep', 'end'])
    .default('keep')
    .describe(
      'When the host stops in order: keep: its runners go on, and the next start takes them over; end: they are ended first.',
    ),
  announceMs: duration({ min: 1000, max: 200_000 })
    .default(5000)
    .describe('How often the host says that it is alive; it counts as gone after three missed words.'),
  lookMs: duration({ min: 50 })
    .default(500)
    .describe('How often runners are looked at that an earlier process of the host has started.'),
  unknownMs: duration({ min: 1000 })
    .default(60_000)
    .describe('How often the machine is searched for runners that the host does not know of.'),
});
export type HostConfig = ConfigOf<typeof HostConfig>;
