// What planning and applying need of a broker, as a port. Real: broker-driver.ts. It reports and does as told;
// every judgement (what may change, what would destroy data) is in plan.ts.
import type { ConsumerSettings, StreamSettings } from './settings.ts';

/** Facts of the broker that a plan depends on. */
export interface ServerFacts {
  /** As the server says it: `2.15.1`, `2.15.0-dev`. */
  readonly version: string;
  /** False: one server, which can hold one replica of anything. */
  readonly isClustered: boolean;
  /** Bytes of file storage that this account may use, all replicas together; null: not limited, or not told. */
  readonly storageLimitBytes: number | null;
}

/** A stream as the broker has it. */
export interface ActualStream {
  readonly settings: StreamSettings;
  readonly entries: number;
  readonly bytes: number;
  /** When the oldest entry was stored, epoch ms; null when there is none. */
  readonly oldestAt: number | null;
}

/** A consumer as the broker has it. */
export interface ActualConsumer {
  readonly settings: ConsumerSettings;
  /** Entries handed out so far, counted by the consumer's own sequence; 0: recreating it forgets nothing. */
  readonly delivered: number;
}

/** Everything that a plan compares. Consumers: durable ones only, of every stream that is in `streams`. */
export interface ActualTopology {
  readonly server: ServerFacts;
  readonly streams: readonly ActualStream[];
  readonly consumers: readonly ActualConsumer[];
}

/**
 * Faults: `TOPOLOGY_UNAVAILABLE` (later: broker away, no leader), `TOPOLOGY_FULL` (later: no storage left), `TOPOLOGY_REFUSED` (never: the broker says no; its words and
 * error code are in the message and detail), `TOPOLOGY_TAKEN` (now: the name exists already with other settings: somebody else
 * provisions at this moment). Every call may be repeated: creating what is there with the same settings, and deleting what is
 * gone, succeed.
 */
export interface TopologyDriver {
  read(): Promise<ActualTopology>;
  createStream(settings: StreamSettings): Promise<void>;
  /** Lays these settings over what the broker has; settings not named here stay. */
  updateStream(settings: StreamSettings): Promise<void>;
  createConsumer(settings: ConsumerSettings): Promise<void>;
  /** Lays these settings over what the broker has. */
  updateConsumer(settings: ConsumerSettings): Promise<void>;
  deleteConsumer(stream: string, name: string): Promise<void>;
}
