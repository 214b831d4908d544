// Which file brings which commands. A command line loads only the file of its command: all of them together take a third of the time that a
// person waits for `fleetlog run list`.
import type { Command } from 'commander';
import type { CliContext } from './context.ts';

/** Adds commands to the program. */
export type Registration = (program: Command, context: CliContext) => void;

/** Commands that come together, under these names (aliases, too). */
export interface CommandGroup {
  readonly names: readonly string[];
  load(): Promise<Registration>;
}

/** The commands of this folder, in the order of `--help`. */
export const CLI_COMMANDS: readonly CommandGroup[] = [
  { names: ['run'], load: async () => (await import('./run-commands.ts')).registerRunCommands },
  { names: ['unstick'], load: async () => (await import('./unstick-command.ts')).registerUnstickCommand },
  { names: ['task'], load: async () => (await import('./task-commands.ts')).registerTaskCommands },
  { names: ['policy'], load: async () => (await import('./policy-commands.ts')).registerPolicyCommands },
  {
    names: ['start', 'stop', 'restart', 'pause', 'resume', 'why', 'top'],
    load: async () => (await import('./managed-commands.ts')).registerManagedCommands,
  },
  {
    names: ['session', 'sessions'],
    load: async () => (await import('./session-commands.ts')).registerSessionCommands,
  },
  { names: ['runners'], load: async () => (await import('./runner-commands.ts')).registerRunnerCommands },
  {
    names: ['approvals'],
    load: async () => (await import('./approval-commands.ts')).registerApprovalCommands,
  },
  {
    names: ['send', 'reply', 'nudge', 'inbox', 'obligations'],
    load: async () => (await import('./mail-commands.ts')).registerMailCommands,
  },
  {
    names: ['host', 'versions', 'agent'],
    load: async () => (await import('./host-commands.ts')).registerHostCommands,
  },
  { names: ['alarms'], load: async () => (await import('./alarm-command.ts')).registerAlarmCommand },
  {
    names: ['tail', 'replay'],
    load: async () => (await import('./stream-commands.ts')).registerStreamCommands,
  },
  {
    names: ['projections', 'verify'],
    load: async () => (await import('./projection-commands.ts')).registerProjectionCommands,
  },
  { names: ['outbox'], load: async () => (await import('./outbox-commands.ts')).registerOutboxCommands },
  {
    names: ['provision'],
    load: async () => (await import('./provision-command.ts')).registerProvisionCommand,
  },
  { names: ['doctor'], load: async () => (await import('./doctor-command.ts')).registerDoctorCommand },
];

/** In place of all others inside a turn: there an agent speaks for itself, not for a person. */
const loadTurnCommands = async (): Promise<Registration> =>
  (await import('./agent-commands.ts')).registerAgentCommands;

const TURN_NAMES = new Set(['send', 'reply', 'inbox', 'obligations', 'done', 'ask']);
/** With one of these somebody speaks for somebody else than the agent of the turn. */
const OTHERS = ['--from', '--api-url', '--nats-url', '--data', '--actor'];

/** Whether a command line speaks for the turn that its environment names. */
const isTurnCommand = (
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): boolean =>
  environment['FLEETLOG_CONTROL'] !== undefined &&
  environment['FLEETLOG_TURN_TOKEN'] !== undefined &&
  TURN_NAMES.has(argv[0] ?? '') &&
  !argv.some((argument) => OTHERS.some((other) => argument === other || argument.startsWith(`${other}=`)));

/**
 * The registrations that a command line needs: of its command alone; of everything, in order, when it names none that there is (help, a
 * misspelt word: what is near it shall be found).
 */
export const registrationsFor = async (
  argv: readonly string[],
  { environment }: Pick<CliContext, 'environment'>,
  more: readonly CommandGroup[],
): Promise<readonly Registration[]> => {
  if (isTurnCommand(argv, environment)) return [await loadTurnCommands()];
  const all = [...more, ...CLI_COMMANDS];
  const named = all.filter(({ names }) => names.includes(argv[0] ?? ''));
  return Promise.all((named.length > 0 ? named : all).map((group) => group.load()));
};
