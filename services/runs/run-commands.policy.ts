// What may be read off the commands of a run: which turn is next, whether the one that runs is being interrupted, and what becomes of
// the commands when a turn or the run ends. Pure; decides nothing (run.commands.decider.ts, run.turns.decider.ts).
import type { CommandState } from '#streams/commands.ts';
import type { CommandRecord, Run } from './run-state.policy.ts';

type ClosedState = Extract<CommandState, 'completed' | 'failed' | 'cancelled'>;

/** Commands that an event ends, as it says them. */
export type CommandsClosed = readonly { readonly commandId: string; readonly state: ClosedState }[];

/** True until a command has come to its end. */
export const isOpen = ({ state }: Pick<CommandRecord, 'state'>): boolean =>
  state === 'pending' || state === 'acknowledged';

/** True for a command that a turn can be made of. */
const makesTurn = ({ type, text, state, otherwise }: CommandRecord): boolean => {
  if (type === 'turn') return true;
  if (text === null) return false;
  return type === 'interrupt' || (state === 'pending' && otherwise === 'next-turn');
};

/** The command that the turn after the present one is made of: what an interrupt said first, then by number. */
export const nextTurn = (run: Run): CommandRecord | undefined => {
  const waiting = run.commands.filter(
    (command) => command.commandId !== run.turnCommandId && isOpen(command) && makesTurn(command),
  );
  return waiting.find(({ type }) => type === 'interrupt') ?? waiting[0];
};

/** The interrupt of the claim that holds the run, where there is one. */
export const interruptOf = (run: Run): CommandRecord | undefined =>
  run.commands.find(
    (command) =>
      command.type === 'interrupt' &&
      command.commandId !== run.turnCommandId &&
      command.fence === run.claims &&
      isOpen(command),
  );

/** Words that nobody was told yet, for the turn that begins. */
export const waitingWords = ({ commands }: Run): readonly CommandRecord[] =>
  commands.filter(
    ({ type, state, fence, isDeferred }) =>
      type === 'steer' && state === 'pending' && fence === null && !isDeferred,
  );

/** How the run goes: `on` to a further turn, or to this end. */
type Course = 'on' | ClosedState;

/** What becomes of a command other than the turn itself when that turn ends; undefined: it waits on. */
const closureOf = (
  command: CommandRecord,
  course: Course,
  isCancelling: boolean,
): ClosedState | undefined => {
  const { type, text, state, otherwise } = command;
  if (type === 'turn') return course === 'on' ? undefined : 'cancelled';
  if (type === 'interrupt') {
    if (text !== null) return course === 'on' ? undefined : 'cancelled';
    return isCancelling ? 'cancelled' : 'completed';
  }
  // The turn had the words, whatever it made of them.
  if (state === 'acknowledged') return course === 'cancelled' ? 'cancelled' : 'completed';
  if (course !== 'on') return 'cancelled';
  return otherwise === 'fail' ? 'failed' : undefined;
};

/** For an event that ends a turn: the other commands that it ends, where there are any. */
export const closingCommands = (
  run: Run,
  course: Course,
): { readonly commandsClosed?: { commandId: string; state: ClosedState }[] } => {
  const closed = run.commands.flatMap((command) => {
    if (!isOpen(command) || command.commandId === run.turnCommandId) return [];
    const state = closureOf(command, course, run.state === 'cancelling');
    return state === undefined ? [] : [{ commandId: command.commandId, state }];
  });
  return closed.length === 0 ? {} : { commandsClosed: closed };
};

const close = (command: CommandRecord, state: ClosedState): CommandRecord => ({
  ...command,
  state,
  text: null,
});

/** The commands after a turn has ended as `turn` and the event has closed `closed`. */
export const afterTurn = (
  { commands, turnCommandId }: Pick<Run, 'commands' | 'turnCommandId'>,
  turn: ClosedState,
  closed: CommandsClosed = [],
): readonly CommandRecord[] =>
  commands.map((command) => {
    if (!isOpen(command)) return command;
    if (command.commandId === turnCommandId) return close(command, turn);
    const closing = closed.find(({ commandId }) => commandId === command.commandId);
    return closing === undefined ? command : close(command, closing.state);
  });

/** The commands with this one as the turn that waits for a runner: an interrupt with words is told to one again, as a turn now. */
export const asNextTurn = (commands: readonly CommandRecord[], commandId: string): readonly CommandRecord[] =>
  withCommand(commands, commandId, { state: 'pending', fence: null });

/** The commands after the run has ended; an older history does not name what it closed. */
export const afterRun = (
  run: Pick<Run, 'commands' | 'turnCommandId'>,
  turn: ClosedState,
  closed?: CommandsClosed,
): readonly CommandRecord[] =>
  afterTurn(run, turn, closed).map((command) => (isOpen(command) ? close(command, 'cancelled') : command));

/** The commands after a claim was lost and its turn waits again: what its program had been told, it was told in vain. */
export const afterLoss = ({
  commands,
  turnCommandId,
}: Pick<Run, 'commands' | 'turnCommandId'>): readonly CommandRecord[] =>
  commands.map((command) => {
    if (!isOpen(command)) return command;
    if (command.type === 'interrupt' && command.commandId !== turnCommandId) return command;
    return { ...command, state: 'pending', fence: null };
  });

/**
 * The commands after the program has put off a call and gone: what it had been told stays told, what it had not been told waits for the
 * turn to go on. There is nothing to interrupt any more.
 */
export const afterParking = ({
  commands,
  turnCommandId,
}: Pick<Run, 'commands' | 'turnCommandId'>): readonly CommandRecord[] =>
  commands.map((command) => {
    if (!isOpen(command) || command.commandId === turnCommandId) return command;
    if (command.type === 'interrupt' && command.text === null) return close(command, 'failed');
    return command.type === 'steer' && command.state === 'pending' ? { ...command, fence: null } : command;
  });

/** The commands with one of them changed. */
export const withCommand = (
  commands: readonly CommandRecord[],
  commandId: string,
  change: Partial<CommandRecord>,
): readonly CommandRecord[] =>
  commands.map((command) => (command.commandId === commandId ? { ...command, ...change } : command));

/** How a turn ended, as the end of its command. */
export const endOfTurn = (outcome: 'done' | 'yielded' | 'blocked' | 'failed' | 'cancelled'): ClosedState => {
  if (outcome === 'done' || outcome === 'yielded') return 'completed';
  return outcome === 'cancelled' ? 'cancelled' : 'failed';
};
