// What a CLI command may use: ports opened on demand and the terminal. Built by services/fleetlog.ts; no command reads the
// environment, opens a connection or writes to a stream by itself.
import type { Clock } from '#libs/ports/clock.ts';
import type { DoctorReport } from './doctor-report.ts';
import type { Ids } from '#libs/ports/ids.ts';
import type { TopologyDriver } from '#libs/topology/driver.ts';
import type { Connection } from './connection.ts';
import type { FleetReaders } from './fleet-readers.ts';
import type { ProjectionTools } from './projection-tools.ts';

/** Open ports of one stack. */
export interface FleetPorts extends FleetReaders {
  readonly topology: TopologyDriver;
  close(): Promise<void>;
}

/** Where a command writes. `out` is the result, `note` is everything else (progress, hints), never mixed into `--json`. */
export interface Terminal {
  out(line: string): void;
  note(line: string): void;
  /** Resolves when the reader has taken what was written: await it in long outputs, so that memory stays bounded. */
  flushed(): Promise<void>;
  /** Shows a text in place of the one before, cut to the size of the screen; absent where the reader is no screen. */
  readonly redraw?: (text: string) => void;
}

export interface CliContext {
  /** Of the product. */
  readonly version: string;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Epoch ms of an ISO time (without a zone: this machine's); NaN when it is none. */
  readonly parseTime: (text: string) => number;
  /** Every projection of the product, for rebuild and verify. */
  projections(): Promise<readonly ProjectionTools[]>;
  /** Facts of the machine, for `fleetlog doctor`. */
  diagnose(dataDir: string): Promise<DoctorReport>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  /** Aborts at Ctrl-C: long commands end cleanly. */
  readonly signal: AbortSignal;
  /** Connects to the broker of a stack. Faults: `BROKER_UNREACHABLE`, `BROKER_UNAUTHORIZED`. */
  openFleet(connection: Connection): Promise<FleetPorts>;
  /** Text from standard input, up to its end; undefined when it is a terminal. */
  readStandardInput(): Promise<string | undefined>;
}
