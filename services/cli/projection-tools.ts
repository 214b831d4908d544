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
  const { name, version, stream, bucket } = projection;
  return {
    name,
    version,
    stream,
    bucket,
    position: async (fleet) => (await readPosition(fleet.bucket(bucket))).position?.seq ?? 0,
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
