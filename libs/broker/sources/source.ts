// What every place a nats-server may come from has in common. The order of the places is in locate.ts.
import type { Clock } from '#libs/ports/clock.ts';

export interface SourceContext {
  /** Value of FLEETLOG_NATS_SERVER. */
  readonly explicitPath: string | undefined;
  /** Value of PATH. */
  readonly searchPath: string;
  /** Where fetched servers are kept, outside every checkout. */
  readonly cacheDir: string;
  readonly platform: NodeJS.Platform;
  /** As in `process.arch`. */
  readonly arch: string;
  /** Where releases are downloaded from; a company may have a mirror. */
  readonly releasesUrl: string;
  /** Root of the file system as far as /etc and keyrings are concerned; `/` except in tests. */
  readonly systemRoot: string;
  readonly clock: Clock;
  /** Told in words what takes long. */
  readonly progress: (line: string) => void;
}

interface FoundServer {
  readonly outcome: 'found';
  readonly path: string;
  readonly version: string;
  /** SHA-256 of the executable, hex; absent where it was not made or fetched by us. */
  readonly sha256?: string;
}

/** `absent`: there is nothing here. `refused`: there is something, and it may not be used. `failed`: could not be tried to the end. */
export interface MissedServer {
  readonly outcome: 'absent' | 'refused' | 'failed';
  readonly reason: string;
  /** What a person could do about it. */
  readonly fix?: string;
}

export type Finding = FoundServer | MissedServer;

export interface Source {
  readonly name: string;
  /** Never rejects for anything that belongs to this place: that is a `failed` finding. */
  find(context: SourceContext): Promise<Finding>;
}
