// What this runner says of the machine it is on: its name, and the memory and disk that are free now. Looking never fails: a runner that
// cannot look says nothing, and is given work as before.
import { hostname } from 'node:os';
import type { MachineFacts } from '#streams/machine-facts.ts';
import { freeBytes } from './workspace/disk-floor.ts';

const MOST_CHARACTERS = 64;

/** A name of ours for a machine's own: its first label, in the letters that names have. `machine`: nothing of it can be used. */
const machineNameOf = (own: string): string =>
  (own.split('.')[0] ?? '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, MOST_CHARACTERS) || 'machine';

/** How one looks at the machine. */
interface MachineProbe {
  readonly name: () => string;
  /** Memory that programs could still get; a limit of the container counts. */
  readonly freeMemoryBytes: () => number;
  readonly freeDiskBytes: (path: string) => number;
}

const REAL: MachineProbe = {
  name: hostname,
  freeMemoryBytes: () => process.availableMemory(),
  freeDiskBytes: freeBytes,
};

/** Builds the look. `name`: what people call the machine, where they say so. */
export const machineFacts =
  (
    { name, workspaceRoot }: { readonly name: string | undefined; readonly workspaceRoot: string },
    probe: MachineProbe = REAL,
  ): (() => MachineFacts | undefined) =>
  () => {
    try {
      return {
        name: name ?? machineNameOf(probe.name()),
        freeMemoryBytes: Math.max(0, Math.floor(probe.freeMemoryBytes())),
        freeDiskBytes: Math.max(0, Math.floor(probe.freeDiskBytes(workspaceRoot))),
      };
    } catch {
      return undefined;
    }
  };
