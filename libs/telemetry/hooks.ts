// What the loops of the system measure, as plain interfaces without a metrics package: libs/consumers, libs/projections and
// the ports call them (or adapt them to their own); metrics-hooks.ts counts them. Hooks never throw and do no I/O.

/** How one try of an entry ended. */
type EntryOutcome = 'handled' | 'rejected' | 'skipped' | 'retried' | 'parked';

/** The loop of a consumer. */
interface ConsumerHooks {
  /** One try of an entry is over. `durationMs`: how long its handler ran, where it did. */
  entry(consumer: string, outcome: EntryOutcome, durationMs?: number): void;
  /** Entries waiting for the consumer, and handed out without acknowledgement. */
  backlog(consumer: string, pending: number, unacknowledged: number): void;
}

/** The loop of a projection. */
interface ProjectionHooks {
  /** One batch is stored: entries folded, keys written, and how long the writing took. */
  batch(projection: string, entries: number, keys: number, writeMs: number): void;
  /** From the storing of a batch's last entry in the stream to its keys being in the bucket. */
  lag(projection: string, lagMs: number): void;
  /** The stream sequence up to which the bucket is complete. */
  position(projection: string, seq: number): void;
}

/** Appends to a stream. */
export interface LogHooks {
  append(stream: string, outcome: 'appended' | 'duplicate' | 'conflict' | 'failed', durationMs: number): void;
  /** One atomic batch (or a single append) went out with this many entries. */
  groupCommit(stream: string, entries: number): void;
}

/** Requests over HTTP. `route` is the pattern (`/api/v1/runs/{id}`), never the path. */
export interface HttpHooks {
  request(method: string, route: string, status: number, durationMs: number): void;
}

/** The durable buffer of a runner. */
export interface BufferHooks {
  depth(runner: string, events: number, bytes: number): void;
}

/** All of them. */
export interface Hooks {
  readonly consumer: ConsumerHooks;
  readonly projection: ProjectionHooks;
  readonly log: LogHooks;
  readonly http: HttpHooks;
  readonly buffer: BufferHooks;
}
