// A projection as the CLI handles it: its types hidden behind what can be done with it.
import { readPosition } from '#libs/projections/position.ts';
import type { Projection } from '#libs/projections/projection.ts';
import { rebuildProjection, type RebuildOptions, type RebuildReport } from '#libs/projections/rebuild.ts';
import { verifyProjection, type Verification } from '#libs/projections/verify.ts';
import { scratchBucket } from '#streams/buckets.ts';
import type { FleetReaders } from './fleet-readers.ts';

export interface ProjectionTools {
  readonly name: string;
  readonly version: number;
  readonly stream: string;
  readonly bucket: string;
  /** The sequence up to which the bucket is complete; 0: nothing folded yet. */
  position(fleet: FleetReaders): Promise<number>;
  /**
   * How many entries that it folds the stream has after its position; counts up to `most`. The stream's own last sequence does not tell:
   * what stands there may be of other aggregates, which this projection never sees.
   */
  behind(fleet: FleetReaders, most: number): Promise<number>;
  verify(fleet: FleetReaders, signal: AbortSignal): Promise<Verification>;
  rebuild(
    fleet: FleetReaders,
    options: Pick<RebuildOptions<never, object>, 'clock' | 'ids' | 'onProgress'> & {
      readonly signal: AbortSignal;
    },
  ): Promise<RebuildReport>;
}

/** The tools of one projection. */
export const projectionTools = <Event, State extends object>(
  projection: Projection<Event, State>,
): ProjectionTools => {
  const { name, version, stream, bucket, subjects } = projection;
  const position = async (fleet: FleetReaders): Promise<number> =>
    (await readPosition(fleet.bucket(bucket))).position?.seq ?? 0;
  return {
    name,
    version,
    stream,
    bucket,
    position,
    behind: async (fleet, most) => {
      let count = 0;
      const from = { seq: (await position(fleet)) + 1 };
      for await (const _ of fleet.log(stream).replay({ from, subjects })) if (++count >= most) break;
      return count;
    },
    verify: (fleet, signal) =>
      verifyProjection({ projection, log: fleet.log(stream), kv: fleet.bucket(bucket), signal }),
    rebuild: (fleet, options) =>
      rebuildProjection({
        projection,
        log: fleet.log(stream),
        live: fleet.bucket(bucket),
        scratch: fleet.bucket(scratchBucket(bucket)),
        ...options,
      }),
  };
};
