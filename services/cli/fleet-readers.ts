// What can be read of a stack: its logs and its buckets, by name.
import type { EventLog } from '#libs/ports/event-log.ts';
import type { KeyValue } from '#libs/ports/key-value.ts';

/** The logs and buckets of one stack. */
export interface FleetReaders {
  log(stream: string): EventLog;
  bucket(name: string): KeyValue;
}
