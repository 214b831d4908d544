// Whether a host starts what it was told to start. Pure: the facts of the machine come in from outside.
import type { SpawnInstruction } from '#streams/host-instructions.ts';
import type { SpawnRefusal } from '#streams/host-reports.ts';

/** How the machine stands when an instruction is taken. */
export interface MachineState {
  readonly now: number;
  readonly isDraining: boolean;
  readonly capacity: number;
  /** Runners that are there or about to be. */
  readonly runners: number;
  /** The spawn under which the agent runs here already; undefined: it does not. */
  readonly runningAs: string | undefined;
  readonly isReserved: boolean;
  /** Where its password has to be, and whether it is there. */
  readonly credentialFile: string;
  readonly hasCredential: boolean;
  /** What is wrong with the settings; undefined: nothing. */
  readonly settingsProblem: string | undefined;
  readonly freeMemoryBytes: number;
  readonly memoryFloorBytes: number;
  readonly freeDiskBytes: number;
  readonly diskFloorBytes: number;
}

export interface Refusal {
  readonly code: SpawnRefusal;
  readonly message: string;
}

const mib = (bytes: number): string => `${Math.floor(bytes / 1024 / 1024)} MiB`;

/** An instruction that is read after its deadline is not done, whatever it says. */
export const expiredRefusal = (
  { deadlineAt }: { readonly deadlineAt: number },
  now: number,
): Refusal | undefined =>
  now <= deadlineAt
    ? undefined
    : {
        code: 'COMMAND_EXPIRED',
        message: `the instruction was read ${now - deadlineAt} ms after its deadline; it was not done`,
      };

const isLow = (state: MachineState): string | undefined => {
  if (state.freeMemoryBytes < state.memoryFloorBytes)
    return `${mib(state.freeMemoryBytes)} of memory are free, and ${mib(state.memoryFloorBytes)} have to be (host.memoryFloorBytes)`;
  if (state.freeDiskBytes < state.diskFloorBytes)
    return `${mib(state.freeDiskBytes)} of disk are free, and ${mib(state.diskFloorBytes)} have to be (host.diskFloorBytes)`;
  return undefined;
};

/** Why the spawn is refused; undefined: it is not. What will not change by itself comes first. */
export const spawnRefusal = (
  { agent, deadlineAt }: SpawnInstruction,
  state: MachineState,
): Refusal | undefined => {
  const expired = expiredRefusal({ deadlineAt }, state.now);
  if (expired !== undefined) return expired;
  if (state.settingsProblem !== undefined) return { code: 'SETTING_REFUSED', message: state.settingsProblem };
  if (!state.hasCredential)
    return {
      code: 'CREDENTIAL_MISSING',
      message: `there is no broker password for agent ${agent} at ${state.credentialFile}: fleetlog agent add ${agent} makes it (then copy it to this machine, if it was made on another)`,
    };
  if (state.isReserved)
    return {
      code: 'AGENT_RUNNING',
      message: `agent ${agent} has a runner on this machine that the host did not start (host.reservedAgents)`,
    };
  if (state.runningAs !== undefined)
    return { code: 'AGENT_RUNNING', message: `agent ${agent} runs here already as ${state.runningAs}` };
  if (state.isDraining)
    return { code: 'HOST_DRAINING', message: 'this host is being drained: it takes no new runners' };
  if (state.runners >= state.capacity)
    return {
      code: 'HOST_FULL',
      message: `${state.runners} runners are here, and it takes ${state.capacity} (host.capacity)`,
    };
  const low = isLow(state);
  return low === undefined ? undefined : { code: 'HOST_LOW', message: low };
};
