// A declared topology as the streams that it is to a broker: buckets and object stores are streams too.
import type { Topology } from './definitions.ts';
import type { Thing } from './difference.ts';
import { bucketSettings, objectStoreSettings, streamSettings, type StreamSettings } from './settings.ts';

/** A declared stream, and what people know it as. */
export interface DeclaredStream {
  readonly thing: Extract<Thing, 'stream' | 'bucket' | 'object-store'>;
  /** The name people use: of a bucket without `KV_`. */
  readonly what: string;
  readonly settings: StreamSettings;
}

/** Everything declared that is a stream to the broker, as declared (not fitted to any storage). */
export const declaredStreams = (declared: Topology): readonly DeclaredStream[] => [
  ...declared.streams.map((definition) => ({
    thing: 'stream' as const,
    what: definition.name,
    settings: streamSettings(definition),
  })),
  ...declared.buckets.map((definition) => ({
    thing: 'bucket' as const,
    what: definition.name,
    settings: bucketSettings(definition),
  })),
  ...declared.objectStores.map((definition) => ({
    thing: 'object-store' as const,
    what: definition.name,
    settings: objectStoreSettings(definition),
  })),
];
